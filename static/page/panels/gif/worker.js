/** Worker of one GIF: asks for frames, keeps the latest ones, and encodes them. */

import { encode, pack } from "./encoder.js";

/**
 * @typedef {object} Plan
 * @property {number} width
 * @property {number} height
 * @property {number} fps
 * @property {number} seconds
 */

/** Messages to the worker: `plan` first, then the answers to `tick`, at last `encode`. */
/**
 * @typedef {{ plan: { fps: number, seconds: number } } | { frame: ArrayBuffer, at: number } | {
 *   none: true }
 *   | { encode: { width: number, height: number, until: number, count: number } }} Order
 */

/** @typedef {{ tick: true } | { progress: number } | { gif: Uint8Array<ArrayBuffer> }} Answer */

/** Latest frames, oldest first. @type {{ at: number, pixels: import("./encoder.js").Pixels }[]} */
let frames = [];
let fps = 10;
let capacity = 0;
/** Whether the page has not answered yet; a slow page is asked less often. */
let asked = false;
/** @type {ReturnType<typeof setInterval> | undefined} */
let timer;

const answer = (/** @type {Answer} */ message, /** @type {Transferable[]} */ transfer = []) => postMessage(message, { transfer });

/** @param {MessageEvent<Order>} event */
onmessage = ({ data }) => {
  if ("plan" in data) start(data.plan);
  else if ("encode" in data) finish(data.encode);
  else {
    asked = false;
    if ("frame" in data) keep(new Uint8ClampedArray(data.frame), data.at);
  }
};

/** @param {{ fps: number, seconds: number }} plan */
function start(plan) {
  fps = plan.fps;
  capacity = fps * plan.seconds;
  // A worker's timer keeps its pace in a tab that is not seen.
  timer = setInterval(() => {
    if (asked) return;
    asked = true;
    answer({ tick: true });
  }, 1_000 / fps);
}

/** @param {Uint8ClampedArray} rgba @param {number} at */
function keep(rgba, at) {
  frames.push({ at, pixels: pack(rgba) });
  if (frames.length > capacity) frames.shift();
}

/**
 * Encodes `count` frames, the last at the time `until`. Where none came in time, the earlier one
 * stays.
 * @param {{ width: number, height: number, until: number, count: number }} order
 */
function finish({ width, height, until, count }) {
  clearInterval(timer);
  const period = 1_000 / fps;
  let current = 0;
  const slots = Array.from({ length: count }, (_, slot) => {
    const end = until - (count - 1 - slot) * period + period / 2;
    while (current + 1 < frames.length && frames[current + 1].at <= end) current += 1;
    return frames[current].pixels;
  });
  frames = [];
  const gif = encode(slots, { width, height, delayMs: period }, (done) => answer({ progress: done / count }));
  answer({ gif }, [gif.buffer]);
}
