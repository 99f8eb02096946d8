/** Streams that a call sends, each with its purpose. */

import { BywayError } from "./errors.js";
import { KINDS, checkStates } from "./media-state.js";

/** @typedef {import("./media-state.js").Kind} Kind */

/** Purpose of the stream that every connection has. */
export const CAMERA = "camera";

/**
 * Tracks of one purpose. `carrier` names the purpose on the wire by its id, and never has a track:
 * the page may send one stream for two purposes, or several streams for one.
 * @typedef {{ carrier: MediaStream, audio: MediaStreamTrack | null,
 *   video: MediaStreamTrack | null }} LocalStream
 */

/** Streams and states of a call, which all its connections send. */
export class LocalStreams {
  /** Whether this member receives only. @type {boolean} */ viewer;

  /** @type {Map<string, LocalStream>} */ #streams = new Map();
  /** States that the page has set. @type {Partial<import("./media-state.js").MediaStates>} */
  #states = {};

  /**
   * @param {MediaStream | null} camera
   * @param {{ viewer: boolean }} options
   */
  constructor(camera, { viewer }) {
    this.viewer = viewer;
    this.set(CAMERA, camera);
  }

  /** All purposes so far, also those that send nothing now. */
  get purposes() {
    return [...this.#streams.keys()];
  }

  /**
   * Replaces the tracks of a purpose by the stream's first audio and first video track.
   * @param {string} purpose
   * @param {MediaStream | null} stream
   */
  set(purpose, stream) {
    const local = this.#streamFor(purpose);
    for (const kind of KINDS) local[kind] = stream?.getTracks().find((track) => track.kind === kind) ?? null;
  }

  /** @param {Kind} kind @param {MediaStreamTrack | null} track */
  setCameraTrack(kind, track) {
    if (!KINDS.includes(kind) || (track && track.kind !== kind)) throw new TypeError(`not a track of kind "${kind}"`);
    this.#streamFor(CAMERA)[kind] = track;
  }

  /** @param {Partial<import("./media-state.js").MediaStates>} states */
  setStates(states) {
    this.#states = { ...this.#states, ...checkStates(states) };
  }

  /** @param {string} purpose @param {Kind} kind @returns {MediaStreamTrack | null} */
  track(purpose, kind) {
    return this.viewer ? null : (this.#streams.get(purpose)?.[kind] ?? null);
  }

  /** @param {string} purpose */
  carrier(purpose) {
    return this.#streamFor(purpose).carrier;
  }

  /**
   * Content of a description signal: purposes by stream id, and the kinds that the camera has.
   * @param {(purpose: string) => boolean} isSent Whether the description has a further purpose.
   */
  announcement(isSent) {
    const sent = this.purposes.filter((purpose) => purpose === CAMERA || isSent(purpose));
    return { streams: Object.fromEntries(sent.map((purpose) => [this.carrier(purpose).id, purpose])), sends: this.sends };
  }

  /** Content of a media line of the control channel. */
  get states() {
    const { audio, video } = this.sends;
    /** @type {import("./media-state.js").MediaStates} */
    const derived = { microphone: audio ? "on" : "none", camera: video ? "on" : "none" };
    // A page may have set states before a token made its member a viewer.
    return { ...derived, ...(!this.viewer && this.#states), sends: this.sends };
  }

  /** @returns {import("./media-state.js").Sends} */
  get sends() {
    return { audio: this.track(CAMERA, "audio") !== null, video: this.track(CAMERA, "video") !== null };
  }

  /** @param {string} purpose @returns {LocalStream} */
  #streamFor(purpose) {
    let local = this.#streams.get(purpose);
    if (!local) {
      if (this.#streams.size === MAX_PURPOSES) throw new BywayError("too-many-streams");
      this.#streams.set(purpose, (local = { carrier: new MediaStream(), audio: null, video: null }));
    }
    return local;
  }
}

/**
 * Checks the purpose of a further stream.
 * @param {string} purpose
 */
export function checkPurpose(purpose) {
  if (!isPurpose(purpose) || purpose === CAMERA) throw new BywayError("bad-purpose");
}

/** @param {unknown} value @returns {value is string} */
const isPurpose = (value) => typeof value === "string" && value.length >= 1 && value.length <= MAX_PURPOSE_LENGTH;

/**
 * Parses the purposes by stream id of a peer's description. Entries that are not valid, and those
 * beyond the limit, are left out.
 * @param {unknown} value
 * @returns {Map<string, string>}
 */
export function parsePurposes(value) {
  /** @type {Map<string, string>} */ const purposes = new Map();
  if (typeof value !== "object" || value === null || Array.isArray(value)) return purposes;
  for (const [id, purpose] of Object.entries(value).slice(0, MAX_PURPOSES)) {
    if (id.length <= MAX_ID_LENGTH && isPurpose(purpose)) purposes.set(id, purpose);
  }
  return purposes;
}

/** Purposes of one member at a time, the camera among them. */
const MAX_PURPOSES = 8;
const MAX_PURPOSE_LENGTH = 32;
/** Ids of streams have about 40 characters. */
const MAX_ID_LENGTH = 128;
