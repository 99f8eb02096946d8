/** Signaling client: messages to and from the server, over one WebSocket after another. */

/**
 * Owner of a {@link Signaling}.
 * @typedef {object} Listener
 * @property {() => Promise<object>} joinFields Returns the fields of each `join` message.
 * @property {(message: any, context: { resumed: boolean }) => void} onMessage Takes a message of
 *   the signaling protocol; each signal is delivered once and in order. `resumed` is for `joined`:
 *   the membership continued.
 * @property {() => void} onLost The connection was lost. It is reopened unless `close` is called.
 */

/**
 * A membership of a room that outlives its WebSockets. After a reconnect, signals that the server
 * has not acknowledged are sent again if the server still holds the membership. Otherwise they are
 * discarded.
 */
export class Signaling {
  /** @type {URL} */ #url;
  /** @type {Listener} */ #listener;
  /** @type {WebSocket | null} */ #socket = null;
  /** Id of this member in the room. @type {string | null} */ #id = null;
  /**
   * Secret that resumes the membership over another connection.
   * @type {string | null}
   */
  #resume = null;
  /** `seq` of the last signal received. */ #lastSequence = 0;

  /**
   * Signals that the server may not have received, oldest first.
   * @type {object[]}
   */
  #unacknowledged = [];
  /** Number of signals removed from the front of `#unacknowledged` so far. */ #discardedCount = 0;
  /**
   * For each unanswered ping, the number of signals sent before it. Its pong acknowledges them.
   * @type {number[]}
   */
  #pings = [];

  /** Time of `joined` on this connection, as `performance.now()`. 0 before it. */ #joinedAt = 0;
  /** Failed connections since the last stable one. */ #attempts = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #heartbeat;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #acknowledgeTimer;
  /**
   * Set while a response is awaited.
   * @type {ReturnType<typeof setTimeout> | undefined}
   */
  #responseTimer;
  /** Time of `#responseTimer`, as `performance.now()`. */ #responseDeadline = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #reconnectTimer;

