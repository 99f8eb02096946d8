/** Speaker part of the settings: device and test tone. */

import { showOptions } from "../../fields.js";
import { deviceOptions, group, line, list, showLine } from "./controls.js";

/** @typedef {import("./controls.js").Page} Page */
/** @typedef {import("./controls.js").Part} Part */

/** Notes of the test tone, in hertz, each as long as NOTE_SECONDS. */
const NOTES = [523, 659, 784];
const NOTE_SECONDS = 0.35;

/** Longest time until a tone must have begun. */
const START_MS = 3000;

/** @param {Page} page @returns {Part} */
export function speakerPart(page) {
  const { media, say, element } = page;
  const { root: field, select } = list(page, {
    id: "speaker-device",
    label: say("devices.speaker"),
    titled: true,
    onChoose: (deviceId) => media.chooseSpeaker(deviceId),
  });
  field.hidden = !media.canChooseSpeaker;
  const bySystem = line(page, "speaker-by-system", say("devices.speaker-by-system"));
  bySystem.hidden = media.canChooseSpeaker;
  const state = line(page, "speaker-state");
  state.hidden = true;
  const test = element("button", {
    id: "speaker-test",
    type: "button",
    text: say("devices.test-speaker"),
    "aria-describedby": "speaker-state",
    onclick: async () => {
      showLine(state, say("devices.test-playing"));
      const heard = await playTone(media.speakerId);
      showLine(state, heard ? "" : say("devices.test-failed"), !heard);
    },
  });
  // Firefox lists a speaker only once the person chose it in the browser's own list.
  const picker = /** @type {any} */ (navigator.mediaDevices)?.selectAudioOutput;
  const more = element("button", {
    id: "speaker-more",
    type: "button",
    hidden: !picker,
    text: say("devices.more-speakers"),
    onclick: async () => {
      // Rejects if the picker was closed without a choice.
      const chosen = await picker.call(navigator.mediaDevices).catch(() => null);
      if (!chosen) return;
      await media.refreshLists();
      await media.chooseSpeaker(chosen.deviceId);
    },
  });

  const draw = () => {
    const devices = media.lists.speaker;
    const options = deviceOptions(page, devices, say("devices.speaker"));
    const known = devices.some(({ deviceId }) => deviceId === media.speakerId);
    // Chromium lists its default speaker under this name, others do not.
    const fallback = devices.some(({ deviceId }) => deviceId === "default") ? "default" : "";
    if (!known && !fallback) options.unshift({ value: "", text: say("devices.default") });
    showOptions(page, select, options, known ? media.speakerId : fallback);
  };
  const buttons = element("div", { class: "row" }, test, more);
  return { root: group(page, say("devices.speaker"), field, bySystem, buttons, state), draw, close: () => stopTone() };
}

/** Ends the tone that plays. */
let stopTone = () => {};

/**
 * Plays a short tone on a speaker.
 * @param {string} speakerId
 * @returns {Promise<boolean>} Whether it was played.
 */
async function playTone(speakerId) {
  stopTone();
  const context = new AudioContext();
  const destination = new MediaStreamAudioDestinationNode(context);
  const audio = new Audio();
  audio.srcObject = destination.stream;
  const ended = new Promise((resolve) => {
    const end = (/** @type {boolean} */ played) => {
      audio.srcObject = null;
      context.close().catch(() => {});
      resolve(played);
    };
    stopTone = () => end(true);
    setTimeout(() => context.currentTime === 0 && end(false), START_MS);
    schedule(context, destination).addEventListener("ended", () => end(true));
  });
  try {
    if (speakerId) await audio.setSinkId(speakerId);
    context.resume().catch(() => {});
    await audio.play();
  } catch {
    stopTone();
    return false;
  }
  return /** @type {Promise<boolean>} */ (ended);
}

/**
 * Schedules the notes, and returns the last one.
 * @param {AudioContext} context @param {AudioNode} target
 */
function schedule(context, target) {
  const notes = NOTES.map((frequency, index) => {
    const begin = context.currentTime + index * NOTE_SECONDS;
    const note = new OscillatorNode(context, { frequency });
    const volume = new GainNode(context, { gain: 0 });
    // A ramp at either end, since a tone that begins at once clicks.
    volume.gain.setValueAtTime(0, begin);
    volume.gain.linearRampToValueAtTime(0.2, begin + 0.03);
    volume.gain.linearRampToValueAtTime(0, begin + NOTE_SECONDS);
    note.connect(volume).connect(target);
    note.start(begin);
    note.stop(begin + NOTE_SECONDS);
    return note;
  });
  return notes[notes.length - 1];
}
