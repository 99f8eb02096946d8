/** States of microphone and camera, as the members of a room tell each other. */

/** @typedef {"on" | "off" | "none" | "refused" | "busy"} DeviceState */

/**
 * State of a member's microphone and camera.
 * @typedef {{ microphone: DeviceState, camera: DeviceState }} MediaStates
 */

/** @typedef {"audio" | "video"} Kind */

/**
 * Kinds of the camera purpose that have a track at present.
 * @typedef {Record<Kind, boolean>} Sends
 */

/** @type {readonly Kind[]} */
export const KINDS = ["audio", "video"];

/** @type {Readonly<MediaStates>} */
export const UNKNOWN_STATES = Object.freeze({ microphone: "none", camera: "none" });

const STATES = new Set(["on", "off", "none", "refused", "busy"]);

/** Whether a value is a state of a device. @param {unknown} value */
const isState = (value) => STATES.has(/** @type {string} */ (value));

/**
 * Checks the states that a page sets.
 * @param {Partial<MediaStates>} states
 * @returns {Partial<MediaStates>}
 */
export function checkStates({ microphone, camera }) {
  for (const state of [microphone, camera]) {
    if (state !== undefined && !isState(state)) throw new TypeError(`"${state}" is no state of a device`);
  }
  return { ...(microphone && { microphone }), ...(camera && { camera }) };
}

/**
 * Parses the states that a peer sent, or returns null.
 * @param {any} value
 * @returns {MediaStates | null}
 */
export function parseStates(value) {
  if (!isState(value?.microphone) || !isState(value?.camera)) return null;
  return { microphone: value.microphone, camera: value.camera };
}

/**
 * Parses the kinds that a peer sends, or returns null.
 * @param {any} value
 * @returns {Sends | null}
 */
export function parseSends(value) {
  if (typeof value?.audio !== "boolean" || typeof value?.video !== "boolean") return null;
  return { audio: value.audio, video: value.video };
}
