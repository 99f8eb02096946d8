/** The WebSocket to the server: kept alive, opened again where it is lost. */

/**
 * What becomes of the connection.
 * @typedef {object} Listener
 * @property {() => void} opened Messages can be sent.
 * @property {(message: any) => void} heard As the signaling protocol defines.
 * @property {() => void} lost It will be opened again, unless `close` is called.
 */

/** One connection at a time. What is sent while there is none is dropped: who rejoins begins anew. */
export class Signaling {
  /** @type {URL} */ #url;
  /** @type {Listener} */ #listener;
  /** @type {WebSocket | null} */ #socket = null;
  #attempts = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #heartbeat;
  /** While an answer is awaited. @type {ReturnType<typeof setTimeout> | undefined} */ #patience;
  /** Until when it is. */
  #deadline = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retry;

  /** @param {URL} url @param {Listener} listener */
  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
    this.#open();
  }

  /** @param {object} message */
  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** The server has let us in: should it be lost from here on, it is soon tried again. */
  confirm() {
    this.#attempts = 0;
  }

  /**
   * The network may be another one than before, or is back: finds out soon whether the server is still at the other end,
   * and opens another connection where it is not.
   */
  check() {
    if (!this.#socket) {
      this.#attempts = 0; // what failed in another network tells nothing of this one
      return this.reopen(0);
    }
    if (this.#socket.readyState === WebSocket.OPEN) this.#ask(CHECK_MS);
  }

  /**
   * Gives this connection up, to open another after a pause: ever longer ones, or the one the server asked for.
   * @param {number} [pauseMs]
   */
  reopen(pauseMs = Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** this.#attempts)) {
    this.close();
    this.#attempts += 1;
    // Jitter, so that a room does not come back all at once after a server restart.
    this.#retry = setTimeout(() => this.#open(), pauseMs * (1 + Math.random()));
    this.#listener.lost();
  }

  /** For good, unless by `reopen`. */
  close() {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#retry);
    this.#stopWaiting();
    const socket = this.#socket;
    this.#socket = null; // first: what the old one still has to say concerns nobody
    socket?.close();
  }

  #open() {
    const socket = new WebSocket(this.#url, "byway.v1");
    const current = () => socket === this.#socket;
    this.#socket = socket;
    this.#heartbeat = setInterval(() => this.#ask(HEARTBEAT_MS), HEARTBEAT_MS);
    socket.onopen = () => current() && this.#listener.opened();
    socket.onmessage = ({ data }) => {
      if (!current()) return;
      this.#stopWaiting();
      this.#listener.heard(JSON.parse(data));
    };
    // Where a content security policy forbids the server, Chromium tells only of the error.
    socket.onerror = socket.onclose = () => current() && this.reopen();
  }

  /** A browser learns of a dead network path only by sending: without any answer in this time, it is lost. @param {number} ms */
  #ask(ms) {
    const deadline = performance.now() + ms;
    if (this.#patience && this.#deadline <= deadline) return; // asked already, and to be answered sooner
    this.#stopWaiting();
    this.send({ type: "ping" });
    this.#deadline = deadline;
    this.#patience = setTimeout(() => this.reopen(), ms);
  }

  #stopWaiting() {
    clearTimeout(this.#patience);
    this.#patience = undefined;
  }
}

/** Below the shortest idle time-out common among reverse proxies (60 s), with a beat to spare. */
const HEARTBEAT_MS = 20_000;
/** Several round trips of a slow mobile network that has just come back. */
const CHECK_MS = 2_000;
const SHORTEST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;
