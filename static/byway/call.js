/** Membership of a room: its peers, and a connection to each of them. */

import { onConnectivityChange } from "./connectivity.js";
import { BywayError, byeError, serverError } from "./errors.js";
import { Emitter, FailureEvent, PeerEvent } from "./events.js";
import { sendStream } from "./negotiation.js";
import { PeerConnection } from "./peer-connection.js";
import { Peer } from "./peer.js";
import { Signaling } from "./signaling.js";

/**
 * Returns the default server: the one that this file was loaded from, at the folder above. A bundle
 * or an npm package was loaded from elsewhere, so there the page has to set `server`.
 *
 * Bundlers take `new URL("..", import.meta.url)` for a file to include, and some leave the URL
 * undefined. So it is read apart, and only if needed.
 */
function defaultServer() {
  const moduleUrl = import.meta.url;
  return new URL("..", moduleUrl).href;
}

/** @typedef {"open" | "lost" | "closed"} SignalingState */

/**
 * @typedef {object} JoinOptions
 * @property {string} room Name of the room. Anyone who knows it can join, so make it hard to guess.
 * @property {MediaStream | null} [stream] Stream to send: its first audio and first video track.
 *   Without one the call only receives.
 * @property {string} [name] Name that the peers see.
 * @property {string} [server] `https://...` URL of the Byway server, with its path. The default is
 *   the server that this module was loaded from. Required with npm or a bundler.
 * @property {boolean} [relayOnly] Whether to use only the relay, even where a direct path exists.
 * @property {string} [token] Join token, for servers that require one.
 */

/**
 * Entry of another member in a message of the server.
 * @typedef {{ id: string, name?: string | null, polite: boolean }} Presence
 */
/**
 * ICE servers, and the seconds until their credentials expire.
 * @typedef {RTCConfiguration & { ttl?: number }} Ice
 */
/** @typedef {import("./negotiation.js").Signal} Signal */

/**
 * A peer and the connection to it. `lastSequence`: number of the peer's last signal. `outage`:
 * shared by all connections to this peer.
 * @typedef {{ peer: Peer, polite: boolean, lastSequence: number,
 *   outage: import("./ice-restart.js").Outage, connection: PeerConnection }} Member
 */

/**
 * Joins a room. Resolves when the server has admitted this member. Rejects with a
 * {@link BywayError} whose message can be shown.
 *
 * `peer` events announce the members that were already in the room, after this resolves. Listeners
 * that are added right after `await join(...)` receive all of them.
 *
 * @param {JoinOptions} options
 * @returns {Promise<Call>}
 */
export async function join(options) {
  const call = new Call(options);
  await call.ready;
  return call;
}

/**
 * Membership of a room. Created by {@link join}.
 *
 * Events:
 * - `peer` and `peerleft` ({@link PeerEvent});
 * - `error` ({@link FailureEvent});
 * - `signaling`: the connection to the server was lost or restored, see {@link Call.signaling};
 * - `ice`: fresh credentials arrived;
 * - `closed`: the call ended, by `leave()` or by the server.
 *
 * When the connection to the server is lost, media between the browsers continues. The module
 * reconnects with growing pauses. The server keeps the membership for a while, and the peers notice
 * nothing. After that time, or after a restart of the server, the module joins again, and new peers
 * replace the old ones.
 *
 * @extends {Emitter<{peer: PeerEvent, peerleft: PeerEvent, error: FailureEvent, signaling: Event,
 *   ice: Event, closed: Event}>}
 */
export class Call extends Emitter {
  /** Id of this member in the room, while joined. @type {string | null} */
  id = null;
  /**
   * State of the connection to the server. Peers join and leave only while it is `open`.
   * @type {SignalingState}
   */
  signaling = "lost";
  /** Resolves once joined. Rejects if the first attempt fails. @type {Promise<void>} */
  ready;

