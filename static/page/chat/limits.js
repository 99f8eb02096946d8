/** Limits of what other members send: they may be hostile. Without the DOM, for fast tests. */

/** Characters of a message. */
export const MAX_TEXT = 4_000;
/** Entries that a page keeps. */
export const MAX_ENTRIES = 1_000;
/** Characters of an id. */
const MAX_ID = 40;

/** Token bucket: a burst, then a steady rate. */
export class Bucket {
  #burst;
  #perMs;
  #tokens;
  #at = -Infinity;

  /** @param {{ burst: number, perSecond: number }} rate */
  constructor({ burst, perSecond }) {
    this.#burst = burst;
    this.#perMs = perSecond / 1_000;
    this.#tokens = burst;
  }

  /**
   * Takes tokens, if there are enough.
   * @param {number} [cost]
   * @param {number} [now] Milliseconds of a clock that never goes back.
   * @returns {boolean} Whether they were taken.
   */
  take(cost = 1, now = performance.now()) {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#tokens < cost) return false;
    this.#tokens -= cost;
    return true;
  }
}

/** Number of characters as a person counts them: an emoji is not two. @param {string} text */
export function lengthOf(text) {
  // Far beyond the limit the exact number matters to nobody, and takes long.
  return text.length > 4 * MAX_TEXT ? text.length : [...text].length;
}

/** C0 and C1 controls, but not the tab and the line break. */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
/** Characters that reorder the text around them. */
const BIDI_CONTROLS = /[\u202a-\u202e\u2066-\u2069]/g;

/**
 * Returns a text as it is shown: line breaks of one kind, no control characters, and at most one
 * empty line in a row.
 * @param {string} text
 */
export const clean = (text) => text.replace(/\r\n?|[\u2028\u2029]/g, "\n").replace(CONTROLS, "").replace(/\n{3,}/g, "\n\n").trim();

/** Returns a name on one line that cannot reorder what stands around it. @param {string} name */
export const visible = (name) => name.replace(/\s/g, " ").replace(CONTROLS, "").replace(BIDI_CONTROLS, "");

/**
 * Returns the text of a received message, or null for one that no Byway page sends.
 * @param {unknown} text
 */
export function readText(text) {
  if (typeof text !== "string" || text.length > 2 * MAX_TEXT || lengthOf(text) > MAX_TEXT) return null;
  return clean(text) || null;
}

/** @param {unknown} id @returns {id is string} */
export const isId = (id) => typeof id === "string" && /^[\w-]+$/.test(id) && id.length <= MAX_ID;

/** One to three emoji and nothing else. */
const EMOJI = /^(?:(?:\p{RI}{2}|\p{Emoji_Presentation}\p{Emoji_Modifier}?|\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})|[#*\d]\ufe0f\u20e3)(?:\u200d\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})?)*\s*){1,3}$/u;

/** Whether a message is shown large. @param {string} text */
export const isEmoji = (text) => text.length < 60 && EMOJI.test(text);
