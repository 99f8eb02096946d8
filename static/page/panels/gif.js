/** Panel "GIF": the last or the next seconds of any picture of the call as an animation. */

import { labelled } from "../fields.js";
import { pictureList } from "../pictures.js";
import { galleryView } from "../pictures/gallery.js";
import { withPictureWords } from "../pictures/words.js";
import { sizeText } from "../sizes.js";
import { LENGTHS, RATES, SIZES, studio } from "./gif/studio.js";

/** @typedef {import("../page.js").Page} Page */

export const words = withPictureWords({
  en: () => import("./gif/words/en.js"),
  zh: () => import("./gif/words/zh.js"),
});

/** @param {HTMLElement} section @param {Page} page */
export function open(section, page) {
  const { element, say } = page;
  const list = pictureList(page, { id: "gif-picture", label: say("pictures.choose") });
  const view = galleryView(page, studio.gallery, { id: "gifs", title: say("gif.made"), alt: ({ label }) => say("gif.of", { name: label }) });
  const fields = element("fieldset", {}, element("legend", { class: "hidden", text: say("gif.choices") }), list.root);
  const help = element("p", { id: "gif-help", class: "quiet" });
  const estimate = element("p", { class: "quiet" });
  const kept = element("p", { class: "quiet" });
  const make = element("button", { id: "gif-make", type: "button", class: "primary", "aria-describedby": "gif-help", text: say("gif.make"), onclick: () => studio.make(page, list.chosen()) });
  const cancel = element("button", { id: "gif-cancel", type: "button", text: say("pictures.cancel"), onclick: () => studio.cancel() });
  const progress = element("progress", { id: "gif-progress", max: 1 });
  const step = element("label", { for: "gif-progress" });
  const working = element("div", { class: "working" }, step, progress, cancel);
  const result = element("p", { class: "result" });

  const watch = () => {
    if (studio.isLast) studio.watch(page, list.chosen());
    else studio.unwatch();
  };
  const draw = () => {
    const { state, isLast, seconds } = studio;
    const picture = list.chosen();
    const isIdle = state === "idle";
    const hadFocus = cancel === document.activeElement || make === document.activeElement;
    fields.disabled = !isIdle;
    make.hidden = !isIdle;
    working.hidden = isIdle;
    if (hadFocus) (isIdle ? make : cancel).focus();
    progress.value = studio.progress;
    step.textContent = isIdle ? "" : say(`gif.${state}`, { seconds: studio.recording?.plan.seconds ?? seconds });
    help.textContent = say(isLast ? "gif.last-help" : "gif.next-help");
    estimate.textContent = say("gif.estimate", { size: sizeText(studio.estimate(picture)), memory: sizeText(studio.memory(picture)) });
    kept.hidden = !isLast || !isIdle;
    kept.textContent = say("gif.kept", { kept: (studio.ring?.seconds ?? 0).toFixed(1), seconds });
    make.disabled = isLast ? !studio.ring?.hasFrames : !picture;
    result.textContent = isIdle && studio.message ? say(studio.message) : "";
    result.hidden = !result.textContent;
  };
  const chosen = () => {
    watch();
    draw();
  };
  const when = choice(page, { id: "gif-when", key: "gif.when", values: ["next", "last"], text: (value) => say(`gif.when-${value}`) });
  when.select.value = studio.isLast ? "last" : "next";
  when.select.addEventListener("change", () => {
    studio.isLast = when.select.value === "last";
    studio.message = "";
    chosen();
  });
  const numbers = element("div", { class: "numbers" },
    numberChoice(page, "seconds", LENGTHS, chosen), numberChoice(page, "size", SIZES, chosen), numberChoice(page, "fps", RATES, chosen));
  fields.append(when.root, numbers);

  const changed = (/** @type {Event} */ event) => {
    const { message } = /** @type {CustomEvent} */ (event).detail;
    // The last seconds begin again after a GIF.
    if (message) watch();
    draw();
  };
  const closed = new AbortController();
  studio.addEventListener("change", changed, { signal: closed.signal });
  list.select.addEventListener("change", chosen);
  section.classList.add("gif");
  section.append(fields, help, kept, estimate, make, working, result, view.root);
  chosen();
  return () => {
    closed.abort();
    list.close();
    view.close();
    studio.unwatch();
  };
}

/**
 * Builds a labelled list.
 * @param {Page} page
 * @param {{ id: string, key: string, values: (string | number)[], text: (value: any) => string }}
 *   options
 */
function choice(page, { id, key, values, text }) {
  /** @type {HTMLSelectElement} */
  const select = page.element("select", { id }, ...values.map((value) => page.element("option", { value, text: text(value) })));
  return { root: labelled(page, page.say(key), select), select };
}

/**
 * Builds the list of one number of the plan.
 * @param {Page} page @param {"seconds" | "size" | "fps"} name @param {number[]} values
 * @param {() => void} changed
 */
function numberChoice(page, name, values, changed) {
  const { root, select } = choice(page, { id: `gif-${name}`, key: `gif.${name}`, values, text: (value) => page.say(`gif.${name}-value`, { value }) });
  select.value = String(studio[name]);
  select.addEventListener("change", () => {
    studio[name] = Number(select.value);
    changed();
  });
  return root;
}
