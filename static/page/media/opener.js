/** Requests for camera and microphone, with what the person chose. */

import { BywayError, openDevices } from "../../byway.js";
import { pictureConstraints, soundConstraints } from "./constraints.js";
import { TRACK_KIND } from "./device.js";

/** @typedef {import("./device.js").Kind} Kind */
/** @typedef {import("./device.js").Choice} Choice */

/**
 * Track of a request, or the reason why there is none.
 * @typedef {{ track: MediaStreamTrack | null, error: BywayError | null }} Opened
 */

/** Settings that a request respects. */
export class Opener {
  /**
   * @param {import("./device-list.js").DeviceList} list
   * @param {import("./constraints.js").Resolution} resolution
   * @param {import("./constraints.js").Processing} processing Sound processing that was switched.
   */
  constructor(list, resolution, processing) {
    this.list = list;
    this.resolution = resolution;
    this.processing = processing;
  }

  /**
   * Opens devices together, or each by itself if that fails. A chosen device that is gone is
   * replaced by the default one.
   * @param {Kind[]} kinds
   * @param {Record<Kind, Choice | null>} choices
   * @param {AbortSignal} signal
   * @returns {Promise<Partial<Record<Kind, Opened>>>}
   */
  async open(kinds, choices, signal) {
    const which = Object.fromEntries(kinds.map((kind) => [kind, this.#chosen(kind, choices[kind])]));
    const opened = await this.request(kinds, which, signal);
    for (const kind of kinds) {
      if (signal.aborted || !opened[kind]?.error?.code.endsWith("-overconstrained")) continue;
      Object.assign(opened, await this.request([kind], {}, signal));
    }
    return opened;
  }

  /**
   * Opens devices as these constraints say. Tracks that come after an abort are stopped.
   * @param {Kind[]} kinds
   * @param {Record<string, MediaTrackConstraints>} which
   * @param {AbortSignal} signal
   * @returns {Promise<Partial<Record<Kind, Opened>>>}
   */
  async request(kinds, which, signal) {
    const constraints = kinds.map((kind) => [TRACK_KIND[kind], { ...this.#usual(kind), ...which[kind] }]);
    const { stream, errors } = await openDevices(Object.fromEntries(constraints));
    if (signal.aborted) stream?.getTracks().forEach((track) => track.stop());
    return Object.fromEntries(kinds.map((kind) => {
      const track = stream?.getTracks().find((candidate) => candidate.kind === TRACK_KIND[kind]) ?? null;
      return [kind, { track, error: track ? null : errorOf(kind, errors) }];
    }));
  }

  /** @param {Kind} kind */
  #usual(kind) {
    return kind === "camera" ? pictureConstraints(this.resolution) : soundConstraints(this.processing);
  }

  /**
   * Exact for a device that is there: browsers weigh an ideal device against the ideal size.
   * @param {Kind} kind @param {Choice | null} choice @returns {MediaTrackConstraints}
   */
  #chosen(kind, choice) {
    const found = this.list.find(kind, choice);
    if (found) return { deviceId: { exact: found.deviceId } };
    return choice ? { deviceId: { ideal: choice.deviceId } } : {};
  }
}

/**
 * Error of one device. A failure of both is reported once, with the code of the camera.
 * @param {Kind} kind @param {BywayError[]} errors
 */
function errorOf(kind, errors) {
  const own = errors.find(({ code }) => code.includes(kind) || code === "insecure-page");
  if (own && errors.length > 1) return own;
  const [first] = errors;
  if (first?.code === "insecure-page") return first;
  const code = first?.code.replace(/camera|microphone/, kind) ?? `${kind}-failed`;
  return new BywayError(code, code.endsWith("-overconstrained") ? first?.message : undefined, { cause: first?.cause });
}
