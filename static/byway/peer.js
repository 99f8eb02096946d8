/** Someone else in the room: what comes from them, what is sent to them. */

import { BywayError } from "./errors.js";
import { Emitter } from "./events.js";
import { NO_ROUTE, compareTraffic, findRoute, measureTraffic } from "./report.js";

/** @typedef {{ url: string, code: number, text: string }} IceError */

/**
 * Hands a Peer its connection, and returns the channel of its messages.
 * @type {(peer: Peer, connection: RTCPeerConnection) => RTCDataChannel}
 */
export let attach;

/**
 * Someone else in the room.
 *
 * Events: `message` (what the other side sent, `event.data`) · `open` (messages can be sent) ·
 * `connection` (it was replaced by a new one, because of `setRelayOnly` at either end or to
 * recover) · `left`.
 *
 * @extends {Emitter<{message: MessageEvent, open: Event, connection: Event, left: Event}>}
 */
export class Peer extends Emitter {
  /** What comes from the peer. One stream from the start; tracks are added to it as they arrive. */
  stream = new MediaStream();
  /** STUN and TURN servers that could not be used. @type {IceError[]} */
  iceErrors = [];
  /**
   * For what this module does not wrap; negotiation runs by itself. Another one after a
   * `connection` event.
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
    /** As the other side gave it: show it as text, never as HTML. */
    this.name = name;
  }

  /**
   * Sends to this peer, reliably and in order. Throws before `open`.
   * @param {string | ArrayBuffer} data
   */
  send(data) {
    this.#messages?.send(/** @type {string} */ (data));
  }

  /**
   * Sends a message that the other side's module echoes, and measures how long that takes.
   * @param {number} [timeoutMs]
   * @returns {Promise<number>} Milliseconds there and back.
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
      throw new BywayError("no-echo", undefined, { cause }); // too late, or not open
    } finally {
      clearTimeout(timer);
      this.#pings.delete(nonce);
    }
    return performance.now() - started;
  }

  /**
   * How this connection runs. Bitrates are over the time since the report before, so ask about once
   * a second.
   * @returns {Promise<import("./report.js").Report>}
   */
  async report() {
    const { connection } = this;
    const stats = [...(await connection.getStats()).values()];
    const connected = connection.connectionState === "connected";
    const traffic = measureTraffic(stats, performance.now());
    const rates = compareTraffic(this.#traffic, traffic);
    // Asked while the connection was being replaced, these figures are the old one's.
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
      // Browsers tell the same of every network interface.
      if (!this.iceErrors.some((known) => known.url === url && known.code === code)) {
        this.iceErrors.push({ url, code, text });
      }
    });

    // Numbered by agreement instead of announced in-band: both ends have them from the first
    // moment.
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
