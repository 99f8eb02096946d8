/** Drawing of a composed picture, on a canvas of the page or of a worker. */

import { layOut } from "./layout.js";

/**
 * Entry of the scene: a member's camera, or a screen.
 * @typedef {object} Entry
 * @property {string} key
 * @property {string} name Name to draw, or nothing.
 * @property {string} note Sentence in place of a picture.
 * @property {boolean} whole Whether the picture is shown whole, not cropped.
 */

/** @typedef {{ entries: Entry[], large: number | null, pair: boolean }} Scene */
/** @typedef {{ source: CanvasImageSource, width: number, height: number }} Shown */
/** @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context */
/** @typedef {import("./layout.js").Place} Place */

const PAPER = "#0e1517";
const STAGE = "#1a2629";
const INK = "#eaf1f0";
const QUIET = "#b9c9c9";
const PILL = "rgb(12 22 24 / 77%)";
const FONT = "system-ui, sans-serif";

/**
 * @param {Context} context
 * @param {Scene} scene
 * @param {(key: string) => Shown | null} pictureOf
 */
export function paint(context, { entries, large, pair }, pictureOf) {
  const { width, height } = context.canvas;
  context.fillStyle = PAPER;
  context.fillRect(0, 0, width, height);
  const places = layOut(entries.length, { width, height, large, pair });
  // Insets come first in the list, and are drawn over the others.
  for (const [index, entry] of [...entries.entries()].reverse()) {
    paintEntry(context, entry, places[index], pictureOf(entry.key));
  }
}

/**
 * @param {Context} context @param {Entry} entry @param {Place} place
 * @param {Shown | null} shown
 */
function paintEntry(context, { name, note, whole }, place, shown) {
  const { x, y, width, height } = place;
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.fillStyle = STAGE;
  context.fillRect(x, y, width, height);
  if (shown && shown.width && shown.height) paintPicture(context, shown, place, whole);
  const size = Math.max(12, Math.min(22, height / 16));
  context.textBaseline = "middle";
  if (!shown && note) {
    context.font = `${size}px ${FONT}`;
    context.fillStyle = QUIET;
    context.textAlign = "center";
    context.fillText(note, x + width / 2, y + height / 2, width * 0.9);
  }
  if (name) paintName(context, name, place, size);
  context.restore();
}

/** @param {Context} context @param {Shown} shown @param {Place} place @param {boolean} whole */
function paintPicture(context, shown, { x, y, width, height }, whole) {
  const [across, down] = [width / shown.width, height / shown.height];
  const scale = whole ? Math.min(across, down) : Math.max(across, down);
  const [wide, high] = [shown.width * scale, shown.height * scale];
  context.drawImage(shown.source, x + (width - wide) / 2, y + (height - high) / 2, wide, high);
}

/** @param {Context} context @param {string} name @param {Place} place @param {number} size */
function paintName(context, name, { x, y, width, height }, size) {
  context.font = `600 ${size}px ${FONT}`;
  context.textAlign = "left";
  const longest = Math.max(1, width - 3 * size);
  const wide = Math.min(longest, context.measureText(name).width);
  const top = y + height - 2.4 * size;
  context.fillStyle = PILL;
  context.beginPath();
  context.roundRect(x + size / 2, top, wide + 1.2 * size, 1.9 * size, 0.95 * size);
  context.fill();
  context.fillStyle = INK;
  context.fillText(name, x + 1.1 * size, top + 0.97 * size, longest);
}
