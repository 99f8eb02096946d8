/** A peer: its media stream, messages, and connection reports. */

import { BywayError } from "./errors.js";
import { Emitter } from "./events.js";
import { NO_ROUTE, compareTraffic, findRoute, measureTraffic } from "./report.js";

/**
 * STUN or TURN server that failed, with the code and text of `icecandidateerror`.
 * @typedef {{ url: string, code: number, text: string }} IceError
 */

/**
 * Attaches a connection to a peer, and returns the data channel of its messages.
 * @type {(peer: Peer, connection: RTCPeerConnection) => RTCDataChannel}
 */
export let attach;

/**
 * Another member of the room.
 *
 * Events:
 * - `message`: the peer sent `event.data`;
 * - `open`: messages can be sent;
 * - `connection`: a new connection replaced the old one, because of `setRelayOnly` at either end or
 *   to recover;
 * - `left`: the peer left the room.
 *
 * @extends {Emitter<{message: MessageEvent, open: Event, connection: Event, left: Event}>}
 */
export class Peer extends Emitter {
  /** Media of the peer. The stream exists from the start, and tracks are added as they arrive. */
  stream = new MediaStream();
  /** STUN and TURN servers that could not be used. @type {IceError[]} */
  iceErrors = [];
  /**
   * Underlying connection, for features that this module does not wrap. It negotiates by itself.
   * A `connection` event announces a new one.
   */
  connection = /** @type {RTCPeerConnection} */ (/** @type {unknown} */ (null));

  /** @type {RTCDataChannel | undefined} */ #messages;
  /** @type {RTCDataChannel | undefined} */ #echo;
  /** @type {Map<string, () => void>} */ #pings = new Map();
  /** @type {import("./report.js").Traffic | null} */ #traffic = null;

  /**
   * @param {string} id
   * @param {string} name
   */
  constructor(id, name) {
    super();
    this.id = id;
    /** Name as the peer chose it. Show it as text, never as HTML. */
    this.name = name;
  }

  /**
   * Sends a message to this peer, reliably and in order. Throws before `open`.
   * @param {string | ArrayBuffer} data
   */
  send(data) {
    this.#messages?.send(/** @type {string} */ (data));
  }

  /**
   * Measures the round-trip time of a message that the peer's module echoes.
   * @param {number} [timeoutMs]
   * @returns {Promise<number>} Round-trip time in milliseconds.
   */
  async ping(timeoutMs = 5000) {
    const nonce = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
    const started = performance.now();
    /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
    try {
      await new Promise((resolve, reject) => {
        this.#pings.set(nonce, () => resolve(undefined));
        timer = setTimeout(reject, timeoutMs);
        this.#echo?.send(`ping ${nonce}`);
      });
    } catch (cause) {
      throw new BywayError("no-echo", undefined, { cause }); // timed out, or not open
    } finally {
      clearTimeout(timer);
      this.#pings.delete(nonce);
    }
    return performance.now() - started;
  }

  /**
   * Returns the state of the connection. Bitrates are averages since the previous report, so call
   * this about once a second.
   * @returns {Promise<import("./report.js").Report>}
   */
  async report() {
    const { connection } = this;
    const stats = [...(await connection.getStats()).values()];
    const connected = connection.connectionState === "connected";
    const traffic = measureTraffic(stats, performance.now());
    const rates = compareTraffic(this.#traffic, traffic);
    // If the connection was replaced meanwhile, these figures are those of the old one.
    if (connection === this.connection) this.#traffic = traffic;
    return { ...(connected ? findRoute(stats) : NO_ROUTE), ...rates, iceErrors: [...this.iceErrors] };
  }

  static {
    attach = (peer, connection) => peer.#attach(connection);
  }

  /**
   * @param {RTCPeerConnection} connection
   * @returns {RTCDataChannel}
   */
  #attach(connection) {
    this.connection = connection;
    this.#traffic = null;
    this.iceErrors = [];
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track);

    connection.addEventListener("track", ({ track }) => this.stream.addTrack(track));
    connection.addEventListener("icecandidateerror", ({ url, errorCode: code, errorText: text }) => {
      // Browsers report the same error for every network interface.
      if (!this.iceErrors.some((known) => known.url === url && known.code === code)) {
        this.iceErrors.push({ url, code, text });
      }
    });

    // Negotiated channels with fixed ids instead of in-band announcements: both ends have them from
    // the start.
    const messages = connection.createDataChannel("byway", { negotiated: true, id: 0 });
    messages.binaryType = "arraybuffer";
    messages.onopen = () => this.dispatchEvent(new Event("open"));
    messages.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent("message", { data }));
    const echo = connection.createDataChannel("byway.echo", { negotiated: true, id: 1 });
    echo.onmessage = ({ data }) => {
      const [kind, nonce] = String(data).split(" ", 2);
      if (kind === "ping") echo.send(`pong ${nonce}`);
      else this.#pings.get(nonce)?.();
    };
    this.#messages = messages;
    this.#echo = echo;
    return messages;
  }
}
