/** Camera and microphone. */

import { BywayError } from "./errors.js";

/**
 * `getUserMedia` that fails with a sentence a person can act on.
 *
 * @param {MediaStreamConstraints} [constraints]
 * @returns {Promise<MediaStream>}
 */
export async function openCamera(constraints = { audio: true, video: true }) {
  if (!navigator.mediaDevices) throw new BywayError("insecure-page");
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (cause) {
    const code = CODES[/** @type {Error} */ (cause).name] ?? "camera-failed";
    throw new BywayError(code, undefined, { cause });
  }
}

/** @type {Record<string, string>} By the error names of getUserMedia. */
const CODES = {
  NotAllowedError: "camera-denied",
  SecurityError: "camera-denied",
  NotFoundError: "no-camera",
  OverconstrainedError: "no-camera",
  NotReadableError: "camera-busy",
};
