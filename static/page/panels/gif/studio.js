/**
 * GIFs and choices of this person, and the one that is being made: kept while the panel is closed.
 */

import { datedName } from "../../file-names.js";
import { Gallery } from "../../pictures/gallery.js";
import { PIXEL_BYTES, Recording } from "./recording.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../pictures.js").Picture} Picture */

/** Choices whose delays a GIF can tell exactly: it counts hundredths of a second. */
export const RATES = [5, 10, 20];
/** The largest choices together bound the memory: 480 x 480 x 2 bytes x 20 x 10 are 92 MB. */
export const SIZES = [160, 240, 320, 480];
export const LENGTHS = [2, 3, 5, 10];

/**
 * Bytes of a GIF per pixel, before one of the same picture was made. A photographed head that sways
 * took 0.32, with the noise of a dim camera 0.46, and one that stands still 0.02.
 */
const USUAL_DENSITY = 0.3;

/**
 * Maker of one GIF at a time. Event: `change`.
 *
 * States: `idle`, `recording` (the next seconds), `encoding`.
 */
class Studio extends EventTarget {
  gallery = new Gallery({ count: 12, bytes: 150e6 });
  size = 320;
  fps = 10;
  seconds = 3;
  /** Whether the last seconds are taken, and not the next ones. */
  isLast = false;
  /** @type {"idle" | "recording" | "encoding"} */
  state = "idle";
  /** Key of the sentence on the latest event. */
  message = "";
  /** Recording that becomes a GIF. @type {Recording | null} */
  recording = null;
  /** Frames of the last seconds, while the panel is open. @type {Recording | null} */
  ring = null;
  /** Bytes per pixel of the latest GIF, by picture. @type {Map<string, number>} */
  #densities = new Map();
  /** Page to tell what happens, also while the panel is closed. @type {Page | null} */
  #page = null;

  /** Share that is done: of the recording, then of the encoding. */
  get progress() {
    if (!this.recording) return 0;
    return this.recording.progress ?? this.recording.seconds / this.recording.plan.seconds;
  }

  /**
   * Keeps the last seconds of a picture. Frames stay if only its end is news.
   * @param {Page} page @param {Picture | null} picture
   */
  watch(page, picture) {
    if (this.state !== "idle") return;
    const { size, fps, seconds } = this;
    const { ring } = this;
    if (!picture && ring) return this.#changed();
    const plan = ring?.plan;
    const isSame = ring?.picture.id === picture?.id && !ring?.ended && plan?.size === size && plan?.fps === fps && plan?.seconds === seconds;
    if (isSame) return;
    this.unwatch();
    if (picture) this.ring = this.#record(page, picture);
    this.#changed();
  }

  /** Drops the last seconds. */
  unwatch() {
    this.ring?.close();
    this.ring = null;
  }

  /**
   * Makes a GIF of the last or the next seconds.
   * @param {Page} page @param {Picture | null} picture
   */
  make(page, picture) {
    this.#page = page;
    this.message = "";
    if (this.isLast) {
      const { ring } = this;
      if (!ring?.hasFrames) return this.#changed("gif.nothing-yet");
      this.ring = null;
      this.recording = ring;
      return this.#encode(ring);
    }
    if (!picture) return this.#changed("pictures.no-picture");
    this.unwatch();
    this.recording = this.#record(page, picture);
    this.state = "recording";
    this.#changed();
  }

  /** Ends what is being made, and frees its memory. */
  cancel() {
    this.recording?.close();
    this.#idle("gif.cancelled");
  }

  /** Estimated bytes of a GIF with these choices. @param {Picture | null} picture */
  estimate(picture) {
    return this.#pixels(picture) * (this.#densities.get(picture?.id ?? "") ?? USUAL_DENSITY);
  }

  /** Greatest number of bytes that the frames take. @param {Picture | null} picture */
  memory(picture) {
    return this.#pixels(picture) * PIXEL_BYTES;
  }

  /** @param {Picture | null} picture */
  #pixels(picture) {
    const { width = 16, height = 9 } = picture?.stream.getVideoTracks()[0]?.getSettings() ?? {};
    const ratio = Math.min(width, height) / Math.max(width, height) || 9 / 16;
    return this.size * this.size * ratio * this.fps * this.seconds;
  }

  /** @param {Page} page @param {Picture} picture */
  #record(page, picture) {
    this.#page = page;
    const { size, fps, seconds } = this;
    const recording = new Recording(page, picture, { size, fps, seconds });
    recording.addEventListener("frame", () => {
      if (this.recording === recording && recording.isFull) this.#encode(recording);
      else this.#changed();
    });
    recording.addEventListener("ended", () => this.#ended(recording));
    recording.addEventListener("progress", () => this.#changed());
    recording.addEventListener("done", () => this.#done(recording));
    recording.addEventListener("failed", () => {
      if (this.ring === recording) this.ring = null;
      this.#idle("gif.failed");
    });
    return recording;
  }

  /** @param {Recording} recording */
  #encode(recording) {
    this.state = "encoding";
    recording.encode();
    this.#changed();
  }

  /** Takes what came until the picture stopped. @param {Recording} recording */
  #ended(recording) {
    if (this.recording !== recording) return this.#changed();
    if (recording.hasFrames) return this.#encode(recording);
    recording.close();
    this.#idle("gif.nothing-came");
  }

  /** @param {Recording} recording */
  #done(recording) {
    const { gif, width, height, picture, plan, seconds, ended } = recording;
    if (!gif) return;
    this.#densities.set(picture.id, gif.size / (width * height * Math.max(1, Math.round(seconds * plan.fps))));
    const at = new Date();
    const { label } = picture;
    const removed = this.gallery.add({ blob: gif, name: `${datedName("gif", label, at)}.gif`, label, at, width, height });
    if (removed) this.#idle("pictures.oldest-removed");
    else this.#idle(ended ? "gif.stopped" : "gif.done");
  }

  /** @param {string} message */
  #idle(message) {
    this.recording = null;
    this.state = "idle";
    this.#changed(message);
  }

  /** @param {string} [message] Key of a sentence to tell. */
  #changed(message) {
    if (message) {
      this.message = message;
      this.#page?.announce(this.#page.say(message));
    }
    this.dispatchEvent(new CustomEvent("change", { detail: { message } }));
  }
}

export const studio = new Studio();
