/** Virtual background of a camera. Loaded when the person chooses one. */

import { ownUrl } from "../own-url.js";
import { chosen, follow } from "./behind.js";
import { framesFor } from "./frames.js";

/** @typedef {import("../media/picture-chain.js").Background} Background */
/** @typedef {import("./compositor.js").Look} Look */
/** @typedef {import("./pipeline.js").Answer} Answer */

/**
 * Camera with another background. Events: `running` (the first picture is there), `failed` (it ends
 * here; `reason` says why).
 */
export class Effect extends EventTarget {
  running = false;
  /** Reason of the failure, for the console. */
  reason = "";
  /** Whether it failed since this browser cannot do it at all. */
  isUnsupported = false;
  #settings;
  /** @type {MediaStreamTrack | null} */
  #camera = null;
  /** @type {Worker | null} */
  #worker = null;
  /** @type {import("./frames.js").Frames | null} */
  #frames = null;
  /** Whether the browser itself blurs the camera's picture. */
  #isNative = false;
  /** Name of what stands behind, and its end. */
  #behind = { name: "", end: () => {} };
  /** Tells that the worker took what stands behind. */
  #taken = () => {};

  /** @param {Background} settings */
  constructor(settings) {
    super();
    this.#settings = settings;
    chosen.addEventListener("change", this.#follow);
  }

  /** Track to send once this runs. */
  get track() {
    return this.#isNative ? this.#camera : (this.#frames?.track ?? null);
  }

  get constraints() {
    return this.#isNative ? blurred(true) : {};
  }

  /** Takes another camera. @param {MediaStreamTrack} camera */
  connect(camera) {
    this.#camera = camera;
    if (this.#isNative) this.running = false;
    return this.#arrange();
  }

  /** @param {Background} settings */
  set(settings) {
    this.#settings = settings;
    return this.#arrange();
  }

  close() {
    chosen.removeEventListener("change", this.#follow);
    if (this.#isNative && this.#camera) blurNatively(this.#camera, false).catch(() => {});
    this.#stopWorker();
    this.running = false;
  }

  async #arrange() {
    const camera = this.#camera;
    if (!camera) return;
    const wasNative = this.#isNative;
    this.#isNative = this.#settings.mode === "blur" && canBlurNatively(camera);
    if (this.#isNative) {
      await blurNatively(camera, true).then(() => this.#startNative(camera), (error) => this.#fail(error));
    } else {
      if (wasNative) {
        this.running = false;
        await blurNatively(camera, false).catch((error) => console.warn(error));
      }
      this.#startWorker(camera);
    }
  }

  /** @param {MediaStreamTrack} camera */
  #startNative(camera) {
    if (!this.#isNative || camera !== this.#camera) return;
    this.#stopWorker();
    this.#run();
  }

  /** @param {MediaStreamTrack} camera */
  #startWorker(camera) {
    try {
      const isNew = !this.#worker;
      const worker = this.#worker ?? this.#openWorker();
      // The picture behind is there before the look that shows it.
      this.#follow();
      worker.postMessage({ type: "look", look: lookOf(this.#settings) });
      if (isNew || camera !== this.#connected) this.#frames?.connect(camera);
      this.#connected = camera;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Camera whose pictures the worker gets. @type {MediaStreamTrack | null} */
  #connected = null;

  #openWorker() {
    const worker = new Worker(ownUrl("page/background/worker.js"));
    this.#worker = worker;
    worker.addEventListener("message", ({ data }) => worker === this.#worker && this.#hear(data));
    worker.addEventListener("error", (event) => worker === this.#worker && this.#fail(event.message));
    this.#frames = framesFor((order, transfer = []) => worker.postMessage(order, { transfer }));
    return worker;
  }

  #stopWorker() {
    this.#behind.end();
    this.#behind = { name: "", end: () => {} };
    this.#worker?.terminate();
    this.#frames?.close();
    this.#worker = this.#frames = this.#connected = null;
  }

  /** @param {Answer} answer */
  #hear(answer) {
    if (answer.type === "running") this.#run();
    else if (answer.type === "failed") this.#fail(answer.reason, answer.isUnsupported);
    else if (answer.type === "picture") this.#frames?.take(answer.picture);
    else this.#taken();
  }

  #run() {
    this.running = true;
    this.dispatchEvent(new Event("running"));
  }

  /** @param {unknown} reason @param {boolean} [isUnsupported] */
  #fail(reason, isUnsupported = false) {
    this.reason = String(reason);
    this.isUnsupported = isUnsupported;
    this.dispatchEvent(new Event("failed"));
  }

  /** Gives the worker what stands behind, if the settings or the file changed. */
  #follow = (/** @type {Event | undefined} */ changed = undefined) => {
    const name = backOf(this.#settings);
    const isOther = name !== this.#behind.name || (changed && name === "file");
    if (!this.#worker || !isOther) return;
    this.#behind.end();
    const worker = this.#worker;
    const give = (/** @type {ImageBitmap} */ picture) => {
      worker.postMessage({ type: "back", picture }, { transfer: [picture] });
      return new Promise((resolve) => (this.#taken = () => resolve(undefined)));
    };
    this.#behind = { name, end: name ? follow(name, give) : () => {} };
  };
}

/** Name of the picture behind, or nothing. @param {Background} settings */
function backOf({ mode, behind }) {
  if (mode === "chroma") return behind === "blur" ? "" : behind;
  return mode === "image" ? behind : "";
}

/** @param {Background} settings @returns {Look} */
function lookOf({ mode, behind, color, key, tolerance, softness, spill }) {
  const colors = { plain: numbersOf(color), key: numbersOf(key) };
  // The farthest colors have a distance of about 0.7.
  const numbers = { ...colors, tolerance: tolerance / 200, softness: softness / 250, spill: spill / 100 };
  if (mode === "chroma") return { by: "key", behind: behind === "blur" ? "blur" : "picture", ...numbers };
  if (mode === "image") return { by: "mask", behind: "picture", ...numbers };
  return { by: "mask", behind: mode === "blur" ? "blur" : "color", ...numbers };
}

/** Red, green and blue of `#rrggbb`, 0 to 1. @param {string} color */
const numbersOf = (color) => [1, 3, 5].map((at) => (parseInt(color.slice(at, at + 2), 16) || 0) / 255);

/** @param {MediaStreamTrack} camera */
function canBlurNatively(camera) {
  const known = /** @type {any} */ (navigator.mediaDevices.getSupportedConstraints()).backgroundBlur;
  const able = /** @type {any} */ (camera.getCapabilities?.())?.backgroundBlur;
  return Boolean(known && able?.includes(true));
}

/**
 * Constraint that TypeScript's library does not know.
 * @param {boolean} on @returns {MediaTrackConstraints}
 */
const blurred = (on) => /** @type {any} */ ({ backgroundBlur: { exact: on } });

/**
 * Switches the browser's own blur, and makes sure of it.
 * @param {MediaStreamTrack} camera @param {boolean} on
 */
async function blurNatively(camera, on) {
  await camera.applyConstraints({ ...camera.getConstraints(), ...blurred(on) });
  const { backgroundBlur } = /** @type {any} */ (camera.getSettings());
  if (backgroundBlur !== on) throw new Error("the browser did not blur the background");
}
