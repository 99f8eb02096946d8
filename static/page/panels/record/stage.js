/** Composed picture as a track: of a worker where the browser can, else of a canvas of the page. */

import { ownUrl } from "../../own-url.js";
import { playUnseen } from "../../pictures.js";
import { paint } from "./paint.js";

/** @typedef {import("./paint.js").Scene} Scene */
/** @typedef {import("./stage-worker.js").StageMessage} StageMessage */
/** @typedef {{ width: number, height: number, fps: number }} StageOptions */

const WORKER = "page/panels/record/stage-worker.js";

/** Chromium's names for tracks in streams of frames. @type {any} */
const global = window;

/** @param {StageOptions} options @returns {Stage} */
export const createStage = (options) =>
  global.MediaStreamTrackProcessor && global.MediaStreamTrackGenerator ? new WorkerStage(options) : new CanvasStage(options);

/** Common part of both: tracks by the key of their entry. */
class Stage {
  /** @type {Map<string, MediaStreamTrack>} */
  tracks = new Map();
  /** @type {Scene} */
  scene = { entries: [], large: null, pair: false };
  worker = new Worker(ownUrl(WORKER), { type: "module" });
  /** Track of the composed picture. @type {MediaStreamTrack} */
  track = /** @type {any} */ (null);
  #drawn = "";

  /**
   * Shows a scene with these tracks.
   * @param {Scene} scene @param {Map<string, MediaStreamTrack>} tracks
   */
  show(scene, tracks) {
    for (const [key, track] of this.tracks) {
      if (tracks.get(key) === track) continue;
      this.tracks.delete(key);
      this.drop(key);
    }
    for (const [key, track] of tracks) {
      if (this.tracks.get(key) === track) continue;
      this.tracks.set(key, track);
      this.take(key, track);
    }
    const wanted = JSON.stringify(scene);
    if (wanted === this.#drawn) return;
    this.#drawn = wanted;
    this.scene = scene;
    this.post({ type: "scene", scene });
  }

  /** @param {StageMessage} message @param {Transferable[]} [transfer] */
  post(message, transfer = []) {
    this.worker.postMessage(message, transfer);
  }

  /** @param {boolean} idle Whether nothing is to be drawn, during a pause. */
  setIdle(idle) {
    this.post({ type: "idle", idle });
  }

  /** @param {string} _key @param {MediaStreamTrack} _track */
  take(_key, _track) {}

  /** @param {string} _key */
  drop(_key) {}

  close() {
    this.show({ entries: [], large: null, pair: false }, new Map());
    this.track.stop();
    this.worker.terminate();
  }
}

/** Drawn in the worker, of the frames of the tracks: goes on in a hidden tab. */
class WorkerStage extends Stage {
  /** @param {StageOptions} options */
  constructor(options) {
    super();
    this.track = new global.MediaStreamTrackGenerator({ kind: "video" });
    const { writable } = /** @type {any} */ (this.track);
    this.post({ type: "start", writable, ...options }, [writable]);
  }

  /** @override @param {string} key @param {MediaStreamTrack} track */
  take(key, track) {
    const { readable } = new global.MediaStreamTrackProcessor({ track, maxBufferSize: 1 });
    this.post({ type: "track", key, readable }, [readable]);
  }

  /** @override @param {string} key */
  drop(key) {
    this.post({ type: "drop", key });
  }
}

/** Drawn in the page at the ticks of the worker. */
class CanvasStage extends Stage {
  /** @type {Map<string, HTMLVideoElement>} */
  #videos = new Map();
  #idle = false;
  /** @type {CanvasRenderingContext2D} */ #context;

  /** @param {StageOptions} options */
  constructor({ width, height, fps }) {
    super();
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    this.track = canvas.captureStream(0).getVideoTracks()[0];
    this.worker.onmessage = () => this.#draw();
    this.post({ type: "start", writable: null, width, height, fps });
  }

  /** @override @param {string} key @param {MediaStreamTrack} track */
  take(key, track) {
    this.#videos.set(key, playUnseen(new MediaStream([track])));
  }

  /** @override @param {string} key */
  drop(key) {
    const video = this.#videos.get(key);
    if (video) video.srcObject = null;
    this.#videos.delete(key);
  }

  /** @override @param {boolean} idle */
  setIdle(idle) {
    this.#idle = idle;
  }

  #draw() {
    if (this.#idle) return;
    paint(this.#context, this.scene, (key) => {
      const video = this.#videos.get(key);
      return video?.videoWidth ? { source: video, width: video.videoWidth, height: video.videoHeight } : null;
    });
    /** @type {any} */ (this.track).requestFrame?.();
  }
}
