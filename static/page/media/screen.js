/** Sharing of a screen, a window or a tab. */

import { BywayError } from "../../byway.js";

/** Shared screen, with the sound of the system where the browser has it. */
export class ScreenShare {
  /** @type {MediaStream | null} */
  stream = null;
  /** @type {Promise<MediaStream | null> | null} */
  #opening = null;
  /** Number of times that sharing was stopped; a picker that is older than that is ignored. */
  #stops = 0;

  /** @param {(error: BywayError | null) => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /**
   * Opens the browser's picker. Must be called in a click, before anything is awaited.
   * @returns {Promise<MediaStream | null>} Null if the person chose nothing or it failed.
   */
  start() {
    if (this.stream) return Promise.resolve(this.stream);
    if (this.#opening) return this.#opening;
    const opening = this.#pick().finally(() => {
      if (this.#opening === opening) this.#opening = null;
    });
    return (this.#opening = opening);
  }

  async #pick() {
    const stops = this.#stops;
    let stream;
    try {
      if (!canShareScreen()) throw new BywayError("screen-unsupported", MESSAGES.unsupported);
      stream = await navigator.mediaDevices.getDisplayMedia(OPTIONS);
    } catch (cause) {
      const error = errorOf(cause);
      if (error) this.onChange(error);
      return null;
    }
    if (stops !== this.#stops) {
      stream.getTracks().forEach((track) => track.stop());
      return null;
    }
    this.#follow(stream);
    return stream;
  }

  /** @param {MediaStream} stream */
  #follow(stream) {
    this.stream = stream;
    for (const track of stream.getTracks()) {
      // Sharp letters matter more than smooth motion, and music must not be filtered as speech.
      track.contentHint = track.kind === "video" ? "detail" : "music";
      track.addEventListener("ended", () => this.#ended(stream, track));
    }
    this.onChange(null);
  }

  /** @param {MediaStream} stream @param {MediaStreamTrack} track */
  #ended(stream, track) {
    if (stream !== this.stream) return;
    if (track.kind === "video") this.stop();
    else stream.removeTrack(track);
  }

  stop() {
    this.#stops += 1;
    this.#opening = null;
    if (!this.stream) return;
    this.stream.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.onChange(null);
  }
}

export const canShareScreen = () => Boolean(navigator.mediaDevices?.getDisplayMedia);

/** Options that TypeScript's library does not all know yet. Browsers ignore those they lack. */
const OPTIONS = /** @type {DisplayMediaStreamOptions} */ ({
  video: { frameRate: { ideal: 30 } },
  // Music keeps its stereo sound.
  audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  systemAudio: "include",
  surfaceSwitching: "include",
  selfBrowserSurface: "exclude",
});

/** @param {unknown} cause @returns {BywayError | null} Null if the person closed the picker. */
function errorOf(cause) {
  if (cause instanceof BywayError) return cause;
  const { name, message } = /** @type {Error} */ (cause);
  if (name === "NotAllowedError" && !/system/i.test(message)) return null;
  const problem = name === "NotAllowedError" ? "denied" : "failed";
  return new BywayError(`screen-${problem}`, MESSAGES[problem], { cause });
}

const MESSAGES = {
  unsupported: "This browser cannot share a screen. Use a browser on a computer.",
  denied: "The system does not let this browser record the screen. Allow it in the system's settings.",
  failed: "The screen could not be shared. Choose another window or the whole screen.",
};
