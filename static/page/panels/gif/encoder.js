/**
 * Frames to a GIF. All frames share one palette. Of a photographed head that sways (320 x 180, 30
 * frames, noise as of a camera), a palette per frame made a file 4 % larger, with colors no nearer
 * (0.2 dB) and still parts no calmer. It took 8 times as long or more, since each palette needs a
 * search for the nearest colors of its own. A call whose light changes was not compared.
 */

import { GIFEncoder, quantize } from "../../../vendor/gifenc/gifenc.js";

/** Pixels of a frame: 5 bits of red, 6 of green, 5 of blue. A GIF has fewer colors than these. */
/** @typedef {Uint16Array} Pixels */

/** Colors of the palette; one entry of the 256 is for pixels that stay. */
const COLORS = 255;
/** Pixels that the palette is made of. */
const SAMPLES = 200_000;
/** Change of a pixel that is not seen, as a sum over red, green and blue. */
const UNSEEN_CHANGE = 18;
/** Greatest offset of the dither, about half the distance of two colors of the palette. */
const DITHER = 9;
/** Order of the pixels in an ordered dither: still parts keep their pattern, and do not flicker. */
const BAYER = [0, 32, 8, 40, 2, 34, 10, 42, 48, 16, 56, 24, 50, 18, 58, 26, 12, 44, 4, 36, 14, 46, 6, 38, 60, 28, 52, 20, 62, 30, 54, 22,
  3, 35, 11, 43, 1, 33, 9, 41, 51, 19, 59, 27, 49, 17, 57, 25, 15, 47, 7, 39, 13, 45, 5, 37, 63, 31, 55, 23, 61, 29, 53, 21];

const redOf = (/** @type {number} */ pixel) => ((pixel >> 8) & 0xf8) | (pixel >> 13);
const greenOf = (/** @type {number} */ pixel) => ((pixel >> 3) & 0xfc) | ((pixel >> 9) & 3);
const blueOf = (/** @type {number} */ pixel) => ((pixel << 3) & 0xf8) | ((pixel >> 2) & 7);
const clamp = (/** @type {number} */ value) => (value < 0 ? 0 : value > 255 ? 255 : value);

/**
 * Packs RGBA into two bytes a pixel, so that a recording takes half the memory.
 * @param {Uint8ClampedArray} rgba @returns {Pixels}
 */
export function pack(rgba) {
  const pixels = new Uint16Array(rgba.length / 4);
  for (let at = 0; at < pixels.length; at += 1) {
    pixels[at] = ((rgba[4 * at] & 0xf8) << 8) | ((rgba[4 * at + 1] & 0xfc) << 3) | (rgba[4 * at + 2] >> 3);
  }
  return pixels;
}

/**
 * Encodes frames of the same size.
 * @param {Pixels[]} frames One for each step in time; one that repeats is the same object.
 * @param {{ width: number, height: number, delayMs: number }} options
 * @param {(done: number) => void} onProgress Gets the number of frames that are done.
 */
export function encode(frames, { width, height, delayMs }, onProgress) {
  const palette = paletteOf(frames);
  const stays = palette.length;
  const nearest = nearestIn(palette);
  const gif = GIFEncoder();
  const index = new Uint8Array(width * height);
  /** Pixels as they were last written. @type {Pixels | null} */
  let shown = null;
  frames.forEach((frame, number) => {
    const isFirst = !shown;
    const changed = draw(frame, { shown, index, width, stays, nearest });
    shown ??= frame.slice();
    const options = { delay: delayMs, transparent: !isFirst, transparentIndex: stays, dispose: 1 };
    if (isFirst) gif.writeFrame(index, width, height, { ...options, palette: [...palette, [0, 0, 0]], repeat: 0 });
    else if (changed) gif.writeFrame(index, width, height, options);
    // The smallest frame that changes nothing.
    else gif.writeFrame(Uint8Array.of(stays), 1, 1, options);
    onProgress(number + 1);
  });
  gif.finish();
  return gif.bytes();
}

/** @param {Pixels[]} frames */
function paletteOf(frames) {
  const total = frames.length * frames[0].length;
  // Odd, so that the samples are not all of a few columns.
  const stride = Math.ceil(total / SAMPLES) | 1;
  const rgba = new Uint8Array(4 * Math.ceil(total / stride));
  for (let at = 0, to = 0; at < total; at += stride, to += 4) {
    const frame = frames[Math.floor(at / frames[0].length)];
    const pixel = frame[at % frame.length];
    rgba.set([redOf(pixel), greenOf(pixel), blueOf(pixel), 255], to);
  }
  return quantize(rgba, COLORS, { format: "rgb565" });
}

/**
 * Returns a function from a pixel to the nearest color of the palette.
 * @param {import("../../../vendor/gifenc/gifenc.js").Color[]} palette
 */
function nearestIn(palette) {
  const known = new Int16Array(65_536).fill(-1);
  return (/** @type {number} */ red, /** @type {number} */ green, /** @type {number} */ blue) => {
    const key = ((red & 0xf8) << 8) | ((green & 0xfc) << 3) | (blue >> 3);
    if (known[key] >= 0) return known[key];
    let best = 0;
    let least = Infinity;
    palette.forEach(([r, g, b], number) => {
      // Eyes see green best.
      const distance = 2 * (r - red) ** 2 + 4 * (g - green) ** 2 + 3 * (b - blue) ** 2;
      if (distance < least) [best, least] = [number, distance];
    });
    return (known[key] = best);
  };
}

/**
 * Writes the colors of a frame into `index`, and where nothing changed that is seen, that it stays.
 * @param {Pixels} frame
 * @param {{ shown: Pixels | null, index: Uint8Array, width: number, stays: number, nearest:
 *   ReturnType<typeof nearestIn> }} state
 * @returns {boolean} Whether any pixel changed.
 */
function draw(frame, { shown, index, width, stays, nearest }) {
  let changed = false;
  for (let at = 0; at < frame.length; at += 1) {
    const pixel = frame[at];
    if (shown) {
      const before = shown[at];
      if (before === pixel || difference(before, pixel) <= UNSEEN_CHANGE) {
        index[at] = stays;
        continue;
      }
      shown[at] = pixel;
    }
    changed = true;
    const x = at % width;
    const y = (at - x) / width;
    const offset = ((BAYER[((y & 7) << 3) | (x & 7)] - 31.5) / 31.5) * DITHER;
    index[at] = nearest(clamp(redOf(pixel) + offset), clamp(greenOf(pixel) + offset), clamp(blueOf(pixel) + offset));
  }
  return changed;
}

/** @param {number} before @param {number} after */
const difference = (before, after) =>
  Math.abs(redOf(before) - redOf(after)) + Math.abs(greenOf(before) - greenOf(after)) + Math.abs(blueOf(before) - blueOf(after));
