/** Photos and choices of this person, kept while the panel is closed. */

import { datedName } from "../../file-names.js";
import { Gallery } from "../../pictures/gallery.js";
import { FILTERS, paint } from "./filters.js";

/** @typedef {import("./filters.js").Filter} Filter */

export const album = new Gallery({ count: 24, bytes: 200e6 });

/** Filter and its amount. The filter stays for the next photos. */
export const look = {
  id: "none",
  /** Amount of each filter. */
  amounts: Object.fromEntries(FILTERS.map(({ id, amount }) => [id, amount])),
  /** Whether three seconds pass before a photo. */
  countdown: false,

  /** @returns {Filter | null} */
  get filter() {
    return FILTERS.find(({ id }) => id === this.id) ?? null;
  },
  get amount() {
    return this.amounts[this.id] ?? 0;
  },
};

/**
 * Takes a photo in the full size of the video and keeps it.
 * PNG: opacity and shadow need its alpha, and the letters of a shared screen stay sharp.
 * @param {HTMLVideoElement} video @param {string} label
 * @returns {Promise<number>} Number of older photos that were removed to make room.
 */
export async function takePhoto(video, label) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const { width, height } = canvas;
  try {
    paint(canvas, video, look);
    /** @type {Blob | null} */
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    if (!blob) throw new Error("the canvas gave no image");
    const at = new Date();
    return album.add({ blob, name: `${datedName("photo", label, at)}.png`, label, at, width, height });
  } finally {
    canvas.width = 0;
  }
}
