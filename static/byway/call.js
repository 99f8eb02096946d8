/** Membership of a room: its peers, and a connection to each of them. */

import { onConnectivityChange } from "./connectivity.js";
import { BywayError, byeError, isTokenError, serverError } from "./errors.js";
import { ClosedEvent, Emitter, FailureEvent, PeerEvent, StatsEvent, isListenedTo } from "./events.js";
import { Hosting } from "./hosting.js";
import { CAMERA, LocalStreams, checkPurpose } from "./local-streams.js";
import { nearestRegion } from "./nearest-region.js";
import { PeerConnection } from "./peer-connection.js";
import { Peer, detach, reportForStats } from "./peer.js";
import { limitReplacements } from "./replacements.js";
import { Signaling } from "./signaling.js";
import { Timeline } from "./timeline.js";

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
 * @property {boolean} [viewer] Whether this member only receives. Viewers see no other viewers.
 * @property {string | null} [region] Region of the relay, for servers that form a cluster. By
 *   default the one whose server answers a STUN request first. Null leaves the choice to the
 *   server.
 * @property {AbortSignal} [signal] Gives up joining. Then `join` rejects with the signal's reason.
 *   Later it has no effect.
 */

/**
 * Entry of another member in a message of the server.
 * @typedef {{ id: string, name?: string | null, polite: boolean, host?: boolean,
 *   viewer?: boolean }} Presence
 */
/**
 * ICE servers, and the seconds until their credentials expire.
 * @typedef {RTCConfiguration & { ttl?: number }} Ice
 */
/** @typedef {import("./negotiation.js").Signal} Signal */

/**
 * A peer and the connection to it. `lastSequence`: number of the peer's last signal. `outage`:
 * shared by all connections to this peer. `mayReplace`: takes one of the replacements that the peer
 * may ask for.
 * @typedef {{ peer: Peer, polite: boolean, lastSequence: number, mayReplace: () => boolean,
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
  options.signal?.throwIfAborted();
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
 * - `host`: {@link Call.host} or the `host` of a peer changed;
 * - `locked` and `viewers`: {@link Call.locked} or {@link Call.viewers} changed;
 * - `closed` ({@link ClosedEvent}): the call ended, by `leave()` or by the server.
 *
 * When the connection to the server is lost, media between the browsers continues. The module
 * reconnects with growing pauses. The server keeps the membership for a while, and the peers notice
 * nothing. After that time, or after a restart of the server, the module joins again, and new peers
 * replace the old ones.
 *
 * @extends {Emitter<{peer: PeerEvent, peerleft: PeerEvent, error: FailureEvent, signaling: Event,
 *   ice: Event, host: Event, locked: Event, viewers: Event, closed: ClosedEvent}>}
 */
export class Call extends Emitter {
  /** Id of this member in the room, while joined. @type {string | null} */
  id = null;
  /**
   * State of the connection to the server. Peers join and leave only while it is `open`.
   * @type {SignalingState}
   */
  signaling = "lost";
  /** Whether this member is a host of the room. */
  host = false;
  /** Whether the room is locked, so that only hosts can join. */
  locked = false;
  /** Resolves once joined. Rejects if the first attempt fails. @type {Promise<void>} */
  ready;

  /** @type {JoinOptions} */ #options;
  /** @type {LocalStreams} */ #local;
  /** @type {Ice} */ #ice = {};
  /** Expiry of the credentials in `#ice`, as `Date.now()`. */
  #expires = Infinity;
  /** @type {Map<string, Member>} */ #members = new Map();
  /** @type {Signaling} */ #server;
  #hosting = new Hosting({ send: (message) => this.#request(message), isHost: () => this.host });
  /** Number of signals sent so far, to all peers. */
  #sentCount = 0;
  #closed = new AbortController();
  #timeline = new Timeline({ send: (message) => this.#request(message), signal: this.#closed.signal });
  /**
   * Settles `ready`. Null once it is settled.
   * @type {{ resolve: () => void, reject: (error: unknown) => void } | null}
   */
  #joining = null;

