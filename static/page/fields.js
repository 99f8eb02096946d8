/**
 * Fields of the panels. Parts that load later import it; nothing that is linked into the document
 * does.
 */

/** @typedef {import("./page.js").Page} Page */

/**
 * Puts a label above a field, whose id it names.
 * @param {Page} page @param {string} text @param {HTMLElement} field
 * @returns {HTMLElement}
 */
export const labelled = ({ element }, text, field) =>
  element("div", { class: "field-label" }, element("label", { for: field.id, text }), field);

/**
 * Shows these options. Leaves a list that shows them already, since a person may have it open.
 * @param {Page} page @param {HTMLSelectElement} select
 * @param {{ value: string, text: string }[]} options @param {string} chosen
 */
export function showOptions({ element }, select, options, chosen) {
  const shown = [...select.options].map(({ value, textContent }) => ({ value, text: textContent }));
  const same = JSON.stringify(shown) === JSON.stringify(options.map(({ value, text }) => ({ value, text })));
  if (!same) select.replaceChildren(...options.map(({ value, text }) => element("option", { value, text })));
  if (select.value !== chosen) select.value = chosen;
}
