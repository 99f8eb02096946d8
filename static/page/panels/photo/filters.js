/** Filters of a photo, by the browser's canvas filters or, where it has none, by own means. */

import { blurred, colored } from "./own-filters.js";

/** @typedef {{ width: number, height: number }} Size */

/**
 * Filter and the range of its amount. Amounts without unit are lengths at a width of
 * {@link REFERENCE_WIDTH}, so that a small preview looks like the large photo.
 * @typedef {{ id: string, unit: "%" | "°" | "", min: number, max: number, step: number, amount:
 *   number }} Filter
 */

/** @type {Filter[]} */
export const FILTERS = [
  { id: "blur", unit: "", min: 1, max: 20, step: 1, amount: 6 },
  { id: "brightness", unit: "%", min: 20, max: 300, step: 5, amount: 150 },
  { id: "contrast", unit: "%", min: 20, max: 300, step: 5, amount: 160 },
  { id: "grayscale", unit: "%", min: 10, max: 100, step: 5, amount: 100 },
  { id: "hue-rotate", unit: "°", min: 10, max: 350, step: 5, amount: 90 },
  { id: "invert", unit: "%", min: 10, max: 100, step: 5, amount: 100 },
  { id: "opacity", unit: "%", min: 10, max: 90, step: 5, amount: 50 },
  { id: "saturate-up", unit: "%", min: 110, max: 400, step: 5, amount: 220 },
  { id: "saturate-down", unit: "%", min: 0, max: 90, step: 5, amount: 40 },
  { id: "sepia", unit: "%", min: 10, max: 100, step: 5, amount: 100 },
  { id: "drop-shadow", unit: "", min: 4, max: 24, step: 1, amount: 12 },
];

const REFERENCE_WIDTH = 640;
const SHADOW = "#000c";

/** Whether this browser filters by itself. Safari does not. */
const isNative = () => "filter" in CanvasRenderingContext2D.prototype;

/** @param {number} width @param {number} height */
function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return { canvas, context: /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")) };
}

/**
 * Paints a picture with a filter over the whole canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasImageSource} source
 * @param {{ id: string, amount: number }} look `id` of a {@link Filter}, or `none`.
 */
export function paint(canvas, source, { id, amount }) {
  const { width, height } = canvas;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const length = (amount * Math.max(width, height)) / REFERENCE_WIDTH;
  context.clearRect(0, 0, width, height);
  context.save();
  if (id === "none") context.drawImage(source, 0, 0, width, height);
  else if (id === "blur") paintBlurred(context, source, length);
  else if (id === "opacity") paintTransparent(context, source, amount);
  else if (id === "drop-shadow") paintShadowed(context, source, length);
  else paintColored(context, source, id.replace(/-(up|down)$/, ""), amount);
  context.restore();
}

/**
 * Blurs a picture whose edges are drawn out beyond the canvas: they would become transparent.
 * @param {CanvasRenderingContext2D} context
 * @param {CanvasImageSource} source
 * @param {number} radius
 */
function paintBlurred(context, source, radius) {
  const { width, height } = context.canvas;
  if (!isNative()) return context.drawImage(blurred(source, { width, height }, radius), 0, 0, width, height);
  const edge = Math.ceil(3 * radius);
  const { canvas: wide, context: wideContext } = canvasOf(width + 2 * edge, height + 2 * edge);
  const strips = (/** @type {number} */ size) => [[0, 0, 1, edge], [0, edge, size, size], [size - 1, edge + size, 1, edge]];
  const { canvas: whole, context: wholeContext } = canvasOf(width, height);
  wholeContext.drawImage(source, 0, 0, width, height);
  for (const [x, toX, columns, toColumns] of strips(width)) {
    for (const [y, toY, rows, toRows] of strips(height)) wideContext.drawImage(whole, x, y, columns, rows, toX, toY, toColumns, toRows);
  }
  context.filter = `blur(${radius}px)`;
  context.drawImage(wide, -edge, -edge);
  // Safari and phones have little memory for canvases, and collect them late.
  wide.width = whole.width = 0;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {CanvasImageSource} source
 * @param {number} percent
 */
function paintTransparent(context, source, percent) {
  const { width, height } = context.canvas;
  if (isNative()) context.filter = `opacity(${percent}%)`;
  else context.globalAlpha = percent / 100;
  context.drawImage(source, 0, 0, width, height);
}

/**
 * Makes a picture smaller by a margin, which its shadow takes.
 * @param {CanvasRenderingContext2D} context @param {CanvasImageSource} source @param {number} blur
 */
function paintShadowed(context, source, blur) {
  const { width, height } = context.canvas;
  const margin = (1.6 * blur) / Math.min(width, height);
  const drop = 0.4 * blur;
  if (isNative()) {
    context.filter = `drop-shadow(0 ${drop}px ${blur / 2}px ${SHADOW})`;
  } else {
    context.shadowColor = SHADOW;
    context.shadowOffsetY = drop;
    context.shadowBlur = blur;
  }
  context.drawImage(source, margin * width, margin * height, (1 - 2 * margin) * width, (1 - 2 * margin) * height);
}

/**
 * @param {CanvasRenderingContext2D} context @param {CanvasImageSource} source
 * @param {string} name Function of a canvas filter. @param {number} amount
 */
function paintColored(context, source, name, amount) {
  const { width, height } = context.canvas;
  if (isNative()) context.filter = `${name}(${amount}${name === "hue-rotate" ? "deg" : "%"})`;
  context.drawImage(source, 0, 0, width, height);
  if (isNative()) return;
  const image = context.getImageData(0, 0, width, height);
  colored(image.data, name, amount);
  context.putImageData(image, 0, 0);
}