  /** @param {URL} url @param {Listener} listener */
  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
    this.#connect();
  }

  /**
   * Sends a signal to another member, and sends it again if it was lost.
   * @param {{ to: string, data: object }} signal
   */
  signal({ to, data }) {
    const message = { type: "signal", to, data };
    this.#unacknowledged.push(message);
    // The newest matter most, and a resent burst has to stay below the server's limit.
    if (this.#unacknowledged.length > MAX_UNACKNOWLEDGED) this.#discard(1);
    if (!this.#joinedAt) return;
    this.#send(message);
    this.#acknowledgeSoon();
  }

  /**
   * Sends a message that is not sent again if the connection is lost.
   * @param {object} message
   */
  request(message) {
    this.#send(message);
  }

  /** Gives up the membership, if the server can still be told. */
  leave() {
    this.#send({ type: "leave" });
    this.#resume = null;
  }

  /**
   * Checks soon whether the server still answers, and reconnects if it does not. For a network that
   * has changed or is back, and for a page that becomes visible.
   */
  check() {
    this.#attempts = 0; // failures in another network say nothing about this one
    if (!this.#socket) {
      this.reconnect(0);
    } else if (this.#joinedAt) {
      this.#ping(CHECK_MS);
    } else {
      this.#expectResponse(CHECK_MS);
    }
  }

  /**
   * Closes this connection and opens another one after a pause. The pause grows with each failure,
   * unless the server asked for a certain one.
   * @param {number} [pauseMs]
   */
  reconnect(pauseMs) {
    const wasStable = this.#joinedAt && performance.now() - this.#joinedAt > STABLE_MS;
    if (wasStable) this.#attempts = 0;
    const pause = pauseMs ?? Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** this.#attempts);
    this.#disconnect(BACK_SOON);
    this.#attempts += 1;
    // Jitter, so that the members of a room do not all return at once after a server restart.
    this.#reconnectTimer = setTimeout(() => this.#connect(), pause * (1 + Math.random()));
    this.#listener.onLost();
  }

  /** Closes the connection for good. */
  close() {
    this.#disconnect();
    this.#unacknowledged = [];
  }

  /** @param {number} [code] WebSocket close code, if the membership continues. */
  #disconnect(code) {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#acknowledgeTimer);
    clearTimeout(this.#reconnectTimer);
    this.#clearResponseTimer();
    this.#acknowledgeTimer = undefined;
    this.#joinedAt = 0;
    this.#pings = [];
    const socket = this.#socket;
    this.#socket = null; // first: later events of the old socket are ignored
    socket?.close(code);
  }

  #connect() {
    const socket = new WebSocket(this.#url, "byway.v1");
    const isCurrent = () => socket === this.#socket;
    this.#socket = socket;
    this.#expectResponse(OPENING_MS);
    socket.onopen = async () => {
      if (!isCurrent()) return;
      this.#clearResponseTimer();
      this.#expectResponse(OPENING_MS);
      const fields = await this.#listener.joinFields();
      if (!isCurrent()) return;
      const resumption = this.#resume === null ? {} : { resume: this.#resume, seq: this.#lastSequence };
      this.#send({ type: "join", ...fields, ...resumption });
    };
    socket.onmessage = ({ data }) => {
      const message = isCurrent() && parseMessage(data);
      // What is no message is no sign of life: the timer goes on.
      if (!message) return;
      this.#clearResponseTimer();
      this.#onMessage(message);
    };
    // If a content security policy forbids the server, Chromium fires `error` but not `close`.
    socket.onerror = socket.onclose = () => isCurrent() && this.reconnect();
  }

  /** @param {any} message */
  #onMessage(message) {
    if (message.type === "joined") return this.#onJoined(message);
    if (message.type === "pong") return this.#discard((this.#pings.shift() ?? 0) - this.#discardedCount);
    if (message.type === "signal") {
      if (message.seq <= this.#lastSequence) return; // sent again, because it was not acknowledged
      this.#lastSequence = message.seq;
      this.#acknowledgeSoon();
    }
    this.#listener.onMessage(message, { resumed: false });
  }

  /** @param {{ id: string, resume?: string | null }} message */
  #onJoined(message) {
    const resumed = message.id === this.#id;
    this.#id = message.id;
    this.#resume = message.resume ?? null;
    this.#joinedAt = performance.now();
    this.#heartbeat = setInterval(() => this.#ping(PONG_MS), HEARTBEAT_MS);
    if (!resumed) {
      this.#lastSequence = 0;
      // New peers replace the receivers of these signals.
      this.#discard(this.#unacknowledged.length);
    }
    if (this.#unacknowledged.length) this.#acknowledgeSoon();
    for (const signal of this.#unacknowledged) this.#send(signal);
    this.#listener.onMessage(message, { resumed });
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Discards the oldest unacknowledged signals. @param {number} count */
  #discard(count) {
    if (count > 0) this.#discardedCount += this.#unacknowledged.splice(0, count).length;
  }

  /**
   * Sends a ping soon. It acknowledges the signals received, and its pong the signals sent, so that
   * neither side has to keep them.
   */
  #acknowledgeSoon() {
    this.#acknowledgeTimer ??= setTimeout(() => {
      this.#acknowledgeTimer = undefined;
      this.#ping(PONG_MS);
    }, ACKNOWLEDGE_MS);
  }

  /**
   * Sends a ping. Without any message in this time the connection counts as lost: a browser detects
   * a dead network path only by sending.
   * @param {number} timeoutMs
   */
  #ping(timeoutMs) {
    if (!this.#joinedAt) return;
    this.#pings.push(this.#discardedCount + this.#unacknowledged.length);
    this.#send({ type: "ping", seq: this.#lastSequence });
    this.#expectResponse(timeoutMs);
  }

  /** @param {number} timeoutMs */
  #expectResponse(timeoutMs) {
    const deadline = performance.now() + timeoutMs;
    // An earlier deadline is set.
    if (this.#responseTimer && this.#responseDeadline <= deadline) return;
    this.#clearResponseTimer();
    this.#responseDeadline = deadline;
    this.#responseTimer = setTimeout(() => this.reconnect(), timeoutMs);
  }

  #clearResponseTimer() {
    clearTimeout(this.#responseTimer);
    this.#responseTimer = undefined;
  }
}

/**
 * Parses a message. Returns null for what no Byway server sends, such as the text of a proxy.
 * @param {unknown} data
 */
function parseMessage(data) {
  try {
    const message = JSON.parse(/** @type {string} */ (data));
    if (typeof message?.type !== "string") return null;
    const isWhole = typeof message.id === "string" && Array.isArray(message.peers) && typeof message.ice === "object";
    return message.type !== "joined" || (isWhole && message.ice) ? message : null;
  } catch {
    return null;
  }
}

/** Below 60 s, the shortest common idle timeout of reverse proxies, with a heartbeat to spare. */
const HEARTBEAT_MS = 20_000;
/** Delay of the ping after a signal: a burst of candidates is over by then. */
const ACKNOWLEDGE_MS = 1_000;
/** Timeout of a `pong`. Too short a wait costs one more connection. */
const PONG_MS = 5_000;
/** Several round trips of a slow mobile network that has just come back. */
const CHECK_MS = 2_000;
/** For the WebSocket to open, and then for `joined`: time for two lost packets. */
const OPENING_MS = 10_000;
/**
 * Minimum age of a stable connection. A server that admits members and then fails must not be asked
 * without growing pauses.
 */
const STABLE_MS = 10_000;
const MIN_PAUSE_MS = 250;
/** The server keeps a membership for about half a minute: room for several attempts. */
const MAX_PAUSE_MS = 5_000;
/** Below the 200 messages that the server accepts at once. */
const MAX_UNACKNOWLEDGED = 150;
/** WebSocket close code that makes the server keep the membership (docs/signaling.md). */
const BACK_SOON = 4000;
