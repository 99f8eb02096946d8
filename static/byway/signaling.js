/** What is said to the server and heard from it, over one WebSocket after the other. */

/**
 * What becomes of it.
 * @typedef {object} Listener
 * @property {() => object} join The fields of the `join` that lets us in, or in again.
 * @property {(message: any, resumed: boolean) => void} heard As the signaling protocol defines,
 *   each signal once and in order. `resumed` goes with `joined`: we never left.
 * @property {() => void} lost The connection is opened again, unless `close` is called.
 */

/**
 * A place in a room that outlives its connections. What was said and may not have arrived is said
 * again when the server still holds the place; where it does not, nothing of before counts any
 * more.
 */
export class Signaling {
  /** @type {URL} */ #url;
  /** @type {Listener} */ #listener;
  /** @type {WebSocket | null} */ #socket = null;
  /** Who we are in the room. @type {string | null} */ #id = null;
  /** By which the server knows us on another connection. @type {string | null} */ #resume = null;
  /** Of the last signal heard. */ #seq = 0;

  /** Signals that the server may not have, oldest first. @type {object[]} */ #kept = [];
  /** How many were ever taken from the front of those. */ #forgotten = 0;
  /** What each unanswered ping vouches for: how many signals had ever been sent. @type {number[]} */ #pings = [];

  /** Since when this connection is in the room, as `performance.now()`; 0: not yet. */ #joinedAt = 0;
  /** Connections that came to nothing since one lasted. */ #attempts = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #heartbeat;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #acknowledging;
  /** While something is awaited. @type {ReturnType<typeof setTimeout> | undefined} */ #patience;
  /** Until when it is. */ #deadline = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retry;

