/**
 * Worker of a composed picture. Its timer goes on in a hidden tab, where those of the page are
 * slowed down and nothing is drawn. Draws frames of tracks where the browser hands them to workers;
 * elsewhere it only tells the page when to draw.
 */

import { paint } from "./paint.js";

/** @typedef {import("./paint.js").Scene} Scene */

/**
 * Messages to the worker. `start` without `writable` asks for ticks alone.
 * @typedef {{ type: "start", writable: WritableStream<VideoFrame> | null,
 *       width: number, height: number, fps: number }
 *   | { type: "scene", scene: Scene }
 *   | { type: "track", key: string, readable: ReadableStream<VideoFrame> }
 *   | { type: "drop", key: string }
 *   | { type: "idle", idle: boolean }} StageMessage
 */

/** Longest time without a frame, so that a still picture has its duration. */
const STILL_MS = 500;

/** @typedef {ReadableStreamDefaultReader<VideoFrame>} FrameReader */

/** @type {Map<string, { reader: FrameReader, frame: VideoFrame | null }>} */
const tracks = new Map();
/** @type {Scene} */
let scene = { entries: [], large: null, pair: false };
/** @type {OffscreenCanvasRenderingContext2D | null} */
let context = null;
/** @type {WritableStreamDefaultWriter<VideoFrame> | null} */
let writer = null;
let idle = false;
let isChanged = true;
let drawnAt = 0;

/** @param {MessageEvent<StageMessage>} event */
self.onmessage = ({ data }) => {
  if (data.type === "start") start(data);
  if (data.type === "scene") [scene, isChanged] = [data.scene, true];
  if (data.type === "track") read(data.key, data.readable);
  if (data.type === "drop") drop(data.key);
  if (data.type === "idle") idle = data.idle;
};

/** @param {Extract<StageMessage, { type: "start" }>} message */
function start({ writable, width, height, fps }) {
  if (writable) {
    writer = writable.getWriter();
    // Frames go to an encoder, which reads the pixels of each.
    context = new OffscreenCanvas(width, height).getContext("2d", { alpha: false, willReadFrequently: true });
  }
  setInterval(() => (writer ? draw() : self.postMessage("tick")), 1_000 / fps);
}

/** @param {string} key @param {ReadableStream<VideoFrame>} readable */
async function read(key, readable) {
  drop(key);
  const reader = readable.getReader();
  const track = { reader, frame: /** @type {VideoFrame | null} */ (null) };
  tracks.set(key, track);
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
    if (done || !value) return;
    track.frame?.close();
    track.frame = null;
    if (tracks.get(key) !== track || idle) {
      value.close();
    } else {
      track.frame = value;
      isChanged = true;
    }
  }
}

/** @param {string} key */
function drop(key) {
  const track = tracks.get(key);
  if (!track) return;
  tracks.delete(key);
  isChanged = true;
  track.reader.cancel().catch(() => {});
  track.frame?.close();
  track.frame = null;
}

function draw() {
  const now = performance.now();
  if (!context || !writer || idle || (!isChanged && now - drawnAt < STILL_MS)) return;
  isChanged = false;
  drawnAt = now;
  paint(context, scene, (key) => {
    const source = tracks.get(key)?.frame;
    return source ? { source, width: source.displayWidth, height: source.displayHeight } : null;
  });
  const frame = new VideoFrame(/** @type {OffscreenCanvas} */ (context.canvas), { timestamp: Math.round(now * 1_000) });
  writer.write(frame).catch(() => frame.close());
}
