/**
 * Transceivers of a connection: one for audio and one for video of the camera from the start, and
 * further ones for each further stream.
 */

import { CAMERA } from "./local-streams.js";
import { KINDS } from "./media-state.js";

/** @typedef {import("./media-state.js").Kind} Kind */

/**
 * Sends the streams of a call over one connection. Since both camera transceivers exist from the
 * start, a track that comes, goes or changes needs no negotiation. A further stream does.
 */
export class SentStreams {
  /** @type {RTCPeerConnection} */ #connection;
  /** @type {import("./local-streams.js").LocalStreams} */ #local;
  /** @type {boolean} */ #peerIsViewer;
  /** Direction of the camera transceivers. @type {RTCRtpTransceiverDirection} */ #direction;
  /**
   * Whether transceivers may be added: the peer's first offer must not find any.
   * @type {boolean}
   */
  #ready;
  /** @type {Map<Kind, RTCRtpTransceiver>} */ #camera = new Map();
  /**
   * Transceivers of further streams, by purpose and kind.
   * @type {Map<string, RTCRtpTransceiver>}
   */
  #further = new Map();

  /**
   * @param {RTCPeerConnection} connection
   * @param {import("./local-streams.js").LocalStreams} local
   * @param {{ offering: boolean, peerIsViewer: boolean }} role
   */
  constructor(connection, local, { offering, peerIsViewer }) {
    this.#connection = connection;
    this.#local = local;
    this.#peerIsViewer = peerIsViewer;
    this.#direction = local.viewer ? "recvonly" : peerIsViewer ? "sendonly" : "sendrecv";
    this.#ready = offering;
    if (!offering) return;
    for (const kind of KINDS) {
      const options = { direction: this.#direction, streams: [local.carrier(CAMERA)] };
      this.#camera.set(kind, connection.addTransceiver(local.track(CAMERA, kind) ?? kind, options));
    }
    this.#sendFurther();
  }

  /**
   * Takes the transceivers of the peer's offer for the camera. To be called between the offer and
   * the answer.
   */
  answer() {
    for (const kind of KINDS) {
      const transceiver = this.#findCamera(kind);
      if (!transceiver || transceiver === this.#camera.get(kind)) continue;
      this.#camera.set(kind, transceiver);
      transceiver.direction = this.#direction;
      transceiver.sender.setStreams?.(this.#local.carrier(CAMERA));
    }
    if (this.#peerIsViewer) this.#refuseMedia();
    this.#ready = true;
    // Part of the answer, because the browser does these operations in order.
    this.update().catch((error) => console.error(error));
  }

  /** Sends the present tracks of the call. */
  async update() {
    if (!this.#ready || this.#connection.signalingState === "closed") return;
    await Promise.all([...KINDS.map((kind) => this.#sendCamera(kind)), ...this.#sendFurther()]);
  }

  /** Refuses the further media that a viewer offers: it would cost this end its downlink. */
  #refuseMedia() {
    for (const transceiver of this.#connection.getTransceivers()) {
      if (transceiver.direction === "recvonly") transceiver.direction = "inactive";
    }
  }

  /**
   * Content of a signal with a local description.
   *
   * A further stream may have come or gone since the browser made the description. Announced is
   * what the description has: the browser negotiates again only where that has changed.
   * @param {RTCSessionDescription} description
   */
  announcement({ sdp }) {
    const ids = sentStreamIds(sdp);
    return this.#local.announcement((purpose) => ids.has(this.#local.carrier(purpose).id) || this.#isWaiting(purpose));
  }

  /** Whether a purpose waits for its first negotiation. @param {string} purpose */
  #isWaiting(purpose) {
    return KINDS.some((kind) => this.#local.track(purpose, kind) && !this.#further.get(`${kind} ${purpose}`)?.mid);
  }

  /** Whether a transceiver is one of the camera's. @param {RTCRtpTransceiver} transceiver */
  isCamera(transceiver) {
    return this.#findCamera(/** @type {Kind} */ (transceiver.receiver.track.kind)) === transceiver;
  }

  /**
   * Transceiver of the camera, which is the first of its kind in the first offer.
   * @param {Kind} kind
   */
  #findCamera(kind) {
    const known = this.#camera.get(kind);
    if (known && known.direction !== "stopped") return known;
    const further = new Set(this.#further.values());
    return this.#connection
      .getTransceivers()
      .find((it) => it.receiver.track.kind === kind && it.direction !== "stopped" && !further.has(it));
  }

  /** @param {Kind} kind */
  async #sendCamera(kind) {
    const track = this.#local.track(CAMERA, kind);
    const transceiver = this.#findCamera(kind);
    if (transceiver) return this.#replaceTrack(transceiver, track);
    // Other clients may leave a kind out of their offers. A transceiver of addTrack() is also used
    // for an offer of the peer that brings it at the same time.
    if (!track) return;
    this.#connection.addTrack(track, this.#local.carrier(CAMERA));
    const added = this.#findCamera(kind);
    if (added) added.direction = this.#direction;
  }

  /** @returns {Promise<void>[]} */
  #sendFurther() {
    const purposes = this.#local.purposes.filter((purpose) => purpose !== CAMERA);
    return purposes.flatMap((purpose) => KINDS.map((kind) => this.#sendTrack(purpose, kind)));
  }

  /** @param {string} purpose @param {Kind} kind */
  async #sendTrack(purpose, kind) {
    const track = this.#local.track(purpose, kind);
    const transceiver = this.#further.get(`${kind} ${purpose}`);
    if (transceiver && transceiver.direction !== "stopped") {
      transceiver.direction = track ? "sendonly" : "inactive";
      return this.#replaceTrack(transceiver, track);
    }
    if (!track) return;
    const options = { direction: /** @type {const} */ ("sendonly"), streams: [this.#local.carrier(purpose)] };
    this.#further.set(`${kind} ${purpose}`, this.#connection.addTransceiver(track, options));
  }

  /** @param {RTCRtpTransceiver} transceiver @param {MediaStreamTrack | null} track */
  async #replaceTrack({ sender }, track) {
    if (sender.track === track) return;
    try {
      await sender.replaceTrack(track);
    } catch (error) {
      if (this.#connection.signalingState !== "closed") throw error; // replaced meanwhile
    }
  }
}

/**
 * Ids of the streams that a description sends.
 * @param {string} sdp
 */
function sentStreamIds(sdp) {
  const sending = sdp.split("\r\nm=").filter((section) => /^a=send(recv|only)\s*$/m.test(section));
  return new Set(sending.flatMap((section) => [...section.matchAll(/^a=msid:(\S+)/gm)].map(([, id]) => id)));
}
