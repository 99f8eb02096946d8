/** Live preview of a picture of the call on a canvas. */

import { playPicture } from "../../pictures.js";

/** @typedef {import("../../pictures.js").Picture} Picture */

/** Longer side of the preview, in pixels. */
const LONGEST = 640;

/** Draws each new frame of a picture, and stops when it is closed. */
export class Preview {
  /** @type {ReturnType<typeof playPicture> | null} */
  #playing = null;
  /** Ends the wait for the next frame. */
  #stop = () => {};

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} options
   * @param {(canvas: HTMLCanvasElement, video: HTMLVideoElement) => void} options.paint
   * @param {(video: HTMLVideoElement | null) => void} options.drawn Called after each frame; with
   *   null while there is none.
   */
  constructor(canvas, { paint, drawn }) {
    this.canvas = canvas;
    this.paint = paint;
    this.drawn = drawn;
  }

  /** Video with a frame, or null. */
  get video() {
    const video = this.#playing?.video;
    return video && hasFrame(video) ? video : null;
  }

  /** @param {Picture | null} picture */
  show(picture) {
    this.close();
    this.#playing = picture && playPicture(picture);
    this.draw();
    if (this.#playing) this.#follow(this.#playing.video);
  }

  /** Draws the current frame again, for a changed filter. */
  draw() {
    const { video } = this;
    if (video) {
      fit(this.canvas, video);
      this.paint(this.canvas, video);
    }
    this.drawn(video);
  }

  /** @param {HTMLVideoElement} video */
  #follow(video) {
    this.#stop = onFrame(video, () => {
      this.draw();
      this.#follow(video);
    });
  }

  close() {
    this.#stop();
    this.#stop = () => {};
    this.#playing?.close();
    this.#playing = null;
  }
}

/** @param {HTMLVideoElement} video */
const hasFrame = ({ readyState, videoWidth }) => readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && videoWidth > 0;

/** @param {HTMLCanvasElement} canvas @param {HTMLVideoElement} video */
function fit(canvas, { videoWidth, videoHeight }) {
  const scale = Math.min(1, LONGEST / Math.max(videoWidth, videoHeight));
  const [width, height] = [videoWidth, videoHeight].map((side) => Math.max(1, Math.round(side * scale)));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.style.setProperty("--ratio", String(width / height));
}

/**
 * Calls back at the next frame.
 * @param {HTMLVideoElement} video @param {() => void} act
 * @returns {() => void} Ends the wait.
 */
function onFrame(video, act) {
  if ("requestVideoFrameCallback" in video) {
    const id = video.requestVideoFrameCallback(act);
    return () => video.cancelVideoFrameCallback(id);
  }
  const id = requestAnimationFrame(act);
  return () => cancelAnimationFrame(id);
}
