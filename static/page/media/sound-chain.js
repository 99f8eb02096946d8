/** Way of the sound from the microphone to the track that is sent, through the noise suppressor. */

/** @typedef {import("../noise.js").NoiseSuppressor} NoiseSuppressor */
/** @typedef {import("./notice.js").Notice} Notice */

/** Moments at which browsers allow a suspended AudioContext to go on. */
const MOMENTS = ["pointerdown", "keydown", "focus", "visibilitychange"];

/**
 * Microphone, suppressor if it is wanted, and the track that is sent. The microphone itself is sent
 * until the suppressor runs, and while the browser suspends it.
 */
export class SoundChain {
  /** @type {MediaStreamTrack | null} */
  #microphone = null;
  /** @type {NoiseSuppressor | null} */
  #suppressor = null;
  /** Attempt to load the suppressor. @type {AbortController | null} */
  #attempt = null;

  /**
   * @param {boolean} wanted Whether noise is suppressed.
   * @param {(track: MediaStreamTrack, notice: Notice | null) => void} send Sends another track from
   *   now on.
   */
  constructor(wanted, send) {
    this.wanted = wanted;
    this.send = send;
  }

  /**
   * Returns the track to send for a microphone that was opened.
   * @param {MediaStreamTrack} microphone
   */
  take(microphone) {
    this.#microphone = microphone;
    if (this.#suppressor) {
      try {
        this.#suppressor.connect(microphone);
      } catch (error) {
        console.warn(error);
        this.#drop();
        // The caller takes the returned track first.
        queueMicrotask(() => this.#fail());
      }
    } else if (this.wanted) {
      this.#load();
    }
    return this.#track ?? microphone;
  }

  /** Switches the suppressor. Resolves when it runs, failed, or is off. @param {boolean} on */
  async setWanted(on) {
    this.wanted = on;
    if (on) {
      if (this.#microphone && !this.#suppressor) await this.#load();
      return;
    }
    this.#drop();
    if (this.#microphone) this.send(this.#microphone, null);
  }

  /** Lets go of the microphone. */
  close() {
    this.#microphone = null;
    this.#drop();
  }

  get #track() {
    return this.#suppressor?.running ? this.#suppressor.track : this.#microphone;
  }

  #drop() {
    this.#attempt?.abort(new Error("noise suppression was switched off"));
    this.#attempt = null;
    this.#suppressor?.close();
    this.#suppressor = null;
    for (const type of MOMENTS) removeEventListener(type, this.#resume, true);
  }

  async #load() {
    const attempt = new AbortController();
    this.#attempt?.abort(new Error("loaded again"));
    this.#attempt = attempt;
    try {
      const { createNoiseSuppressor } = await import("../noise.js");
      const suppressor = await createNoiseSuppressor(attempt.signal);
      if (attempt.signal.aborted || !this.#microphone) return void suppressor.close();
      this.#use(suppressor);
    } catch (error) {
      if (attempt.signal.aborted) return;
      console.warn(error);
      this.#fail();
    }
  }

  /** Sends the microphone as it is from now on, and tells the person. */
  #fail() {
    this.wanted = false;
    this.#drop();
    if (this.#microphone) this.send(this.#microphone, { key: "devices.noise-failed" });
  }

  /** @param {NoiseSuppressor} suppressor */
  #use(suppressor) {
    const microphone = /** @type {MediaStreamTrack} */ (this.#microphone);
    suppressor.connect(microphone);
    this.#suppressor = suppressor;
    suppressor.addEventListener("statechange", () => {
      if (suppressor !== this.#suppressor) return;
      if (!suppressor.running) suppressor.resume();
      if (this.#track) this.send(this.#track, null);
    });
    suppressor.addEventListener("failed", () => {
      if (suppressor === this.#suppressor) this.#fail();
    });
    for (const type of MOMENTS) addEventListener(type, this.#resume, true);
    if (this.#track) this.send(this.#track, null);
  }

  #resume = () => {
    if (this.#suppressor && !this.#suppressor.running) this.#suppressor.resume();
  };
}
