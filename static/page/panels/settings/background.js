/** Background part of the settings: what the others see behind the person. */

import { FileRefused, SCENE_NAMES, chosen } from "../../background/behind.js";
import { showOptions } from "../../fields.js";
import { group, line, list, showLine } from "./controls.js";

/** @typedef {import("./controls.js").Page} Page */
/** @typedef {import("./controls.js").Part} Part */

const MODES = ["none", "blur", "image", "chroma", "person"];

/** Modes with a picture behind the person. */
const WITH_PICTURE = ["image", "chroma"];

/** @param {Page} page @returns {Part} */
export function backgroundPart(page) {
  const { media, say, element } = page;
  const mode = list(page, {
    id: "background",
    label: say("background.title"),
    describedBy: "background-state",
    titled: true,
    onChoose: (value) => media.setBackground({ mode: value }),
  });
  const options = MODES.map((value) => ({ value, text: say(`background.mode-${value}`) }));
  const state = line(page, "background-state");
  const retry = element("button", {
    id: "background-retry",
    type: "button",
    text: say("background.retry"),
    onclick: () => media.setBackground({}),
  });
  const behind = behindControls(page);
  const plain = colorField(page, "background-color", say("background.color"), (color) => media.setBackground({ color }));
  const green = greenScreen(page);

  const draw = () => {
    const { background, backgroundState } = media;
    showOptions(page, mode.select, options, background.mode);
    const isFailed = backgroundState === "failed";
    showLine(state, say(stateKey(page)), isFailed || backgroundState === "unsupported");
    retry.hidden = !isFailed;
    behind.draw();
    plain.root.hidden = background.mode !== "person";
    plain.show(background.color);
    green.draw();
  };
  const nodes = [mode.root, state, retry, plain.root, ...green.nodes, ...behind.nodes];
  return { root: group(page, say("background.title"), ...nodes), draw, close: green.close };
}

/** @param {Page} page */
function stateKey({ media }) {
  const { background, backgroundState } = media;
  if (media.camera.live && backgroundState !== "ready") return `background.${backgroundState}`;
  return `background.explained-${background.mode}`;
}

/** List of the pictures, and the choice of a file. @param {Page} page */
function behindControls(page) {
  const { media, say, element } = page;
  const behind = list(page, {
    id: "background-behind",
    label: say("background.behind"),
    onChoose: (value) => media.setBackground({ behind: value }),
  });
  const trouble = line(page, "background-file-state");
  /** @type {HTMLInputElement} */
  const file = element("input", {
    id: "background-file",
    type: "file",
    accept: "image/*,video/*",
    "aria-describedby": "background-file-state",
    onchange: async () => {
      const [picked] = file.files ?? [];
      if (!picked) return;
      try {
        await chosen.take(picked);
        refused = "";
        media.setBackground({ behind: "file" });
      } catch (error) {
        console.warn(error);
        refused = say(error instanceof FileRefused ? error.key : "background.file-broken");
        // The same file may be chosen again.
        file.value = "";
        page.announce(refused);
        draw();
      }
    },
  });
  const label = element("label", { for: "background-file", text: say("background.file") });
  const field = element("div", { class: "settings-field" }, label, file);
  let refused = "";
  const draw = () => {
    const { background } = media;
    const isShown = WITH_PICTURE.includes(background.mode);
    behind.root.hidden = field.hidden = !isShown;
    const names = [...SCENE_NAMES, ...(background.mode === "chroma" ? ["blur"] : []), ...(chosen.file ? ["file"] : [])];
    const options = names.map((value) => ({
      value,
      text: value === "file" && chosen.file ? chosen.file.name : say(`background.behind-${value}`),
    }));
    showOptions(page, behind.select, options, names.includes(background.behind) ? background.behind : SCENE_NAMES[0]);
    showLine(trouble, isShown ? refused || say("background.file-kept") : "", Boolean(refused));
  };
  return { nodes: [behind.root, field, trouble], draw };
}

/**
 * Colour and limits of the green screen, and the picture to take the colour from.
 * @param {Page} page
 */
