/** A peer: its media streams, messages, channels, and connection reports. */

import { Channels } from "./channel.js";
import { ControlChannel } from "./control.js";
import { BywayError } from "./errors.js";
import { ChannelEvent, Emitter } from "./events.js";
import { keyFrameSender } from "./key-frame.js";
import { CAMERA } from "./local-streams.js";
import { UNKNOWN_STATES } from "./media-state.js";
import { ReceivedStreams } from "./received-streams.js";
import { NO_ROUTE, makeReport } from "./report.js";
import { isHeard } from "./stall.js";

/**
 * STUN or TURN server that failed, with the code and text of `icecandidateerror`.
 * @typedef {{ url: string, code: number, text: string }} IceError
 */

/**
 * Parts of a connection that belong to its peer: the data channel of its messages, the control
 * channel, and the streams that arrive.
 * @typedef {{ messages: RTCDataChannel, control: ControlChannel,
 *   received: ReceivedStreams }} Attachment
 */

/**
 * Attaches a connection to a peer. `opened` is called once the control channel is open.
 * @type {(peer: Peer, connection: RTCPeerConnection, options: {
 *   isCamera: (transceiver: RTCRtpTransceiver) => boolean, opened: () => void }) => Attachment}
 */
export let attach;

/**
 * Detaches a peer that left.
 * @type {(peer: Peer) => void}
 */
export let detach;

/**
 * Report for the `stats` event. Its rates are those since the previous one.
 * @type {(peer: Peer) => Promise<import("./report.js").Report>}
 */
export let reportForStats;

/**
 * Another member of the room.
 *
 * Events:
 * - `message`: the peer sent `event.data`;
 * - `open`: messages can be sent;
 * - `media`: {@link Peer.media} changed;
 * - `streams`: a stream, or a track of one, came or went;
 * - `channel` ({@link ChannelEvent}): the peer opened a channel first;
 * - `stats` ({@link StatsEvent}): a report, once a second while anything listens to it;
 * - `connection`: a new connection replaced the old one, because of `setRelayOnly` at either end or
 *   to recover;
 * - `left`: the peer left the room.
 *
 * @extends {Emitter<{message: MessageEvent, open: Event, media: Event, streams: Event,
 *   channel: ChannelEvent, stats: import("./events.js").StatsEvent, connection: Event,
 *   left: Event}>}
 */
export class Peer extends Emitter {
  /**
   * Camera and microphone of the peer. The stream exists from the start. It has the tracks that
   * the peer sends at present.
   */
  stream = new MediaStream();
  /**
   * Streams of the peer by purpose. `camera` is always there, and is {@link Peer.stream}.
   * @type {ReadonlyMap<string, MediaStream>}
   */
  streams;
  /** State of the peer's microphone and camera. @type {import("./media-state.js").MediaStates} */
  media = UNKNOWN_STATES;
  /** Whether the peer is a host of the room. */
  host = false;
  /** STUN and TURN servers that could not be used. @type {IceError[]} */
  iceErrors = [];
  /**
   * Underlying connection, for features that this module does not wrap. It negotiates by itself.
   * A `connection` event announces a new one.
   */
  connection = /** @type {RTCPeerConnection} */ (/** @type {unknown} */ (null));

  /** @type {Map<string, MediaStream>} */ #streams = new Map([[CAMERA, this.stream]]);
  /** @type {RTCDataChannel | undefined} */ #messages;
  /** @type {ControlChannel | undefined} */ #control;
  #channels = new Channels((channel) => this.dispatchEvent(new ChannelEvent(channel)));
  /** Figures of the last `report()`, and of the last `stats` event. */
  #memory = /** @type {{ [use: string]: import("./report.js").Memory | null }} */ ({});

  /**
   * @param {string} id
   * @param {string} name
   * @param {boolean} [viewer]
   */
  constructor(id, name, viewer = false) {
    super();
    this.id = id;
    /** Name as the peer chose it. Show it as text, never as HTML. */
    this.name = name;
    /** Whether the peer only receives. @readonly */
    this.viewer = viewer;
    this.streams = this.#streams;
  }