  /** @type {JoinOptions} */ #options;
  /** @type {Ice} */ #ice = {};
  /** Expiry of the credentials in `#ice`, as `Date.now()`. */
  #expires = Infinity;
  /** @type {Map<string, Member>} */ #members = new Map();
  /** @type {Signaling} */ #server;
  /** Number of signals sent so far, to all peers. */
  #sentCount = 0;
  #closed = new AbortController();
  /**
   * Settles `ready`. Null once it is settled.
   * @type {{ resolve: () => void, reject: (error: BywayError) => void } | null}
   */
  #joining = null;

  /** @param {JoinOptions} options */
  constructor(options) {
    super();
    this.#options = { ...options };
    this.ready = new Promise((resolve, reject) => (this.#joining = { resolve, reject }));
    this.ready.catch(() => {}); // a page that does not await it gets `closed`
    // A reverse proxy may publish the server below a path.
    const url = new URL(options.server ?? defaultServer());
    url.pathname = url.pathname.replace(/\/?$/, "/ws");
    url.search = url.hash = "";
    url.protocol = url.protocol.replace("http", "ws");
    this.#server = new Signaling(url, {
      joinFields: () => {
        const { room, token, name } = this.#options;
        return { room, token, name };
      },
      onMessage: (message, { resumed }) => this.#onMessage(message, { resumed }),
      onLost: () => {
        if (this.#joining) this.#close(new BywayError("server-unreachable"));
        else this.#onServerLost();
      },
    });
    // Otherwise the server would keep the membership of a page that does not return.
    addEventListener("pagehide", () => this.leave(), this.#closed);
    onConnectivityChange(() => this.#checkConnectivity(), this.#closed);
  }

  /** All other members of the room. */
  get peers() {
    return [...this.#members.values()].map(({ peer }) => peer);
  }

  /**
   * Whether only the relay is used, because this page asked for it or the server requires it of
   * everyone.
   */
  get relayOnly() {
    return Boolean(this.#options.relayOnly) || this.#ice.iceTransportPolicy === "relay";
  }

  /**
   * Moves the running call onto the relay, or allows direct paths again. New connections replace
   * all existing ones, which takes a moment. An ICE restart is not enough, because Chromium
   * continues to use its existing direct path.
   * @param {boolean} relayOnly
   */
  setRelayOnly(relayOnly) {
    this.#options.relayOnly = relayOnly;
    // Without the server no new connection can be negotiated, so keep the working ones until it is
    // back.
    if (this.signaling === "open") this.#applyPolicy();
  }

  /**
   * Replaces the tracks sent to all peers by the stream's first audio and first video track. Null
   * sends nothing.
   * @param {MediaStream | null} stream
   */
  async setStream(stream) {
    this.#options.stream = stream;
    await Promise.all(this.peers.map(({ connection }) => sendStream(connection, stream)));
  }

  /** Checks at once whether the server and the peers still answer. */
  #checkConnectivity() {
    // The first answer may take its time: to give up on it would fail the join.
    if (this.#joining) return;
    this.#server.check();
    for (const { connection } of this.#members.values()) connection.checkStall();
  }

  /** Leaves the room. The stream stays open: the page owns it. To come back, `join` again. */
  leave() {
    this.#server.leave();
    this.#close();
  }

  /**
   * @param {any} message Unknown types are for newer clients.
   * @param {{ resumed: boolean }} context
   */
  #onMessage(message, { resumed }) {
    switch (message.type) {
      case "joined":
        return this.#onJoined(message, { resumed });
      case "peer-joined":
        return this.dispatchEvent(new PeerEvent("peer", this.#addPeer(message, { offering: false })));
      case "peer-left":
        return this.#removePeer(message.id);
      case "signal":
        return this.#onSignal(message.from, message.data ?? {});
      case "ice":
        return this.#refreshIce(message);
      case "error":
        // The receiver of a signal has just left: nothing failed.
        if (message.code !== "no-such-peer") this.#onServerError(serverError(message), message.retry_ms);
        return;
      case "bye":
        // Without `retry_ms`, to reconnect unchanged would not help.
        if (message.retry_ms === undefined) this.#close(byeError(message.code));
        else this.#server.reconnect(message.retry_ms);
    }
  }

  /**
   * @param {{ id: string, peers: Presence[], ice: Ice }} message
   * @param {{ resumed: boolean }} context `resumed`: the membership continued, so known peers keep
   *   their connections. Otherwise all peers are new.
   */
  #onJoined({ id, peers, ice }, { resumed }) {
    for (const { peer } of this.#members.values()) {
      if (!resumed || !peers.some((present) => present.id === peer.id)) this.#removePeer(peer.id);
    }
    if (this.signaling === "closed") return; // a `peerleft` listener has just left the room
    this.id = id;
    this.#refreshIce(ice);
    // The newcomer makes the offers, so that two browsers do not both offer.
    const newcomers = peers.filter((present) => !this.#members.has(present.id));
    const added = newcomers.map((present) => this.#addPeer(present, { offering: !resumed }));
    this.#setSignaling("open");
    if (resumed) {
      for (const { connection } of this.#members.values()) connection.serverBack();
      this.#applyPolicy();
    }
    this.#joining?.resolve();
    this.#joining = null;
    // A task later, when the page that awaits join() has added its listeners.
    setTimeout(() => {
      for (const peer of added) {
        if (this.#members.get(peer.id)?.peer === peer) this.dispatchEvent(new PeerEvent("peer", peer));
      }
    });
  }

  /**
   * @param {Presence} presence
   * @param {{ offering: boolean }} role `offering`: whether this end makes the first offer.
   */
  #addPeer({ id, name, polite }, { offering }) {
    const peer = new Peer(id, name ?? "");
    const unconnected = { peer, polite, lastSequence: 0, outage: { attempts: 0, reported: false } };
    this.#members.set(id, { ...unconnected, connection: this.#connect(unconnected, { offering, epoch: 0 }) });
    return peer;
  }

  /**
   * @param {Omit<Member, "connection">} member
   * @param {{ offering: boolean, epoch: number }} options
   */
  #connect({ peer, polite, outage }, { offering, epoch }) {
    const stream = this.#options.stream ?? null;
    const options = { polite, offering, epoch, outage, configuration: this.#configuration(), expires: this.#expires, stream };
    const isConnected = (/** @type {Peer} */ { connection }) => connection.connectionState === "connected";
    return new PeerConnection(peer, options, {
      send: (data) => {
        this.#sentCount += 1;
        this.#server.signal({ to: peer.id, data: { n: this.#sentCount, ...data } });
      },
      replace: () => this.#replace(peer.id, { offering: true, epoch: epoch + 1 }),
      yieldTo: (offer) => {
        this.#replace(peer.id, { offering: false, epoch });
        this.#deliver(peer.id, epoch, offer);
      },
      fail: (error) => this.dispatchEvent(new FailureEvent(error, peer)),
      canSignal: () => this.signaling === "open",
      // An outage that cut off every peer may have cut off the server, too.
      pathLost: () => this.signaling === "open" && !this.peers.some(isConnected) && this.#server.check(),
    });
  }

  /**
   * Replaces a member's connection by a new one.
   * @param {string} id
   * @param {{ offering: boolean, epoch: number }} options
   */
  #replace(id, { offering, epoch }) {
    const member = this.#members.get(id);
    if (!member) return;
    member.connection.close();
    member.connection = this.#connect(member, { offering, epoch });
    member.peer.dispatchEvent(new Event("connection"));
  }

  /**
   * Delivers a signal to the connection of this epoch. Drops it if a `connection` listener has just
   * replaced that connection or left the room.
   * @param {string} id
   * @param {number} epoch
   * @param {Signal} data
   */
  #deliver(id, epoch, data) {
    const connection = this.#members.get(id)?.connection;
    if (connection?.epoch === epoch) connection.receive(data);
  }

  /** Replaces every connection whose transport policy is not the current one. */
  #applyPolicy() {
    const { iceTransportPolicy } = this.#configuration();
    for (const { peer, connection } of this.#members.values()) {
      if (connection.policy === iceTransportPolicy) continue;
      this.#replace(peer.id, { offering: true, epoch: connection.epoch + 1 });
    }
  }

  /**
   * Handles a signal of a peer. Both ends number their connections alike. A higher epoch announces
   * a new connection of the peer, and a signal of a lower one is for a connection that is gone.
   *
   * `n` detects duplicates: signals that were not acknowledged before the connection to the server
   * was lost are sent again.
   * @param {string} from
   * @param {Signal} data
   */
  #onSignal(from, { epoch = 0, n, ...data }) {
    const member = this.#members.get(from);
    if (!member || !Number.isSafeInteger(epoch) || epoch < member.connection.epoch) return;
    // No honest peer is that far ahead, and the last safe integer would have no successor.
    if (epoch > member.connection.epoch + MAX_EPOCHS_AHEAD) return;
    if (n !== undefined) {
      if (!(n > member.lastSequence)) return;
      member.lastSequence = n;
    }
    if (epoch > member.connection.epoch) this.#replace(from, { offering: false, epoch });
    this.#deliver(from, epoch, data);
  }

  /**
   * Takes fresh credentials: for new connections at once, and soon for every path that uses a relay
   * of this end.
   * @param {Ice} ice
   */
  #refreshIce(ice) {
    this.#ice = ice;
    // By this machine's clock, which may differ from the server's.
    this.#expires = Date.now() + (ice.ttl ?? Infinity) * 1000;
    for (const { connection } of this.#members.values()) connection.refresh(this.#configuration(), this.#expires);
    this.dispatchEvent(new Event("ice"));
  }

  /** @returns {RTCConfiguration} */
  #configuration() {
    const { iceServers } = this.#ice;
    // One transport for all media needs a third of the relay allocations. setConfiguration() must
    // not change `bundlePolicy`.
    return { iceServers, iceTransportPolicy: this.relayOnly ? "relay" : "all", bundlePolicy: "max-bundle" };
  }

  /** @param {string} id */
  #removePeer(id) {
    const member = this.#members.get(id);
    if (!member) return;
    this.#members.delete(id);
    member.connection.close();
    member.peer.dispatchEvent(new Event("left"));
    this.dispatchEvent(new PeerEvent("peerleft", member.peer));
  }

  /**
   * @param {BywayError} error
   * @param {number} [retryMs]
   */
  #onServerError(error, retryMs) {
    // The server would reject the same token again.
    if (this.#joining || (this.signaling === "lost" && TOKEN_REJECTED.has(error.code))) return this.#close(error);
    this.dispatchEvent(new FailureEvent(error, null));
    if (this.signaling === "lost") this.#server.reconnect(retryMs);
  }

  /** @param {BywayError} [error] The reason, unless the page itself leaves. */
  #close(error) {
    if (this.signaling === "closed") return;
    this.signaling = "closed"; // first: a listener may call leave(), too
    this.#closed.abort();
    this.#server.close();
    for (const { peer } of this.#members.values()) this.#removePeer(peer.id);
    if (this.#joining) this.#joining.reject(error ?? new BywayError("left"));
    else if (error) this.dispatchEvent(new FailureEvent(error, null));
    this.dispatchEvent(new Event("signaling"));
    this.dispatchEvent(new Event("closed"));
  }

  #onServerLost() {
    if (this.signaling === "open") for (const { connection } of this.#members.values()) connection.serverLost();
    this.#setSignaling("lost");
  }

  /** @param {SignalingState} state */
  #setSignaling(state) {
    if (this.signaling === state) return;
    this.signaling = state;
    this.dispatchEvent(new Event("signaling"));
  }
}

/** Largest jump of the epoch that is accepted: connections whose signals were all missed. */
const MAX_EPOCHS_AHEAD = 100;

/** Codes for a rejected join token. A lost call does not join again with it. */
const TOKEN_REJECTED = new Set([
  "token-required",
  "bad-token",
  "token-expired",
  "token-not-yet-valid",
  "token-too-far-ahead",
  "wrong-room",
]);
