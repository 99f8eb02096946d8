/** Frames of one picture on their way into one GIF. */

import { ownUrl } from "../../own-url.js";
import { pictures, playPicture } from "../../pictures.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../pictures.js").Picture} Picture */
/** @typedef {import("./worker.js").Answer} Answer */
/** @typedef {import("./worker.js").Order} Order */

/**
 * `size`: pixels of the longer side. `seconds`: longest duration.
 * @typedef {{ size: number, fps: number, seconds: number }} Plan
 */

/** Time in which a picture has to show a first frame. */
const PATIENCE_MS = 5_000;

/** Bytes of a pixel that is kept. */
export const PIXEL_BYTES = 2;

/**
 * Recording, and at the end its encoding, in a worker of its own. Ending the worker frees all
 * frames.
 *
 * Events: `frame` (one more came), `ended` (the picture stopped, or showed nothing), `progress`,
 * `done`, `failed`.
 */
export class Recording extends EventTarget {
  /** Share of the encoding that is done, or null before it. @type {number | null} */
  progress = null;
  /** The GIF, at the end. @type {Blob | null} */
  gif = null;
  /** Size of the frames, since the first one. */
  width = 0;
  height = 0;
  /** Whether the picture stopped. */
  ended = false;
  /** Times of the first and the last frame. @type {{ first: number, last: number } | null} */
  #times = null;
  #begun = performance.now();
  /** @type {Worker} */ #worker;
  #playing;
  #canvas = document.createElement("canvas");

  /** @param {Page} page @param {Picture} picture @param {Plan} plan */
  constructor(page, picture, plan) {
    super();
    this.page = page;
    this.picture = picture;
    this.plan = plan;
    this.#playing = playPicture(picture);
    this.#worker = new Worker(ownUrl("page/panels/gif/worker.js"), { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => this.#answered(data));
    this.#worker.addEventListener("error", (event) => {
      console.warn(event.message);
      this.close();
      this.dispatchEvent(new Event("failed"));
    });
    this.#order({ plan: { fps: plan.fps, seconds: plan.seconds } });
  }

  /** Whether there is a frame. */
  get hasFrames() {
    return Boolean(this.#times);
  }

  /** Seconds that are kept now. */
  get seconds() {
    if (!this.#times) return 0;
    return Math.min(this.plan.seconds, (this.#times.last - this.#times.first) / 1_000 + 1 / this.plan.fps);
  }

  /** Whether the whole duration is there. */
  get isFull() {
    return this.seconds > this.plan.seconds - 0.5 / this.plan.fps;
  }

  /** Makes the GIF of what came so far. There must be a frame. */
  encode() {
    const { width, height } = this;
    this.#stopSource();
    this.progress = 0;
    const count = Math.max(1, Math.round(this.seconds * this.plan.fps));
    this.#order({ encode: { width, height, until: this.#times?.last ?? 0, count } });
  }

  /** Ends everything and frees the memory. */
  close() {
    this.#stopSource();
    this.#worker.terminate();
  }

  #stopSource() {
    this.#playing.close();
    this.#canvas.width = 0;
  }

  /** @param {Order} order @param {Transferable[]} [transfer] */
  #order(order, transfer = []) {
    this.#worker.postMessage(order, transfer);
  }

  /** @param {Answer} answer */
  #answered(answer) {
    if ("tick" in answer) {
      // One that was asked before the encoding began.
      if (this.progress !== null || this.ended) return;
      return this.#sample();
    }
    if ("progress" in answer) {
      this.progress = answer.progress;
      return this.dispatchEvent(new Event("progress"));
    }
    this.gif = new Blob([answer.gif], { type: "image/gif" });
    this.close();
    this.dispatchEvent(new Event("done"));
  }

  #sample() {
    const now = performance.now();
    const isLive = pictures(this.page).some(({ id }) => id === this.picture.id);
    const isLate = !this.#times && now - this.#begun > PATIENCE_MS;
    if (!isLive || isLate) {
      this.ended = true;
      this.#stopSource();
      this.dispatchEvent(new Event("ended"));
      return;
    }
    const pixels = this.#draw();
    if (!pixels) return this.#order({ none: true });
    this.#times = { first: this.#times?.first ?? now, last: now };
    this.#order({ frame: pixels, at: now }, [pixels]);
    this.dispatchEvent(new Event("frame"));
  }

  /** Draws the current frame small. @returns {ArrayBuffer | null} */
  #draw() {
    const { video } = this.#playing;
    const { videoWidth, videoHeight, readyState } = video;
    if (readyState < HTMLMediaElement.HAVE_CURRENT_DATA || !videoWidth) return null;
    if (!this.width) {
      const scale = this.plan.size / Math.max(videoWidth, videoHeight);
      this.width = Math.max(1, Math.round(videoWidth * scale));
      this.height = Math.max(1, Math.round(videoHeight * scale));
      Object.assign(this.#canvas, { width: this.width, height: this.height });
    }
    const { width, height } = this;
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d", { willReadFrequently: true, alpha: false }));
    // A window that is shared may change its shape; all frames of a GIF have one.
    const scale = Math.min(width / videoWidth, height / videoHeight);
    const [shownWidth, shownHeight] = [videoWidth * scale, videoHeight * scale];
    context.imageSmoothingQuality = "high";
    context.fillRect(0, 0, width, height);
    context.drawImage(video, (width - shownWidth) / 2, (height - shownHeight) / 2, shownWidth, shownHeight);
    return context.getImageData(0, 0, width, height).data.buffer;
  }
}
