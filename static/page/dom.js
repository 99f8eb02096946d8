/** Elements: looked up, and built without HTML text. */

/** @type {(id: string) => any} */
export const byId = (id) => document.getElementById(id);

/**
 * Builds an element. `class` and `text` are its class names and text content; functions whose name
 * begins with `on` become listeners; booleans set or omit an attribute.
 *
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function element(tag, { text, ...attributes } = {}, ...children) {
  const built = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) built.addEventListener(name.slice(2), value);
    else if (value === true) built.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) built.setAttribute(name, String(value));
  }
  if (text !== undefined) built.textContent = text;
  built.append(...children);
  return built;
}

/**
 * Builds an icon of the document's sprite.
 * @param {string} name Name of the symbol, without `i-`.
 * @param {string} [classes]
 */
export function icon(name, classes) {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("aria-hidden", "true");
  if (classes) svg.setAttribute("class", classes);
  const use = document.createElementNS(namespace, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * Loads style sheets, each once. Without them a part is usable, too.
 * @param {string[]} names Files in `styles/`, without `.css`.
 */
export const loadStyles = (names) => Promise.all(names.map(loadStyle));

/** Style sheets that were asked for. @type {Map<string, Promise<unknown>>} */
const styles = new Map();

/** @param {string} name */
function loadStyle(name) {
  const loading = styles.get(name) ?? new Promise((resolve) => {
    document.head.append(element("link", { rel: "stylesheet", href: `styles/${name}.css`, onload: resolve, onerror: resolve }));
  });
  styles.set(name, loading);
  return loading;
}

/**
 * Whether the person is writing, so that letters are not shortcuts.
 * @param {EventTarget | null} target
 */
export const isWriting = (target) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
