/** Way of the picture from the camera to the track that is sent, through the virtual background. */

/** @typedef {import("../background/effect.js").Effect} Effect */
/** @typedef {import("./notice.js").Notice} Notice */

/**
 * Settings of the background. Numbers are percentages, colours `#rrggbb`.
 * @typedef {object} Background
 * @property {string} mode `none`, `blur`, `image`, `chroma` or `person`.
 * @property {string} behind Picture behind the person: a built-in one, `file` or `blur`.
 * @property {string} color Colour behind the person, in the mode `person`.
 * @property {string} key Colour of the green screen.
 * @property {number} tolerance
 * @property {number} softness
 * @property {number} spill
 */

/** @type {Background} */
export const DEFAULT_BACKGROUND = {
  mode: "none", behind: "dusk", color: "#1f4e5f", key: "#00b140", tolerance: 40, softness: 20, spill: 60,
};

/** Shortest time between two restarts of an effect that broke. */
const RESTART_MS = 60_000;

/**
 * Camera, effect if it is wanted, and the track that is sent: none until the effect runs, so that
 * nobody sees the room. An effect that breaks is started once more; if it fails again, the camera's
 * own track is sent.
 */
export class PictureChain {
  /**
   * `failed`: the others see the room against the person's wish. `unsupported`: this browser cannot
   * replace it, and they see nothing.
   * @type {"" | "failed" | "unsupported"}
   */
  trouble = "";
  /** @type {MediaStreamTrack | null} */
  #camera = null;
  /** @type {Effect | null} */
  #effect = null;
  /** Number of attempts to load an effect; one that was given up is ignored. */
  #attempts = 0;
  #restartedAt = -RESTART_MS;

  /**
   * @param {Background} settings
   * @param {(track: MediaStreamTrack | null, notice: Notice | null) => void} send Sends another
   *   track from now on.
   */
  constructor(settings, send) {
    this.settings = settings;
    this.send = send;
  }

  /** `preparing`: the picture is held back until the effect runs. */
  get state() {
    return this.trouble || (this.#camera && !this.#track ? "preparing" : "ready");
  }

  /**
   * Constraints of the camera that a change of others must keep.
   * @returns {MediaTrackConstraints}
   */
  get constraints() {
    return this.#effect?.constraints ?? {};
  }

  /**
   * Returns the track to send for a camera that was opened.
   * @param {MediaStreamTrack} camera
   */
  take(camera) {
    this.#camera = camera;
    if (this.#effect) this.#effect.connect(camera);
    else if (this.#wanted) this.#load();
    return this.#track;
  }

  /** @param {Background} settings */
  set(settings) {
    this.settings = settings;
    this.trouble = "";
    if (!this.#wanted) this.#drop();
    else if (this.#effect) this.#effect.set(settings);
    else if (this.#camera) this.#load();
    if (this.#camera) this.send(this.#track, null);
  }

  /** Lets go of the camera. */
  close() {
    this.#camera = null;
    this.trouble = "";
    this.#drop();
  }

  get #wanted() {
    return this.settings.mode !== "none";
  }

  get #track() {
    if (!this.#wanted || this.trouble === "failed") return this.#camera;
    return this.#effect?.running ? this.#effect.track : null;
  }

  #drop() {
    this.#attempts += 1;
    this.#effect?.close();
    this.#effect = null;
  }

  async #load() {
    const mine = ++this.#attempts;
    this.trouble = "";
    try {
      const { Effect } = await import("../background/effect.js");
      if (mine !== this.#attempts || !this.#camera) return;
      const effect = new Effect(this.settings);
      this.#effect = effect;
      effect.addEventListener("running", () => effect === this.#effect && this.send(this.#track, null));
      effect.addEventListener("failed", () => effect === this.#effect && this.#end(effect));
      effect.connect(this.#camera);
    } catch (error) {
      if (mine === this.#attempts) this.#fail(error);
    }
  }

  /** Ends an effect that failed; starts it once more if it had worked. @param {Effect} effect */
  #end({ reason, running, isUnsupported }) {
    const now = performance.now();
    if (!running || now - this.#restartedAt < RESTART_MS) return this.#fail(reason, isUnsupported && !running);
    console.warn(reason);
    this.#restartedAt = now;
    this.#drop();
    this.#load();
    this.send(this.#track, null);
  }

  /**
   * Sends the camera as it is from now on, or nothing in a browser that never replaced the room.
   * @param {unknown} reason @param {boolean} [isUnsupported]
   */
  #fail(reason, isUnsupported = false) {
    console.warn(reason);
    this.#drop();
    this.trouble = isUnsupported ? "unsupported" : "failed";
    this.send(this.#track, { key: `background.${this.trouble}` });
  }
}