  /** @param {URL} url @param {Listener} listener */
  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
    this.#open();
  }

  /**
   * Says something to another member: now, and if that was in vain, again.
   * @param {{ to: string, data: object }} signal
   */
  signal({ to, data }) {
    const message = { type: "signal", to, data };
    this.#kept.push(message);
    // The newest matter most, and a burst has to stay below what the server takes at once.
    if (this.#kept.length > MOST_KEPT) this.#forget(1);
    if (!this.#joinedAt) return;
    this.#send(message);
    this.#acknowledgeSoon();
  }

  /** Gives our place up, where the server can still be told. */
  leave() {
    this.#send({ type: "leave" });
    this.#resume = null;
  }

  /**
   * The network may be another one than before, or is back, or somebody looks again: finds out soon
   * whether the server is still at the other end, and opens another connection where it is not.
   */
  check() {
    this.#attempts = 0; // what failed in another network, or is about to, tells nothing of this one
    if (!this.#socket) {
      this.reopen(0);
    } else if (this.#joinedAt) {
      this.#ask(CHECK_MS);
    } else {
      this.#expect(CHECK_MS);
    }
  }

  /**
   * Gives this connection up, to open another after a pause: ever longer ones, or the one the
   * server asked for.
   * @param {number} [pauseMs]
   */
  reopen(pauseMs) {
    const lasted = this.#joinedAt && performance.now() - this.#joinedAt > LASTING_MS;
    if (lasted) this.#attempts = 0;
    const pause = pauseMs ?? Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** this.#attempts);
    this.#drop(BACK_SOON);
    this.#attempts += 1;
    // Jitter, so that a room does not come back all at once after a server restart.
    this.#retry = setTimeout(() => this.#open(), pause * (1 + Math.random()));
    this.#listener.lost();
  }

  /** For good. */
  close() {
    this.#drop();
    this.#kept = [];
  }

  /** @param {number} [code] Why, if not because it is over. */
  #drop(code) {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#acknowledging);
    clearTimeout(this.#retry);
    this.#stopWaiting();
    this.#acknowledging = undefined;
    this.#joinedAt = 0;
    this.#pings = [];
    const socket = this.#socket;
    this.#socket = null; // first: what the old one still has to say concerns nobody
    socket?.close(code);
  }

  #open() {
    const socket = new WebSocket(this.#url, "byway.v1");
    const current = () => socket === this.#socket;
    this.#socket = socket;
    this.#expect(OPENING_MS);
    socket.onopen = () => {
      if (!current()) return;
      this.#stopWaiting();
      this.#expect(OPENING_MS);
      const returning = this.#resume === null ? {} : { resume: this.#resume, seq: this.#seq };
      this.#send({ type: "join", ...this.#listener.join(), ...returning });
    };
    socket.onmessage = ({ data }) => {
      if (!current()) return;
      this.#stopWaiting();
      this.#hear(JSON.parse(data));
    };
    // Where a content security policy forbids the server, Chromium tells only of the error.
    socket.onerror = socket.onclose = () => current() && this.reopen();
  }

  /** @param {any} message */
  #hear(message) {
    if (message.type === "joined") return this.#joined(message);
    if (message.type === "pong") return this.#forget((this.#pings.shift() ?? 0) - this.#forgotten);
    if (message.type === "signal") {
      if (message.seq <= this.#seq) return; // told again, for we had not said that we have it
      this.#seq = message.seq;
      this.#acknowledgeSoon();
    }
    this.#listener.heard(message, false);
  }

  /** @param {{ id: string, resume?: string | null }} message */
  #joined(message) {
    const resumed = message.id === this.#id;
    this.#id = message.id;
    this.#resume = message.resume ?? null;
    this.#joinedAt = performance.now();
    this.#heartbeat = setInterval(() => this.#ask(ANSWER_MS), HEARTBEAT_MS);
    if (!resumed) {
      this.#seq = 0;
      this.#forget(this.#kept.length); // it was said to people who are now met anew
    }
    if (this.#kept.length) this.#acknowledgeSoon();
    for (const kept of this.#kept) this.#send(kept);
    this.#listener.heard(message, resumed);
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** The server has so many of what we keep. @param {number} count */
  #forget(count) {
    if (count > 0) this.#forgotten += this.#kept.splice(0, count).length;
  }

  /** Has both sides know soon what the other has got, so that neither has to keep it. */
  #acknowledgeSoon() {
    this.#acknowledging ??= setTimeout(() => {
      this.#acknowledging = undefined;
      this.#ask(ANSWER_MS);
    }, ACKNOWLEDGE_MS);
  }

  /**
   * A browser learns of a dead network path only by sending: without any answer in this time, it is
   * lost.
   * @param {number} ms
   */
  #ask(ms) {
    if (!this.#joinedAt) return;
    this.#pings.push(this.#forgotten + this.#kept.length);
    this.#send({ type: "ping", seq: this.#seq });
    this.#expect(ms);
  }

  /** @param {number} ms */
  #expect(ms) {
    const deadline = performance.now() + ms;
    if (this.#patience && this.#deadline <= deadline) return; // it is to come sooner already
    this.#stopWaiting();
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
/** After something was said or heard: a burst of candidates is over by then. */
const ACKNOWLEDGE_MS = 1_000;
/** For a `pong`. To have been too impatient costs no more than another connection. */
const ANSWER_MS = 5_000;
/** Several round trips of a slow mobile network that has just come back. */
const CHECK_MS = 2_000;
/** For a connection, and then for being let in: time for two lost packets on the way. */
const OPENING_MS = 10_000;
/**
 * A connection that is lost before that was none: a server that lets us in and fails is not to be
 * asked without end.
 */
const LASTING_MS = 10_000;
const SHORTEST_PAUSE_MS = 250;
/** The server keeps our place for half a minute or so: several attempts have to fall into that. */
const LONGEST_PAUSE_MS = 5_000;
/** Below the 200 messages that the server takes at once. */
const MOST_KEPT = 150;
/** The WebSocket code that has the server keep our place (docs/signaling.md). */
const BACK_SOON = 4000;
