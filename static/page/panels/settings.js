/** Settings panel: camera, background, microphone, speaker, and the way back from a refusal. */

import { backgroundPart } from "./settings/background.js";
import { cameraPart } from "./settings/camera.js";
import { microphonePart } from "./settings/microphone.js";
import { refusalPart } from "./settings/refusal.js";
import { speakerPart } from "./settings/speaker.js";

/** @typedef {import("./settings/controls.js").Page} Page */

/** Words of this panel. */
export const words = {
  en: () => import("./settings/words/en.js"),
  zh: () => import("./settings/words/zh.js"),
};

/** Time between two looks at what the camera gives, which no event reports. */
const PERIOD_MS = 1000;

/**
 * Fills the panel.
 * @param {HTMLElement} section @param {Page} page
 * @returns {() => void} Ends what the panel does while it is open.
 */
export function open(section, page) {
  const parts = [refusalPart(page), cameraPart(page), backgroundPart(page), microphonePart(page), speakerPart(page)];
  section.classList.add("settings");
  section.append(...parts.map(({ root }) => root));
  const draw = () => parts.forEach((part) => part.draw());
  draw();
  const timer = setInterval(draw, PERIOD_MS);
  page.media.addEventListener("change", draw);
  page.media.refreshLists();
  return () => {
    clearInterval(timer);
    page.media.removeEventListener("change", draw);
    parts.forEach((part) => part.close?.());
  };
}
