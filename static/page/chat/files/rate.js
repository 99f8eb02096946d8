/** Speed and remaining time of a transfer. */

/** Time over which the speed is averaged. */
const WINDOW_MS = 6_000;

/** Average speed of the last seconds. */
export class Rate {
  /** @type {{ at: number, bytes: number }[]} */ #samples = [];

  /**
   * Takes the number of bytes so far. Less than before begins a new average.
   * @param {number} bytes @param {number} at Milliseconds.
   */
  add(bytes, at) {
    if (bytes < (this.#samples.at(-1)?.bytes ?? 0)) this.reset();
    this.#samples.push({ bytes, at });
    while (this.#samples.length > 2 && this.#samples[1].at <= at - WINDOW_MS) this.#samples.shift();
  }

  /** Forgets all, as after a pause. */
  reset() {
    this.#samples = [];
  }

  /** Bytes a second, or null while it is unknown. */
  get bytesPerSecond() {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.at - first.at < 900) return null;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }

  /** Seconds until this number of bytes has passed, or null. @param {number} bytes */
  secondsFor(bytes) {
    const speed = this.bytesPerSecond;
    return speed ? bytes / speed : null;
  }
}

/**
 * Returns the key of the words for a remaining time, and its number: steps large enough to read.
 * @param {number} seconds
 * @returns {{ key: string, count: number }}
 */
export function timeLeft(seconds) {
  if (seconds < 5) return { key: "files.left-moment", count: 0 };
  if (seconds < 57) return { key: "files.left-seconds", count: Math.ceil(seconds / 5) * 5 };
  if (seconds < 3_570) return { key: "files.left-minutes", count: Math.max(1, Math.round(seconds / 60)) };
  return { key: "files.left-hours", count: Math.round(seconds / 360) / 10 };
}
