/**
 * One connection to a peer: negotiation, ICE restarts, stall detection and credential refresh
 * around an RTCPeerConnection.
 */

import { refreshCredentials } from "./credential-refresh.js";
import { connectionError, relaysOf } from "./errors.js";
import { reportMissingRelay, restartWhenBroken } from "./ice-restart.js";
import { watchPictures } from "./key-frame.js";
import { negotiate } from "./negotiation.js";
import { attach } from "./peer.js";
import { SentStreams } from "./sent-streams.js";
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
 * @property {import("./local-streams.js").LocalStreams} local The streams to send.
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
  /** @type {SentStreams} */ #sent;
  /** Sends the media states over the control channel. @type {() => void} */ #tell;
  /** @type {ReturnType<typeof watchPictures>} */ #checkPictures;
  #closed = new AbortController();

  /**
   * Opens a connection to a peer and attaches it, in place of the previous one.
   *
   * @param {import("./peer.js").Peer} peer
   * @param {ConnectionOptions} options
   * @param {ConnectionCallbacks} callbacks
   */
  constructor(peer, options, callbacks) {
    const { polite, offering, epoch, outage, configuration, expires, local } = options;
    const { canSignal, pathLost, replace, yieldTo } = callbacks;
    const { signal } = this.#closed;
    const connection = new RTCPeerConnection(configuration);
    signal.addEventListener("abort", () => connection.close());
    /** @readonly */ this.epoch = epoch;
    /** @readonly */ this.policy = configuration.iceTransportPolicy;

    // A closed connection sends nothing: its successor may have the same epoch.
    const send = (/** @type {Signal} */ data) => {
      if (!signal.aborted) callbacks.send({ epoch, ...data, ...(data.description && sent.announcement(data.description)) });
    };
    /**
     * Relays asked for the current candidates. The configuration may have changed since.
     * @type {string[]}
     */
    let relaysAsked = [];
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState === "gathering") relaysAsked = relaysOf(connection);
    }, { signal });
    const fail = (/** @type {string} */ code) =>
      callbacks.fail(connectionError(/** @type {import("./errors.js").ErrorCode} */ (code), peer, relaysAsked));

    this.#connection = connection;
    const sent = new SentStreams(connection, local, { offering, peerIsViewer: peer.viewer });
    const isCamera = (/** @type {RTCRtpTransceiver} */ transceiver) => sent.isCamera(transceiver);
    const { messages: channel, control, received } = attach(peer, connection, { isCamera, opened: () => this.#tell() });
    this.#sent = sent;
    this.#tell = () => control.say(`media ${JSON.stringify(local.states)}`);
    const media = {
      expect: (/** @type {Signal} */ announcement) => received.expect(announcement),
      answer: () => sent.answer(),
      settle: () => received.settle(),
    };
    this.#negotiation = negotiate(connection, { polite, offering, send, yieldTo, media });
    const requestRestart = () => send({ restart: true });
    this.#credentials = refreshCredentials(connection, { polite, canSignal, requestRestart, expires, signal });
    this.#restarts = restartWhenBroken(connection, { polite, outage, channel, canSignal, pathLost, replace, fail, signal });
    this.#checkStall = watchForStalls(connection, { peer, outage, canSignal, onStall: replace, signal });
    this.#checkPictures = watchPictures(connection, { request: () => control.say("picture"), signal });
    reportMissingRelay(connection, { fail, signal });
  }

  /** Handles a signal of the peer. @param {Signal} data */
  receive(data) {
    if (data.restart) this.#credentials.restartRequested();
    else this.#negotiation(data);
  }

  /** Sends the present streams of the call, and tells the peer its media states. */
  async update() {
    this.#tell();
    await this.#sent.update();
  }

  /** Tells the peer the media states of the call. */
  tellStates() {
    this.#tell();
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

  /**
   * Restores the connection if nothing arrives from the peer, and the picture if it stands, as
   * after a sleep of this machine.
   */
  checkStall() {
    this.#restarts.retry();
    this.#checkPictures();
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
