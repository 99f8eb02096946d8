/** Recording panel: subject, format, start and pause; the finished recordings. */

import { labelled } from "../fields.js";
import { datedName } from "../file-names.js";
import { pictureList } from "../pictures.js";
import { withPictureWords } from "../pictures/words.js";
import { sizeText } from "../sizes.js";
import { timeText } from "./record/duration.js";
import { MEMORY_BYTES } from "./record/folder.js";
import { convertedFormats, recordedFormats } from "./record/formats.js";
import { recordingLine } from "./record/line.js";
import { recorderOf } from "./record/recorder.js";
import { everybody, onePicture, ownScreen } from "./record/subject.js";

/** @typedef {import("../page.js").Page} Page */
/** @typedef {import("./record/formats.js").Format} Format */
/** @typedef {import("./record/recorder.js").Item} Item */
/** @typedef {import("./record/subject.js").Subject} Subject */

/** Words of this panel. */
export const words = withPictureWords({
  en: () => import("./record/words/en.js"),
  zh: () => import("./record/words/zh.js"),
});

/** Time between two looks at size and time. */
const PERIOD_MS = 500;

/** Formats of this browser, once they are tried. @type {Format[]} */
let formats = [];
/** @type {Promise<void> | null} */
let trying = null;

/** @type {any} */
const global = window;

/**
 * Fills the panel.
 * @param {HTMLElement} section @param {Page} page
 * @returns {() => void} Ends what the panel does while it is open.
 */
export function open(section, page) {
  const { element, say } = page;
  const recorder = recorderOf(page);
  if (!formats.length) formats = recordedFormats();
  section.classList.add("recording");
  if (!formats.length) {
    section.append(element("p", { text: say("record.unsupported") }));
    return () => {};
  }

  const what = pictureList(page, { id: "record-what", label: say("record.what"), extra: subjects(page) });
  /** @type {HTMLSelectElement} */
  const format = element("select", { id: "record-format", onchange: () => page.remember.set("record-format", format.value) });
  /** @type {HTMLInputElement} */
  const toFile = element("input", { id: "record-to-file", type: "checkbox", role: "switch" });
  const fileSwitch = element("label", { class: "switch", hidden: !global.showSaveFilePicker },
    toFile, element("span", { class: "track" }), element("span", { text: say("record.to-file") }));
  const choices = element("div", { class: "record-choices" },
    what.root,
    labelled(page, say("record.format"), format),
    fileSwitch,
  );
  const hint = element("p", { class: "quiet", text: say("record.hint") });
  const start = element("button", { id: "record-start", type: "button", onclick: () => (recorder.running ? recorder.stop() : begin()) });
  const pause = element("button", { id: "record-pause", type: "button",
    onclick: () => (recorder.running?.state === "paused" ? recorder.resume() : recorder.pause()) });
  const state = element("p", { id: "record-state", class: "record-state" });
  const trouble = element("p", { id: "record-trouble", class: "trouble" });
  const list = recordingList(page, recorder);
  section.append(choices, hint, element("div", { class: "row" }, start, pause), state, trouble, ...list.nodes);

  const drawFormats = () => {
    const wanted = format.value || page.remember.get("record-format") || "";
    format.replaceChildren(...formats.map(({ value, name }) => element("option", { value, text: name })));
    format.value = formats.some(({ value }) => value === wanted) ? wanted : formats[0].value;
  };
  drawFormats();
  trying ??= convertedFormats(formats).then((more) => {
    formats = [...formats, ...more].sort((a, b) => Number(b.hasVideo) - Number(a.hasVideo));
  });
  trying.then(drawFormats);

  const begin = async () => {
    const { call } = page;
    const chosen = /** @type {Format} */ (formats.find(({ value }) => value === format.value));
    /** @type {Subject | null} */
    let subject = null;
    /** @type {FileSystemFileHandle | null} */
    let handle = null;
    try {
      if (toFile.checked && !fileSwitch.hidden) handle = await chooseFile(what.select, chosen);
      subject = await subjectOf(page, what.select.value, what.chosen());
    } catch (error) {
      const { name } = /** @type {Error} */ (error);
      if (name !== "AbortError") recorder.trouble = say(name === "NotAllowedError" ? "record.not-allowed" : "record.cannot-start");
      return draw();
    }
    // Agreed to for one call, it must not record the next one.
    if (page.call !== call) subject?.close?.();
    else if (subject) await recorder.start(subject, chosen, handle);
  };

  const figures = () => {
    const { running } = recorder;
    state.hidden = !running;
    if (!running) return;
    const parts = [timeText(running.elapsedMs / 1_000), sizeText(running.file.size)];
    state.textContent = `${say(running.state === "paused" ? "record.paused" : "record.running")} ${parts.join(" · ")}`;
  };
  const draw = () => {
    const { running } = recorder;
    for (const control of /** @type {NodeListOf<HTMLSelectElement>} */ (choices.querySelectorAll("#record-format, #record-to-file"))) {
      control.disabled = recorder.isActive;
    }
    what.select.disabled = recorder.isActive || !what.select.options.length;
    // Browsers ask one question for each click, and that one is for the screen.
    fileSwitch.hidden = !global.showSaveFilePicker || what.select.value === "screen";
    if (!page.call && !running) hint.textContent = say("record.no-call");
    else hint.textContent = running?.file.inMemory
      ? say("record.memory", { limit: sizeText(MEMORY_BYTES) })
      : say(running ? "record.hint-running" : "record.hint");
    start.textContent = say(running ? "record.stop" : "record.start");
    start.className = running ? "danger" : "primary";
    start.disabled = recorder.starting || !page.call;
    pause.hidden = !running;
    pause.textContent = say(running?.state === "paused" ? "record.resume" : "record.pause");
    trouble.textContent = recorder.trouble;
    trouble.hidden = !trouble.textContent;
    list.draw();
    figures();
  };
  draw();
  what.select.addEventListener("change", draw);
  const timer = setInterval(figures, PERIOD_MS);
  recorder.addEventListener("change", draw);
  recorder.addEventListener("progress", list.progressed);
  for (const type of ["call", "chat"]) page.events.addEventListener(type, draw);
  return () => {
    clearInterval(timer);
    what.close();
    recorder.removeEventListener("change", draw);
    recorder.removeEventListener("progress", list.progressed);
    for (const type of ["call", "chat"]) page.events.removeEventListener(type, draw);
  };
}

