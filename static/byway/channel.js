/** Channels: messages under a label, between two members, over one connection after another. */

import { BywayError } from "./errors.js";
import { Emitter } from "./events.js";

/** @type {(channel: Channel, sending: RTCDataChannel) => void} */ let sendOver;
/** @type {(channel: Channel, receiving: RTCDataChannel) => void} */ let receiveOver;
/**
 * Stream id of the data channel that a channel receives over.
 * @type {(channel: Channel) => number | null}
 */
let receivingId;
/**
 * Stream id of the data channel that a channel sends over.
 * @type {(channel: Channel) => number | null}
 */
let sendingId;
/** @type {(channel: Channel) => void} */ let finish;

/**
 * Messages under a label between two members, reliable and in order. Opened by
 * {@link Peer.openChannel}.
 *
 * Each end sends over a data channel of its own, so that both may open the same label at the same
 * time. A new connection continues the channel. Messages that were under way then may be lost.
 *
 * Events:
 * - `open`: messages are under way at once from now on; again after each new connection;
 * - `message`: the peer sent `event.data`, a string or an ArrayBuffer;
 * - `close`: an end closed the channel, or the peer left.
 *
 * @extends {Emitter<{open: Event, message: MessageEvent, close: Event}>}
 */
export class Channel extends Emitter {
  /** Label that both ends opened. @readonly @type {string} */
  label;

  /** @type {RTCDataChannel | null} */ #sending = null;
  /** @type {RTCDataChannel | null} */ #receiving = null;
  #isClosed = false;
  /** Settles when all earlier messages were handed to the browser. @type {Promise<void>} */
  #turn = Promise.resolve();
  /** Wakes the message that waits. */ #wake = () => {};
  /** @type {(channel: Channel) => void} */ #onClose;

  /**
   * @param {string} label
   * @param {(channel: Channel) => void} onClose
   */
  constructor(label, onClose) {
    super();
    this.label = label;
    this.#onClose = onClose;
  }

  /**
   * State of the channel. While it is `connecting`, messages wait.
   * @returns {"connecting" | "open" | "closed"}
   */
  get readyState() {
    if (this.#isClosed) return "closed";
    return this.#sending?.readyState === "open" ? "open" : "connecting";
  }

  /** Bytes that were handed to the browser and not yet to the network. */
  get bufferedAmount() {
    return this.#sending?.bufferedAmount ?? 0;
  }

  /**
   * Sends a message after all earlier ones. Resolves once the browser has taken it: while much
   * data is buffered, and without a connection, that waits. Rejects once the channel is closed. A
   * page that does not await it gets no unhandled rejection.
   * @param {string | ArrayBuffer | ArrayBufferView<ArrayBuffer>} data
   * @returns {Promise<void>}
   */
  send(data) {
    const sent = this.#turn.then(() => this.#transmit(data));
    this.#turn = sent.catch(() => {});
    return sent;
  }

  /** Closes both ends of the channel. Messages that still wait are discarded. */
  close() {
    if (this.#isClosed) return;
    this.#onClose(this);
    this.#finish();
  }

  static {
    sendOver = (channel, sending) => channel.#sendOver(sending);
    receiveOver = (channel, receiving) => channel.#receiveOver(receiving);
    receivingId = (channel) => channel.#receiving?.id ?? null;
    sendingId = (channel) => channel.#sending?.id ?? null;
    finish = (channel) => channel.#finish();
  }

  /** @param {string | ArrayBuffer | ArrayBufferView<ArrayBuffer>} data */
  async #transmit(data) {
    while (this.readyState !== "open" || this.bufferedAmount > HIGH_WATER) {
      if (this.#isClosed) throw new BywayError("channel-closed");
      await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
    }
    try {
      this.#sending?.send(/** @type {string} */ (data));
    } catch (cause) {
      // A TypeError: the message is larger than the peer's browser accepts.
      throw cause instanceof TypeError ? new BywayError("message-too-large", undefined, { cause }) : cause;
    }
  }

  /** @param {RTCDataChannel} sending */
  #sendOver(sending) {
    this.#sending = sending;
    this.#take(sending);
    sending.bufferedAmountLowThreshold = LOW_WATER;
    sending.onbufferedamountlow = () => this.#wake();
    sending.onopen = () => {
      if (sending !== this.#sending) return;
      this.#wake();
      this.dispatchEvent(new Event("open"));
    };
  }

  /** @param {RTCDataChannel} receiving */
  #receiveOver(receiving) {
    this.#receiving?.close();
    this.#receiving = receiving;
    this.#take(receiving);
  }

  /** @param {RTCDataChannel} channel */
  #take(channel) {
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }) => this.#isClosed || this.dispatchEvent(new MessageEvent("message", { data }));
  }

  #finish() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#sending?.close();
    this.#receiving?.close();
    this.#wake();
    this.dispatchEvent(new Event("close"));
  }
}

