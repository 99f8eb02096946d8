/** Way of the pictures through the worker: camera, segmentation, composition, and back. */

import { Compositor } from "./compositor.js";
import { SCRIPT, Segmenter, sizeOf } from "./segmenter.js";

/** @typedef {import("./compositor.js").Look} Look */

/**
 * Messages of the page to the worker. `source` and `sink` are the streams of a browser that lends
 * the frames of a track to a worker. `frame` is a single one, in other browsers. Its answer is
 * `picture`.
 * @typedef {{ type: "look", look: Look } | { type: "back", picture: ImageBitmap }
 *   | { type: "source", readable: ReadableStream<VideoFrame> }
 *   | { type: "sink", writable: WritableStream<VideoFrame> }
 *   | { type: "frame", frame: ImageBitmap }} Order
 */

/**
 * Messages of the worker to the page. `running` follows the first picture, `back` the picture
 * behind that was taken. `picture` is null while pictures are held back. With `isUnsupported`, this
 * browser cannot do it at all.
 * @typedef {{ type: "running" } | { type: "back" }
 *   | { type: "failed", reason: string, isUnsupported: boolean }
 *   | { type: "picture", picture: ImageBitmap | null }} Answer
 */

/**
 * @typedef {object} Surroundings
 * @property {(answer: Answer, transfer?: Transferable[]) => void} answer
 * @property {(path: string) => void} importScript Runs a script of the page's own.
 */

/** Smallest module with a SIMD instruction: `v128.const`, then `drop`. */
const SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0,
  10, 23, 1, 21, 0, 253, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 26, 11,
);

/** Lack of something that the browser would need. */
export class Unsupported extends Error {
  name = "Unsupported";
}

/** @param {unknown} error @returns {Answer} */
export const failureOf = (error) => ({ type: "failed", reason: String(error), isUnsupported: error instanceof Unsupported });

/** Makes pictures, one at a time. Those that come meanwhile are dropped by the camera's stream. */
export class Pipeline {
  #canvas = new OffscreenCanvas(1, 1);
  #gl;
  #compositor;
  /** Small copy of a picture, for the segmenter. */
  #thumbnail = new OffscreenCanvas(1, 1);
  /** Loads once. @type {Promise<Segmenter> | null} */
  #loading = null;
  /** @type {Segmenter | null} */
  #segmenter = null;
  /** Null until all that the first look needs is there. @type {Look | null} */
  #look = null;
  /** Number of looks that were asked for; one that waited is dropped if there is a later one. */
  #looks = 0;
  /** @type {ReadableStreamDefaultReader<VideoFrame> | null} */
  #reader = null;
  /** @type {WritableStreamDefaultWriter<VideoFrame> | null} */
  #writer = null;
  #ran = false;

  /** @param {Surroundings} surroundings */
  constructor({ answer, importScript }) {
    this.answer = answer;
    this.importScript = importScript;
    const gl = this.#canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false });
    if (!gl) throw new Unsupported("no WebGL 2");
    this.#gl = gl;
    this.#canvas.addEventListener("webglcontextlost", () => this.#fail(new Error("WebGL was lost")));
    this.#compositor = new Compositor(gl);
  }

  /** @param {Order} order */
  async take(order) {
    try {
      if (order.type === "look") await this.#setLook(order.look);
      else if (order.type === "back") this.#setBack(order.picture);
      else if (order.type === "sink") this.#writer = order.writable.getWriter();
      else if (order.type === "source") await this.#read(order.readable);
      else await this.#answer(order.frame);
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * Changes the look once all for it is loaded. The earlier look hides the room meanwhile.
   * @param {Look} look
   */
  async #setLook(look) {
    const mine = ++this.#looks;
    if (look.by === "mask") {
      this.#loading ??= this.#load();
      this.#segmenter = await this.#loading;
    }
    if (mine === this.#looks) this.#look = look;
  }

  #load() {
    if (!WebAssembly.validate(SIMD)) throw new Unsupported("no SIMD in WebAssembly");
    this.importScript(SCRIPT);
    return Segmenter.load(this.#canvas, this.#gl, /** @type {any} */ (globalThis).createMediapipeSolutionsWasm);
  }

  /** @param {ImageBitmap} picture */
  #setBack(picture) {
    this.#compositor.setBack(picture);
    picture.close();
    this.answer({ type: "back" });
  }

  /** @param {ReadableStream<VideoFrame>} readable */
  async #read(readable) {
    this.#reader?.cancel().catch(() => {});
    const reader = readable.getReader();
    this.#reader = reader;
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done || !frame) return;
      try {
        const size = { width: frame.displayWidth, height: frame.displayHeight };
        const isMade = await this.#make(frame, size);
        if (!isMade || reader !== this.#reader) continue;
        const { timestamp } = frame;
        await this.#writer?.write(new VideoFrame(this.#canvas, { timestamp, alpha: "discard" }));
        this.#tellFirst();
      } finally {
        frame.close();
      }
    }
  }

  /** @param {ImageBitmap} frame */
  async #answer(frame) {
    try {
      const isMade = await this.#make(frame, { width: frame.width, height: frame.height });
      const picture = isMade ? this.#canvas.transferToImageBitmap() : null;
      this.answer({ type: "picture", picture }, picture ? [picture] : []);
      if (isMade) this.#tellFirst();
    } finally {
      frame.close();
    }
  }

  #tellFirst() {
    if (!this.#ran) this.answer({ type: "running" });
    this.#ran = true;
  }

  /**
   * Draws a picture onto the canvas.
   * @param {VideoFrame | ImageBitmap} frame @param {{ width: number, height: number }} size
   * @returns {Promise<boolean>} False if there is no look yet.
   */
  async #make(frame, size) {
    const look = this.#look;
    if (!look) return false;
    if (this.#canvas.width !== size.width || this.#canvas.height !== size.height) Object.assign(this.#canvas, size);
    const draw = (/** @type {WebGLTexture | null} */ mask) => this.#compositor.draw(frame, size, look, mask);
    if (look.by === "key" || !this.#segmenter) {
      draw(null);
      return true;
    }
    const isWide = size.width > size.height;
    let isDrawn = false;
    await this.#segmenter.segment(this.#shrink(frame, isWide), isWide, (mask) => {
      draw(mask);
      isDrawn = true;
    });
    return isDrawn;
  }

  /** @param {VideoFrame | ImageBitmap} frame @param {boolean} isWide */
  #shrink(frame, isWide) {
    const { width, height } = sizeOf(isWide);
    if (this.#thumbnail.height !== height) Object.assign(this.#thumbnail, { width, height });
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (this.#thumbnail.getContext("2d", { alpha: false }));
    context.drawImage(frame, 0, 0, width, height);
    return this.#thumbnail;
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#reader?.cancel().catch(() => {});
    this.answer(failureOf(error));
  }
}