  /**
   * Sends a message to this peer, reliably and in order. Throws before `open`.
   * @param {string | ArrayBuffer} data
   */
  send(data) {
    this.#messages?.send(/** @type {string} */ (data));
  }

  /**
   * Opens a channel, and returns this end of it. The peer gets its own end by opening the same
   * label, or in a `channel` event.
   * @param {string} label 1 to 64 characters.
   * @returns {import("./channel.js").Channel}
   */
  openChannel(label) {
    return this.#channels.open(label);
  }

  /**
   * Measures the round-trip time of a message that the peer's module echoes.
   * @param {number} [timeoutMs]
   * @param {{ signal?: AbortSignal }} [options] Rejects with the signal's reason once aborted.
   * @returns {Promise<number>} Round-trip time in milliseconds.
   */
  async ping(timeoutMs = 5000, { signal } = {}) {
    if (!this.#control) throw new BywayError("no-echo");
    return this.#control.ping({ timeoutMs, signal });
  }

  /**
   * Returns the state of the connection. Bitrates are averages since the previous report, so call
   * this about once a second.
   * @returns {Promise<import("./report.js").Report>}
   */
  report() {
    return this.#report("report");
  }

  static {
    attach = (peer, connection, options) => peer.#attach(connection, options);
    detach = (peer) => peer.#channels.close();
    reportForStats = (peer) => peer.#report("stats");
  }

  /** @param {"report" | "stats"} use */
  async #report(use) {
    const { connection } = this;
    const stats = [...(await connection.getStats()).values()];
    const memory = this.#memory[use] ?? null;
    const made = makeReport(stats, { at: performance.now(), memory, connection });
    // If the connection was replaced meanwhile, these figures are those of the old one.
    if (connection === this.connection) this.#memory[use] = made.memory;
    const sendsMedia = this.media.microphone === "on" || this.media.camera === "on";
    const route = isHeard(connection, made.report.silentMs, sendsMedia) ? {} : NO_ROUTE;
    return { ...made.report, ...route, iceErrors: [...this.iceErrors] };
  }

  /**
   * @param {RTCPeerConnection} connection
   * @param {{ isCamera: (transceiver: RTCRtpTransceiver) => boolean, opened: () => void }} options
   * @returns {Attachment}
   */
  #attach(connection, { isCamera, opened }) {
    this.connection = connection;
    this.#memory = {};
    this.iceErrors = [];

    connection.addEventListener("icecandidateerror", ({ url, errorCode: code, errorText: text }) => {
      // Browsers report the same error for every network interface.
      if (!this.iceErrors.some((known) => known.url === url && known.code === code)) {
        this.iceErrors.push({ url, code, text });
      }
    });

    const isCurrent = () => connection === this.connection;
    const changed = () => isCurrent() && this.dispatchEvent(new Event("streams"));
    const received = new ReceivedStreams(connection, { streams: this.#streams, isCamera, ignored: this.viewer, changed });
    // Negotiated channels with fixed ids instead of in-band announcements: both ends have them from
    // the start.
    const messages = connection.createDataChannel("byway", { negotiated: true, id: 0 });
    messages.binaryType = "arraybuffer";
    messages.onopen = () => this.dispatchEvent(new Event("open"));
    messages.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent("message", { data }));
    const control = new ControlChannel(connection, {
      opened,
      media: (states, sends) => {
        if (!isCurrent()) return;
        received.setSends(sends);
        this.#setMedia(states);
      },
      picture: keyFrameSender(connection),
      closed: (streamId) => isCurrent() && this.#channels.closedByPeer(streamId),
    });
    this.#channels.attach(connection, (streamId) => control.say(`close ${streamId}`));
    this.#messages = messages;
    this.#control = control;
    return { messages, control, received };
  }

  /** @param {import("./media-state.js").MediaStates} states */
  #setMedia(states) {
    if (this.viewer) return; // sends nothing, whatever it says
    if (states.microphone === this.media.microphone && states.camera === this.media.camera) return;
    this.media = Object.freeze(states);
    this.dispatchEvent(new Event("media"));
  }
}