/**
 * Builds the list of recordings, and the heading above it.
 * @param {Page} page @param {import("./record/recorder.js").Recorder} recorder
 */
function recordingList(page, recorder) {
  const { element, say } = page;
  const title = element("h3", { text: say("record.list") });
  const list = element("ul", { id: "recordings", "aria-label": say("record.list") });
  /** @type {Map<Item, { root: HTMLElement, draw: () => void }>} */
  const lines = new Map();
  const draw = () => {
    const { items } = recorder;
    for (const [item, { root }] of lines) {
      if (items.includes(item)) continue;
      root.remove();
      lines.delete(item);
    }
    for (const item of items) if (!lines.has(item)) lines.set(item, recordingLine(page, recorder, item));
    items.forEach((item, index) => {
      const line = /** @type {{ root: HTMLElement, draw: () => void }} */ (lines.get(item));
      line.draw();
      if (list.children[index] !== line.root) list.insertBefore(line.root, list.children[index] ?? null);
    });
    title.hidden = list.hidden = items.length === 0;
  };
  const progressed = (/** @type {Event} */ event) => lines.get(/** @type {CustomEvent<Item>} */ (event).detail)?.draw();
  return { nodes: [title, list], draw, progressed };
}

/** Subjects beside the pictures. @param {Page} page */
const subjects = ({ say, media }) => [
  { value: "all", text: say("record.everybody") },
  ...(media.canShareScreen ? [{ value: "screen", text: say("record.screen") }] : []),
];

/**
 * @param {Page} page @param {string} value @param {import("../pictures.js").Picture | null} picture
 * @returns {Promise<Subject | null>}
 */
async function subjectOf(page, value, picture) {
  if (value === "all") return everybody(page);
  if (value === "screen") return ownScreen(page, await navigator.mediaDevices.getDisplayMedia({ video: true, audio: true }));
  return picture && onePicture(page, picture);
}

/** @param {HTMLSelectElement} what @param {Format} format */
function chooseFile(what, { type, extension, name }) {
  const label = what.selectedOptions[0]?.textContent ?? "";
  return global.showSaveFilePicker({
    suggestedName: `${datedName("recording", label, new Date())}.${extension}`,
    types: [{ description: name, accept: { [type.split(";")[0]]: [`.${extension}`] } }],
  });
}