  /** @param {JoinOptions} options */
  constructor(options) {
    super();
    const { stream = null, viewer = false, signal, region } = options;
    this.#options = { ...options };
    this.#local = new LocalStreams(stream, { viewer });
    this.ready = new Promise((resolve, reject) => (this.#joining = { resolve, reject }));
    this.ready.catch(() => {}); // a page that does not await it gets `closed`
    // A reverse proxy may publish the server below a path.
    const url = new URL(options.server ?? defaultServer());
    url.pathname = url.pathname.replace(/\/?$/, "/ws");
    url.search = url.hash = "";
    const regions = new URL("regions", url).href;
    // Measures while the WebSocket opens.
    if (region === undefined) nearestRegion(regions);
    url.protocol = url.protocol.replace("http", "ws");
    this.#server = new Signaling(url, {
      joinFields: async () => {
        const { room, token, name } = this.#options;
        const nearest = region === undefined ? await nearestRegion(regions) : region;
        return { room, token, name, viewer: viewer || undefined, region: nearest ?? undefined };
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
    const reporting = setInterval(() => this.#dispatchStats(), STATS_MS);
    this.#closed.signal.addEventListener("abort", () => clearInterval(reporting));
    signal?.addEventListener("abort", () => this.#abort(signal), this.#closed);
    if (signal?.aborted) this.#abort(signal);
  }

  /** All other members of the room. */
  get peers() {
    return [...this.#members.values()].map(({ peer }) => peer);
  }

  /** Whether this member only receives, because of its options or its token. */
  get viewer() {
    return this.#local.viewer;
  }

  /** Number of viewers among the peers. */
  get viewers() {
    return this.peers.filter(({ viewer }) => viewer).length;
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
   * sends nothing. No connection negotiates because of that.
   * @param {MediaStream | null} stream
   */
  async setStream(stream) {
    this.#local.set(CAMERA, stream);
    await this.#update();
  }

  /**
   * Replaces one of the tracks that {@link Call.setStream} set. Null sends nothing.
   * @param {"audio" | "video"} kind
   * @param {MediaStreamTrack | null} track
   */
  async replaceTrack(kind, track) {
    this.#local.setCameraTrack(kind, track);
    await this.#update();
  }

  /**
   * Sends a further stream to all peers: its first audio and first video track. Replaces the one
   * of the same purpose.
   * @param {MediaStream} stream
   * @param {string} purpose 1 to 32 characters, such as `screen`. Up to seven purposes in a call.
   */
  async addStream(stream, purpose) {
    checkPurpose(purpose);
    this.#local.set(purpose, stream);
    await this.#update();
  }

  /**
   * Stops sending the further stream of a purpose.
   * @param {string} purpose
   */
  async removeStream(purpose) {
    checkPurpose(purpose);
    if (!this.#local.purposes.includes(purpose)) return;
    this.#local.set(purpose, null);
    await this.#update();
  }

  /**
   * Tells all peers the state of this member's microphone and camera. Until then the module says
   * `on` for each track that it sends, and `none` without one.
   * @param {Partial<import("./media-state.js").MediaStates>} states
   */
  setMedia(states) {
    this.#local.setStates(states);
    for (const { connection } of this.#members.values()) connection.tellStates();
  }

  /**
   * Removes a peer from the room. For hosts: throws `not-host` otherwise.
   * @param {Peer} peer
   */
  remove(peer) {
    this.#hosting.remove(peer.id);
  }

  /**
   * Locks or unlocks the room. For hosts: throws `not-host` otherwise.
   * @param {boolean} locked
   */
  lock(locked) {
    this.#hosting.lock(locked);
  }

  /**
   * Requests a join token for a guest. For hosts: rejects with `not-host` otherwise. In an open
   * room it rejects with `no-tokens`, because the link alone is enough.
   * @param {import("./hosting.js").InvitationOptions} [options]
   * @returns {Promise<import("./hosting.js").Invitation>}
   */
  invite(options = {}) {
    return this.#hosting.invite(options);
  }

  /**
   * Whether this member shares how its connections fare: kinds of candidates and paths, states
   * and figures, never an address. The server puts them into the timeline of the call.
   */
  get reports() {
    return this.#timeline.on;
  }

  /**
   * Allows or ends that, at first off. The server discards what a member has shared that ends it.
   * Ask the person before.
   * @param {boolean} on
   */
  setReports(on) {
    this.#timeline.set(on);
  }

  /**
   * Returns the timeline of this call: what happened to this member and to those that share it,
   * beside what the relay saw of them.
   * @param {{ after?: number }} [options] `after`: the `next` of an earlier answer.
   * @returns {Promise<import("./timeline.js").CallTimeline>}
   */
  timeline({ after = 0 } = {}) {
    return this.#timeline.read(after);
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

  /** Sends the present streams to all peers. */
  async #update() {
    await Promise.all([...this.#members.values()].map(({ connection }) => connection.update()));
  }

  /** @param {AbortSignal} signal */
  #abort({ reason }) {
    if (!this.#joining) return;
    this.#joining.reject(reason);
    this.leave();
  }

  /**
   * Sends a message to the server.
   * @param {object} message
   * @returns {boolean} Whether the server is there.
   */
  #request(message) {
    if (this.signaling !== "open") return false;
    this.#server.request(message);
    return true;
  }

  /** Dispatches a report of each peer for which anything listens to `stats`. */
  #dispatchStats() {
    for (const peer of this.peers.filter((candidate) => isListenedTo(candidate, "stats"))) {
      // The connection may be closed meanwhile.
      reportForStats(peer).then((report) => this.peers.includes(peer) && peer.dispatchEvent(new StatsEvent(report)), () => {});
    }
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
        return this.#onPeerJoined(message);
      case "peer-left":
        return this.#removePeer(message.id);
      case "signal":
        return this.#onSignal(message.from, message.data ?? {});
      case "ice":
        return this.#refreshIce(message);
      case "host":
        return this.#onHost(message.id);
      case "locked":
        return this.#setLocked(Boolean(message.locked));
      case "invitation":
        return this.#hosting.invited(message);
      case "timeline":
        return this.#timeline.answered(message);
      case "error":
        // The receiver of a signal has just left: nothing failed.
        if (message.code !== "no-such-peer" && !this.#timeline.refused(message.code)) this.#onServerError(serverError(message), message.retry_ms);
        return;
      case "bye":
        // Without `retry_ms`, to reconnect unchanged would not help.
        if (message.retry_ms === undefined) this.#close(byeError(message.code));
        else this.#server.reconnect(message.retry_ms);
    }
  }

  /** @param {Presence} message */
  #onPeerJoined(message) {
    const peer = this.#addPeer(message, { offering: false });
    this.dispatchEvent(new PeerEvent("peer", peer));
    if (peer.viewer) this.dispatchEvent(new Event("viewers"));
  }

  /** Handles a new host, perhaps this member. @param {string} id */
  #onHost(id) {
    const host = id === this.id ? this : this.#members.get(id)?.peer;
    if (!host || host.host) return;
    host.host = true;
    this.dispatchEvent(new Event("host"));
  }

  /** @param {boolean} locked */
  #setLocked(locked) {
    if (this.locked === locked) return;
    this.locked = locked;
    this.dispatchEvent(new Event("locked"));
  }

  /**
   * @param {{ id: string, peers: Presence[], ice: Ice, host?: boolean, viewer?: boolean,
   *   locked?: boolean }} message
   * @param {{ resumed: boolean }} context `resumed`: the membership continued, so known peers keep
   *   their connections. Otherwise all peers are new.
   */
  #onJoined({ id, peers, ice, host = false, viewer = false, locked = false }, { resumed }) {
    for (const { peer } of this.#members.values()) {
      if (!resumed || !peers.some((present) => present.id === peer.id)) this.#removePeer(peer.id);
    }
    if (this.signaling === "closed") return; // a `peerleft` listener has just left the room
    this.id = id;
    // A token may admit a viewer only.
    this.#local.viewer ||= viewer;
    this.#refreshIce(ice);
    if (this.#closed.signal.aborted) return; // an `ice` listener has just left it
    // The newcomer makes the offers, so that two browsers do not both offer.
    const newcomers = peers.filter((present) => !this.#members.has(present.id));
    const added = newcomers.map((present) => this.#addPeer(present, { offering: !resumed }));
    this.#setSignaling("open");
    this.#timeline.joined({ resumed });
    this.#updateHosts(host, peers);
    this.#setLocked(locked);
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
      if (added.some(({ viewer }) => viewer)) this.dispatchEvent(new Event("viewers"));
    });
  }

  /** @param {boolean} host @param {Presence[]} peers */
  #updateHosts(host, peers) {
    let changed = this.host !== host;
    this.host = host;
    for (const { id, host: isHost = false } of peers) {
      const peer = this.#members.get(id)?.peer;
      if (!peer || peer.host === isHost) continue;
      peer.host = isHost;
      changed = true;
    }
    if (changed) this.dispatchEvent(new Event("host"));
  }

  /**
   * @param {Presence} presence
   * @param {{ offering: boolean }} role `offering`: whether this end makes the first offer.
   */
  #addPeer({ id, name, polite, host = false, viewer = false }, { offering }) {
    const peer = new Peer(id, name ?? "", viewer);
    peer.host = host;
    const outage = { attempts: 0, reported: false };
    const unconnected = { peer, polite, lastSequence: 0, outage, mayReplace: limitReplacements() };
    this.#members.set(id, { ...unconnected, connection: this.#connect(unconnected, { offering, epoch: 0 }) });
    return peer;
  }

  /**
   * @param {Omit<Member, "connection">} member
   * @param {{ offering: boolean, epoch: number }} options
   */
  #connect({ peer, polite, outage, mayReplace }, { offering, epoch }) {
    const [configuration, expires, local] = [this.#configuration(), this.#expires, this.#local];
    const options = { polite, offering, epoch, outage, configuration, expires, local };
    const isConnected = (/** @type {Peer} */ { connection }) => connection.connectionState === "connected";
    const made = new PeerConnection(peer, options, {
      send: (data) => {
        this.#sentCount += 1;
        this.#server.signal({ to: peer.id, data: { n: this.#sentCount, ...data } });
      },
      replace: () => this.#replace(peer.id, { offering: true, epoch: epoch + 1 }),
      yieldTo: (offer) => {
        if (!mayReplace()) return;
        this.#replace(peer.id, { offering: false, epoch });
        this.#deliver(peer.id, epoch, offer);
      },
      fail: (error) => {
        this.#timeline.note(peer.id, { kind: "failed", detail: { code: error.code } });
        this.dispatchEvent(new FailureEvent(error, peer));
      },
      canSignal: () => this.signaling === "open",
      // An outage that cut off every peer may have cut off the server, too.
      pathLost: () => this.signaling === "open" && !this.peers.some(isConnected) && this.#server.check(),
    });
    this.#timeline.watch(peer.id, peer.connection);
    return made;
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
    const isNew = epoch > member.connection.epoch;
    if (isNew && !member.mayReplace()) return;
    if (isNew) this.#replace(from, { offering: false, epoch });
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
    this.#timeline.forget(id);
    member.connection.close();
    detach(member.peer);
    member.peer.dispatchEvent(new Event("left"));
    this.dispatchEvent(new PeerEvent("peerleft", member.peer));
    if (member.peer.viewer) this.dispatchEvent(new Event("viewers"));
  }

  /**
   * @param {BywayError} error
   * @param {number} [retryMs]
   */
  #onServerError(error, retryMs) {
    if (this.#hosting.refused(error, retryMs)) return;
    // A lost call does not join again with a rejected token: the server would reject it again.
    if (this.#joining || (this.signaling === "lost" && isTokenError(error))) return this.#close(error);
    this.dispatchEvent(new FailureEvent(error, null));
    if (this.signaling === "lost") this.#server.reconnect(retryMs);
  }

  /** @param {BywayError} [error] The reason, unless the page itself leaves. */
  #close(error) {
    if (this.signaling === "closed") return;
    this.signaling = "closed"; // first: a listener may call leave(), too
    this.#closed.abort();
    this.#server.close();
    this.#hosting.lost();
    for (const { peer } of this.#members.values()) this.#removePeer(peer.id);
    if (this.#joining) this.#joining.reject(error ?? new BywayError("left"));
    else if (error) this.dispatchEvent(new FailureEvent(error, null));
    this.dispatchEvent(new Event("signaling"));
    this.dispatchEvent(new ClosedEvent(error ?? null));
  }

  #onServerLost() {
    this.#timeline.lost();
    if (this.signaling === "open") for (const { connection } of this.#members.values()) connection.serverLost();
    this.#hosting.lost();
    this.#setSignaling("lost");
  }

  /** @param {SignalingState} state */
  #setSignaling(state) {
    if (this.signaling === state) return;
    this.signaling = state;
    this.dispatchEvent(new Event("signaling"));
  }
}

/** Interval of `stats` events. */
const STATS_MS = 1_000;

/** Largest jump of the epoch that is accepted: connections whose signals were all missed. */
const MAX_EPOCHS_AHEAD = 100;
