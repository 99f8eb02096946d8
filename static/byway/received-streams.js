/** Streams of a peer, as they arrive over one connection. */

import { CAMERA, parsePurposes } from "./local-streams.js";
import { KINDS, parseSends } from "./media-state.js";

/** @typedef {import("./media-state.js").Kind} Kind */

/**
 * Sorts the tracks of a connection into the peer's streams by their purpose.
 *
 * A camera transceiver exists without a track at the peer, too. Its track is shown only while the
 * peer sends one: a video element would otherwise wait for a first picture, and Chromium would play
 * no sound until then.
 */
export class ReceivedStreams {
  /** @type {Map<string, MediaStream>} */ #streams;
  /** @type {() => void} */ #changed;
  /** Purposes by stream id, as the peer's latest description has them. */
  #purposes = /** @type {Map<string, string>} */ (new Map());
  /** @type {Map<Kind, MediaStreamTrack>} */ #camera = new Map();
  /** Tracks of further streams. @type {Map<RTCRtpTransceiver, string>} */ #further = new Map();
  /** Null: other clients say nothing, and have tracks only for what they send. */
  #sends = /** @type {import("./media-state.js").Sends | null} */ (null);
  #toldByControl = false;

  /**
   * @param {RTCPeerConnection} connection
   * @param {object} options
   * @param {Map<string, MediaStream>} options.streams Streams of the peer by purpose. Their tracks
   *   are those of the previous connection.
   * @param {(transceiver: RTCRtpTransceiver) => boolean} options.isCamera
   * @param {boolean} options.ignored Whether the peer is a viewer, who must not send.
   * @param {() => void} options.changed Called when a stream or a track came or went.
   */
  constructor(connection, { streams, isCamera, ignored, changed }) {
    this.#streams = streams;
    this.#changed = changed;
    for (const stream of streams.values()) for (const track of stream.getTracks()) stream.removeTrack(track);
    connection.addEventListener("track", ({ track, streams: carriers, transceiver }) => {
      if (ignored) return;
      if (isCamera(transceiver)) {
        this.#camera.set(/** @type {Kind} */ (track.kind), track);
        return this.#showCamera();
      }
      const purpose = carriers.map(({ id }) => this.#purposes.get(id)).find((known) => known && known !== CAMERA);
      if (purpose) this.#showFurther(purpose, transceiver);
    });
  }

  /**
   * Takes the announcement in a description, before the description is applied.
   * @param {{ streams?: unknown, sends?: unknown }} signal
   */
  expect({ streams, sends }) {
    this.#purposes = parsePurposes(streams);
    // The control channel is faster than the server, so its word is newer.
    if (!this.#toldByControl) this.#sends = parseSends(sends);
  }

  /** Removes the streams that the peer no longer sends, after a description was applied. */
  settle() {
    const announced = new Set(this.#purposes.values());
    let changed = false;
    for (const [transceiver, purpose] of this.#further) {
      const arrives = ["sendrecv", "recvonly"].includes(transceiver.currentDirection ?? "");
      if (arrives && announced.has(purpose)) continue;
      this.#further.delete(transceiver);
      this.#streams.get(purpose)?.removeTrack(transceiver.receiver.track);
      changed = true;
    }
    for (const purpose of this.#streams.keys()) {
      if (purpose !== CAMERA && !announced.has(purpose)) changed = this.#streams.delete(purpose) || changed;
    }
    if (changed) this.#changed();
  }

  /** Takes the kinds in a media line of the control channel. @param {unknown} value */
  setSends(value) {
    const sends = parseSends(value);
    if (!sends) return;
    this.#toldByControl = true;
    this.#sends = sends;
    this.#showCamera();
  }

  #showCamera() {
    const stream = /** @type {MediaStream} */ (this.#streams.get(CAMERA));
    let changed = false;
    for (const kind of KINDS) {
      const track = this.#camera.get(kind);
      if (!track) continue;
      const isShown = stream.getTracks().includes(track);
      const isSent = this.#sends?.[kind] ?? true;
      if (isShown === isSent) continue;
      if (isSent) stream.addTrack(track);
      else stream.removeTrack(track);
      changed = true;
    }
    if (changed) this.#changed();
  }

  /** @param {string} purpose @param {RTCRtpTransceiver} transceiver */
  #showFurther(purpose, transceiver) {
    const { track } = transceiver.receiver;
    this.#further.set(transceiver, purpose);
    let stream = this.#streams.get(purpose);
    if (!stream) this.#streams.set(purpose, (stream = new MediaStream()));
    for (const other of stream.getTracks()) if (other.kind === track.kind) stream.removeTrack(other);
    stream.addTrack(track);
    this.#changed();
  }
}