/** Channels to one peer. */
export class Channels {
  /** @type {RTCPeerConnection | null} */ #connection = null;
  /** Tells the peer that the channel of this stream id was closed. */
  #tell = (/** @type {number} */ _streamId) => {};
  /** @type {Map<string, Channel>} */ #channels = new Map();
  /** Channels that the peer opened. @type {Set<Channel>} */ #announced = new Set();
  /** @type {(channel: Channel) => void} */ #onAnnounced;
  #isClosed = false;

  /** @param {(channel: Channel) => void} onAnnounced Called when the peer opens a channel first. */
  constructor(onAnnounced) {
    this.#onAnnounced = onAnnounced;
  }

  /**
   * Returns the channel of a label, and opens it if there is none.
   * @param {string} label
   */
  open(label) {
    if (!isLabel(label)) throw new BywayError("bad-label");
    const known = this.#channels.get(label);
    if (known) return known;
    if (this.#channels.size - this.#announced.size >= MAX_CHANNELS) throw new BywayError("too-many-channels");
    const channel = this.#add(label);
    if (this.#isClosed) channel.close();
    return channel;
  }

  /**
   * Moves all channels to a connection.
   * @param {RTCPeerConnection} connection
   * @param {(streamId: number) => void} tell
   */
  attach(connection, tell) {
    this.#connection = connection;
    this.#tell = tell;
    for (const channel of this.#channels.values()) this.#connect(channel);
    connection.addEventListener("datachannel", ({ channel: receiving }) => {
      // The page may have data channels of its own.
      if (receiving.label.startsWith(PREFIX) && connection === this.#connection) this.#receive(receiving);
    });
  }

  /** Closes the channel that the peer closed. @param {number} streamId */
  closedByPeer(streamId) {
    const channel = [...this.#channels.values()].find((candidate) => receivingId(candidate) === streamId);
    if (channel) this.#remove(channel);
  }

  /** Closes all channels, because the peer left. */
  close() {
    this.#isClosed = true;
    for (const channel of this.#channels.values()) this.#remove(channel);
  }

  /** @param {RTCDataChannel} receiving */
  #receive(receiving) {
    const label = receiving.label.slice(PREFIX.length);
    const known = this.#channels.get(label);
    if (!isLabel(label) || (!known && this.#announced.size >= MAX_CHANNELS)) return receiving.close();
    const channel = known ?? this.#add(label);
    receiveOver(channel, receiving);
    if (known) return;
    this.#announced.add(channel);
    this.#onAnnounced(channel);
  }

  /** @param {string} label */
  #add(label) {
    const channel = new Channel(label, () => {
      const streamId = sendingId(channel);
      if (streamId !== null) this.#tell(streamId);
      this.#forget(channel);
    });
    this.#channels.set(label, channel);
    this.#connect(channel);
    return channel;
  }

  /** @param {Channel} channel */
  #connect(channel) {
    if (!this.#connection || this.#connection.signalingState === "closed") return;
    sendOver(channel, this.#connection.createDataChannel(PREFIX + channel.label));
  }

  /** @param {Channel} channel */
  #remove(channel) {
    this.#forget(channel);
    finish(channel);
  }

  /** @param {Channel} channel */
  #forget(channel) {
    this.#channels.delete(channel.label);
    this.#announced.delete(channel);
  }
}

/** @param {unknown} value */
const isLabel = (value) => typeof value === "string" && value.length >= 1 && value.length <= MAX_LABEL_LENGTH;

/** Distinguishes these data channels from those of a page. */
const PREFIX = "byway:";
const MAX_LABEL_LENGTH = 64;
/** Channels of each end. Browsers have room for about a thousand data channels. */
const MAX_CHANNELS = 64;
/** Enough for the fastest path, and little enough for a channel to be cancelled soon. */
const HIGH_WATER = 1024 * 1024;
const LOW_WATER = 256 * 1024;
