/**
 * One connection to a peer: negotiation, ICE restarts, stall detection and credential refresh
 * around an RTCPeerConnection.
 */

import { refreshCredentials } from "./credential-refresh.js";
import { connectionError, relaysOf } from "./errors.js";
import { reportMissingRelay, restartWhenBroken } from "./ice-restart.js";
import { negotiate, sendStream } from "./negotiation.js";
import { attach } from "./peer.js";
import { watchForStalls } from "./stall.js";

/** @typedef {import("./negotiation.js").Signal} Signal */

/**
 * @typedef {object} ConnectionOptions
 * @property {boolean} polite The role in perfect negotiation.
 * @property {boolean} offering Whether this end makes the first offer.
 * @property {number} epoch Number of this connection among those to the peer, alike at both ends.
 * @property {import("./ice-restart.js").Outage} outage Shared by all connections to this peer.
 * @property {RTCConfiguration} configuration
 * @property {number} expires When the credentials in the configuration expire, as `Date.now()`.
 * @property {MediaStream | null} stream The stream to send.
 */

/**
 * Callbacks of a connection into its call.
 *
 * @typedef {object} ConnectionCallbacks
 * @property {(data: Signal) => void} send Sends a signal to the peer.
 * @property {() => void} replace Replaces this connection by a new one, which offers.
 * @property {(offer: Signal) => void} yieldTo Replaces this connection by a new one, which answers
 *   this offer.
 * @property {(error: import("./errors.js").BywayError) => void} fail Reports a failure to the page.
 * @property {() => boolean} canSignal Whether the server can be reached.
 * @property {() => void} pathLost Called when the path breaks.
 */

/** A connection to a peer. {@link Call} replaces it by a new one when it cannot be restored. */
export class PeerConnection {
  /** @type {RTCPeerConnection} */ #connection;
  /** @type {ReturnType<typeof negotiate>} */ #negotiation;
  /** @type {ReturnType<typeof refreshCredentials>} */ #credentials;
  /** @type {ReturnType<typeof restartWhenBroken>} */ #restarts;
  /** @type {ReturnType<typeof watchForStalls>} */ #checkStall;
  #closed = new AbortController();

  /**
   * Opens a connection to a peer and attaches it, in place of the previous one.
   *
   * @param {import("./peer.js").Peer} peer
   * @param {ConnectionOptions} options
   * @param {ConnectionCallbacks} callbacks
   */
  constructor(peer, options, callbacks) {
    const { polite, offering, epoch, outage, configuration, expires, stream } = options;
    const { canSignal, pathLost, replace, yieldTo } = callbacks;
    const { signal } = this.#closed;
    const connection = new RTCPeerConnection(configuration);
    signal.addEventListener("abort", () => connection.close());
    /** @readonly */ this.epoch = epoch;
    /** @readonly */ this.policy = configuration.iceTransportPolicy;

    // A closed connection sends nothing: its successor may have the same epoch.
    const send = (/** @type {Signal} */ data) => signal.aborted || callbacks.send({ epoch, ...data });
    /**
     * Relays asked for the current candidates. The configuration may have changed since.
     * @type {string[]}
     */
    let relaysAsked = [];
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState === "gathering") relaysAsked = relaysOf(connection);
    }, { signal });
    const fail = (/** @type {string} */ code) => callbacks.fail(connectionError(code, peer, relaysAsked));

    this.#connection = connection;
    this.#negotiation = negotiate(connection, { polite, offering, send, yieldTo });
    const requestRestart = () => send({ restart: true });
    this.#credentials = refreshCredentials(connection, { polite, canSignal, requestRestart, expires, signal });
    const channel = attach(peer, connection);
    this.#restarts = restartWhenBroken(connection, { polite, outage, channel, canSignal, pathLost, replace, fail, signal });
    this.#checkStall = watchForStalls(connection, { peer, canSignal, onStall: replace, signal });
    reportMissingRelay(connection, { fail, signal });
    sendStream(connection, stream);
  }

  /** Handles a signal of the peer. @param {Signal} data */
  receive(data) {
    if (data.restart) this.#credentials.restartRequested();
    else this.#negotiation(data);
  }

  /**
   * Takes fresh ICE servers or credentials.
   * @param {RTCConfiguration} configuration
   * @param {number} expires
   */
  refresh(configuration, expires) {
    if (this.#connection.signalingState === "closed") return;
    this.#connection.setConfiguration(configuration);
    this.#credentials.refreshed(expires);
  }

  /** Replaces the connection if nothing arrives from the peer, as after a sleep of this machine. */
  checkStall() {
    this.#checkStall();
  }

  /** Records what has arrived so far, for {@link serverBack}. */
  serverLost() {
    this.#restarts.serverLost();
  }

  /**
   * Checks the path after the server came back: a network change that cut off the server may have
   * cut off the peer, too.
   */
  serverBack() {
    this.#restarts.serverBack();
    this.#checkStall(RESTARTING_MS);
  }

  /** Closes the connection and stops all its timers and listeners. */
  close() {
    this.#closed.abort();
  }
}

/**
 * Long enough for an ICE restart to deliver something, also over a relay in a slow mobile network.
 */
const RESTARTING_MS = 4_000;