function greenScreen(page) {
  const { media, say, element } = page;
  const setKey = (/** @type {string} */ key) => media.setBackground({ key });
  const color = colorField(page, "chroma-color", say("background.key"), setKey);
  /** @type {HTMLVideoElement} */
  const video = element("video", { autoplay: true, playsinline: true, muted: true });
  video.muted = true;
  const pick = element("button", {
    id: "chroma-picture",
    type: "button",
    "aria-label": say("background.pick"),
    title: say("background.pick"),
    onclick: (/** @type {MouseEvent} */ event) => {
      const key = colorAt(video, placeOf(event, pick, media.mirrored));
      if (key) setKey(key);
    },
  }, video);
  const hint = line(page, undefined, say("background.pick-hint"));
  const ranges = /** @type {const} */ (["tolerance", "softness", "spill"]).map((name) => {
    const id = `chroma-${name}`;
    const onInput = (/** @type {number} */ value) => media.setBackground({ [name]: value });
    return { name, ...rangeField(page, id, say(`background.${name}`), onInput) };
  });
  const root = element("div", { class: "settings-field" }, color.root, pick, hint, ...ranges.map((range) => range.root));
  const draw = () => {
    const { background } = media;
    const isShown = background.mode === "chroma";
    root.hidden = !isShown;
    const source = isShown && media.camera.status === "on" ? media.camera.source : null;
    pick.hidden = hint.hidden = !source;
    showTrack(video, source);
    video.classList.toggle("mirrored", media.mirrored);
    color.show(background.key);
    for (const { name, show } of ranges) show(background[name]);
  };
  return { nodes: [root], draw, close: () => showTrack(video, null) };
}

/**
 * Shows the camera as it is.
 * @param {HTMLVideoElement} video @param {MediaStreamTrack | null} track
 */
function showTrack(video, track) {
  const stream = /** @type {MediaStream | null} */ (video.srcObject);
  if ((stream?.getTracks()[0] ?? null) !== track) video.srcObject = track && new MediaStream([track]);
}

/**
 * Place of a click in the picture, 0 to 1. A press of a key has none: it takes the upper corner.
 * @param {MouseEvent} event @param {HTMLElement} target @param {boolean} mirrored
 */
function placeOf({ clientX, clientY, detail }, target, mirrored) {
  const box = target.getBoundingClientRect();
  if (!detail) return { x: 0.05, y: 0.1 };
  const x = (clientX - box.left) / box.width;
  return { x: mirrored ? 1 - x : x, y: (clientY - box.top) / box.height };
}

/** Pixels on each side of a place whose mean is taken: cameras are noisy. */
const SPOT = 5;

/**
 * @param {HTMLVideoElement} video @param {{ x: number, y: number }} place
 * @returns {string} Empty without a picture.
 */
function colorAt(video, { x, y }) {
  const { videoWidth, videoHeight } = video;
  if (!videoWidth) return "";
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(1, 1).getContext("2d"));
  context.drawImage(video, x * videoWidth - SPOT, y * videoHeight - SPOT, 2 * SPOT, 2 * SPOT, 0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  return `#${[red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * @param {Page} page @param {string} id @param {string} label
 * @param {(color: string) => void} onInput
 */
function colorField({ element }, id, label, onInput) {
  /** @type {HTMLInputElement} */
  const input = element("input", { id, type: "color", oninput: () => onInput(input.value) });
  const root = element("div", { class: "settings-color" }, element("label", { for: id, text: label }), input);
  return { root, show: (/** @type {string} */ color) => input.value !== color && (input.value = color) };
}

/**
 * @param {Page} page @param {string} id @param {string} label
 * @param {(value: number) => void} onInput
 */
function rangeField({ element }, id, label, onInput) {
  /** @type {HTMLInputElement} */
  const input = element("input", { id, type: "range", min: 0, max: 100, oninput: () => onInput(input.valueAsNumber) });
  const root = element("div", { class: "settings-field" }, element("label", { for: id, text: label }), input);
  return { root, show: (/** @type {number} */ value) => input.valueAsNumber !== value && (input.valueAsNumber = value) };
}
