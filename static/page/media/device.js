/** State of the camera or the microphone. */

import { facingOf } from "./constraints.js";

/** @typedef {"camera" | "microphone"} Kind */
/** @typedef {"unasked" | "on" | "off" | "none" | "refused" | "busy" | "failed"} Status */
/** @typedef {import("../../byway.js").BywayError} BywayError */
/** @typedef {{ deviceId: string, label: string }} Choice */

/** Kinds of tracks. @type {Record<Kind, "video" | "audio">} */
export const TRACK_KIND = { camera: "video", microphone: "audio" };

/** @type {Kind[]} */
export const KINDS = ["microphone", "camera"];

/** Camera or microphone: its tracks, and why it has none. */
export class Device {
  /** Whether the person wants it on. */
  wanted = true;
  /**
   * Reason why the last request failed, also while an earlier track is live.
   * @type {BywayError | null}
   */
  error = null;
  /** Track of the device itself. @type {MediaStreamTrack | null} */
  source = null;
  /**
   * Track that is sent: the source, or it without noise or with another background. Null until the
   * background is there.
   * @type {MediaStreamTrack | null}
   */
  track = null;
  /** Device to open next. @type {Choice | null} */
  choice = null;
  /** Camera side to open next, or null. @type {import("./constraints.js").Facing | null} */
  facing = null;
  /** Time at which the source was opened. */
  openedAt = 0;
  /** @type {Status} */
  #failure = "unasked";

  /** @param {Kind} kind */
  constructor(kind) {
    this.kind = kind;
  }

  get live() {
    return this.source?.readyState === "live";
  }

  /** @returns {Status} */
  get status() {
    if (this.live) return this.wanted ? "on" : "off";
    if (this.#failure === "unasked" && !this.wanted) return "off";
    return this.#failure;
  }

  /** Whether the system silences it, for example during a phone call. */
  get interrupted() {
    return this.live && Boolean(this.source?.muted);
  }

  /** Id of the open device, or of the one that opens next; empty for the default. */
  get deviceId() {
    return (this.live && this.source?.getSettings().deviceId) || (this.choice?.deviceId ?? "");
  }

  get label() {
    return (this.live && this.source?.label) || (this.choice?.label ?? "");
  }

  /** @param {MediaStreamTrack} source */
  take(source) {
    this.source?.stop();
    this.source = this.track = source;
    this.error = null;
    this.#failure = "unasked";
    this.openedAt = performance.now();
    if (this.kind === "camera") this.facing = facingOf(source);
    this.enable();
  }

  /** Sends, or sends black and silence, as the person wants. */
  enable() {
    for (const track of [this.source, this.track]) if (track) track.enabled = this.wanted;
  }

  /** @param {BywayError} error */
  fail(error) {
    this.release();
    this.error = error;
    this.#failure = failureOf(error.code);
  }

  /** Stops the device, so that its light goes out. */
  release() {
    this.source?.stop();
    this.source = this.track = null;
    this.#failure = "unasked";
  }
}

/** @param {string} code @returns {Status} */
function failureOf(code) {
  if (code.startsWith("no-")) return "none";
  if (code === "insecure-page" || code.endsWith("-denied")) return "refused";
  return code.endsWith("-busy") ? "busy" : "failed";
}
