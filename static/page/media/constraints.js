/** Constraints of camera and microphone, and the facing of cameras. */

/** @typedef {import("./device.js").Kind} Kind */
/** @typedef {"user" | "environment"} Facing */
/** @typedef {{ width: number, height: number, frameRate: number }} Resolution */
/** @typedef {"echoCancellation" | "noiseSuppression" | "autoGainControl"} ProcessingName */
/** @typedef {Partial<Record<ProcessingName, boolean>>} Processing */

/** @type {Resolution} */
export const DEFAULT_RESOLUTION = { width: 1280, height: 720, frameRate: 30 };

/** @type {ProcessingName[]} */
const PROCESSING = ["echoCancellation", "noiseSuppression", "autoGainControl"];

/** Constraints that this browser knows. */
export const supported = () => navigator.mediaDevices?.getSupportedConstraints?.() ?? {};

/** Sound processing of the browser that can be switched, by the names of its constraints. */
export const supportedProcessing = () => PROCESSING.filter((name) => supported()[name]);

/**
 * Constraints for a picture. Every value is `ideal`, so that no camera is refused for them.
 * @param {Resolution} resolution
 * @returns {MediaTrackConstraints}
 */
export const pictureConstraints = ({ width, height, frameRate }) => ({
  width: { ideal: width },
  height: { ideal: height },
  frameRate: { ideal: frameRate },
});

/**
 * Constraints for a sound. Only what the person has switched is asked for.
 * @param {Processing} processing
 * @returns {MediaTrackConstraints}
 */
export const soundConstraints = (processing) =>
  Object.fromEntries(supportedProcessing().flatMap((name) => (name in processing ? [[name, processing[name]]] : [])));

/**
 * Facing of a camera: as the browser says, else by its name, else null.
 * @param {MediaStreamTrack} track
 * @returns {Facing | null}
 */
export function facingOf(track) {
  const { facingMode } = track.getSettings();
  if (facingMode === "user" || facingMode === "environment") return facingMode;
  if (BACK.test(track.label)) return "environment";
  return FRONT.test(track.label) ? "user" : null;
}

const BACK = /\b(back|rear|environment)\b|后置|後置|背面/i;
const FRONT = /\b(front|user|facetime)\b|前置/i;

/**
 * Whether this is a phone or tablet. There, two cameras cannot be open at once, and opening a
 * second microphone silences the first.
 */
export function isMobile() {
  const { userAgent, maxTouchPoints } = navigator;
  // An iPad calls itself a Mac, which has no touch screen.
  return /Android|iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && maxTouchPoints > 1);
}
