/** Microphone part of the settings: device, level and sound processing. */

import { deviceList, group, line, showLine, toggle } from "./controls.js";

/** @typedef {import("./controls.js").Page} Page */
/** @typedef {import("./controls.js").Part} Part */
/** @typedef {import("../../media/constraints.js").ProcessingName} ProcessingName */

/**
 * Words and ids of the browser's own sound processing.
 * @type {Record<ProcessingName, { id: string, key: string }>}
 */
const PROCESSING = {
  echoCancellation: { id: "echo-cancellation", key: "devices.echo" },
  noiseSuppression: { id: "browser-noise-suppression", key: "devices.browser-noise" },
  autoGainControl: { id: "automatic-gain", key: "devices.gain" },
};

/** @param {Page} page @returns {Part} */
export function microphonePart(page) {
  const { media, say, element } = page;
  const device = deviceList(page, "microphone");
  /** @type {HTMLMeterElement} */
  const meter = element("meter", { id: "microphone-level", max: 1, value: 0, "aria-label": say("devices.level") });
  const hint = line(page);
  const stopMeter = media.watchLevel((level) => (meter.value = level));

  const names = /** @type {ProcessingName[]} */ (Object.keys(media.processing));
  const switches = names.map((name) => {
    const { id, key } = PROCESSING[name];
    return { name, ...toggle(page, { id, label: say(key), onSwitch: (on) => media.setProcessing({ [name]: on }) }) };
  });
  const noise = toggle(page, {
    id: "noise-suppression",
    label: say("devices.noise"),
    describedBy: "noise-state",
    onSwitch: (on) => media.setNoiseSuppression(on),
  });
  const noiseState = line(page, "noise-state");

  const draw = () => {
    device.draw();
    showLine(hint, say(media.microphone.status === "on" ? "devices.level-hint" : "devices.level-off"));
    const { processing } = media;
    for (const { name, input } of switches) input.checked = Boolean(processing[name]);
    noise.input.checked = media.noiseSuppression;
    showLine(noiseState, say(noiseKey(media)));
  };
  const nodes = [...device.nodes, meter, hint, ...switches.map(({ root }) => root), noise.root, noiseState];
  const root = group(page, say("devices.microphone"), ...nodes);
  return { root, draw, close: stopMeter };
}

/** @param {Page["media"]} media */
function noiseKey(media) {
  if (media.noiseSuppressed) return "devices.noise-on";
  return media.noiseSuppression && media.microphone.live ? "devices.noise-starting" : "devices.noise-explained";
}
