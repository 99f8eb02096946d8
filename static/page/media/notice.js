/** Sentences about devices that came, went or were kept. */

import { isMobile } from "./constraints.js";

/**
 * Event to tell the person once.
 * @typedef {object} Notice
 * @property {string} key Of the files of words.
 * @property {Record<string, string>} [values]
 * @property {import("../../byway.js").BywayError} [error] Reason, in the place of `{reason}`.
 */

/** Event of LocalMedia. `kind` is the part that changed. */
export class MediaChange extends Event {
  /**
   * @param {"camera" | "microphone" | "speaker" | "list"} kind
   * @param {Notice | null} [notice]
   */
  constructor(kind, notice = null) {
    super("change");
    this.detail = { kind, notice };
  }
}

/**
 * Returns the sentence of a notice.
 * @param {{ say: (key: string, values?: any) => string, sayError: (error: any) => string }} page
 * @param {Notice} notice
 */
export const sentenceOf = (page, { key, values, error }) =>
  page.say(key, { ...values, ...(error && { reason: page.sayError(error) }) });

/** Key of the words that tell how to undo a refusal in this browser. */
export function undoKey() {
  const { userAgent } = navigator;
  if (/Android/.test(userAgent)) return "devices.undo-android";
  if (isMobile()) return "devices.undo-ios";
  if (/Firefox\//.test(userAgent)) return "devices.undo-firefox";
  if (/Chrome\/|Edg\//.test(userAgent)) return "devices.undo-chrome";
  return /Safari\//.test(userAgent) ? "devices.undo-safari" : "devices.undo-chrome";
}
