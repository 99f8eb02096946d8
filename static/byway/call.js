/** Being in a room: who is there, and a connection to each. */

import { onConnectivityChange } from "./connectivity.js";
import { BywayError, farewell, refusal } from "./errors.js";
import { Emitter, FailureEvent, PeerEvent } from "./events.js";
import { sendStream } from "./negotiation.js";
import { PeerConnection } from "./peer-connection.js";
import { Peer } from "./peer.js";
import { Signaling } from "./signaling.js";

/**
 * The server this file was loaded from, which is also the one to call unless a page says otherwise:
 * the folder above ours.
 */
const HOME = new URL("..", import.meta.url).href;

/** @typedef {"open" | "lost" | "closed"} SignalingState */

/**
 * @typedef {object} JoinOptions
 * @property {string} room The room's name. Whoever knows it can join, so make it hard to guess.
 * @property {MediaStream | null} [stream] What to send: its first audio and first video track.
 *   None: receive only.
 * @property {string} [name] How the others see you.
 * @property {string} [server] `https://...` of the Byway server, and its path; the one this module
 *   came from if absent.
 * @property {boolean} [relayOnly] Send and receive through the relay even where a direct path
 *   exists.
 * @property {string} [token] A join token, for servers that ask for one.
 */

/**
 * What the server tells of someone. @typedef {{ id: string, name?: string | null, polite: boolean
 * }} Presence
 */
/**
 * Servers for a connection, and for how many seconds they take it. @typedef {RTCConfiguration & {
 * ttl?: number }} Ice
 */
/** @typedef {import("./negotiation.js").Signal} Signal */

/**
 * A peer and the connection to it. `heard`: number of the peer's last signal. `outage`: shared by
 * its connections.
 * @typedef {{ peer: Peer, polite: boolean, heard: number, outage: import("./ice-restart.js").Outage,
 *   connection: PeerConnection }} Member
 */

/**
 * Joins a room. Resolves once the server has let us in, rejects with a {@link BywayError} whose
 * message can be shown.
 *
 * Those already in the room are announced by `peer` events after this resolves, so listeners added
 * right after `await join(...)` miss nobody.
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
 * Being in a room. Made by {@link join}.
 *
 * Events: `peer` and `peerleft` ({@link PeerEvent}) · `error` ({@link FailureEvent}) · `signaling`
 * (the connection to the server was lost or is back, see {@link Call.signaling}) · `ice` (fresh
 * credentials came) · `closed` (over, by `leave()` or by the server).
 *
 * Where the connection to the server drops, what flows between the browsers is left alone and
 * another one is opened, with growing pauses. The server keeps our place for a while and the others
 * notice nothing; who comes back later, or to a server that has started anew, joins again, and
 * every peer is replaced by a new one.
 *
 * @extends {Emitter<{peer: PeerEvent, peerleft: PeerEvent, error: FailureEvent, signaling: Event,
 *   ice: Event, closed: Event}>}
 */
export class Call extends Emitter {
  /** Our id in the room, while joined. @type {string | null} */
  id = null;
  /**
   * Whether the server can be reached: other peers come and go only while it is `open`.
   * @type {SignalingState}
   */
  signaling = "lost";
  /** Resolves once joined, rejects where that fails at first. @type {Promise<void>} */
  ready;

  /** @type {JoinOptions} */ #options;
  /** @type {Ice} */ #ice = {};
  /** When the credentials in it do, as `Date.now()`. */
  #expires = Infinity;
  /** @type {Map<string, Member>} */ #members = new Map();
  /** @type {Signaling} */ #server;
  /** How many signals we ever sent. */
  #said = 0;
  #over = new AbortController();
  /**
   * Until `ready` is settled.
   * @type {{ resolve: () => void, reject: (error: BywayError) => void } | null}
   */
  #joining = null;

  /** @param {JoinOptions} options */
  constructor(options) {
    super();
    this.#options = { ...options };
    this.ready = new Promise((resolve, reject) => (this.#joining = { resolve, reject }));
    this.ready.catch(() => {}); // who does not await it hears `closed`
    // A reverse proxy may publish the server below a path.
    const url = new URL(options.server ?? HOME);
    url.pathname = url.pathname.replace(/\/?$/, "/ws");
    url.search = url.hash = "";
    url.protocol = url.protocol.replace("http", "ws");
    this.#server = new Signaling(url, {
      join: () => {
        const { room, token, name } = this.#options;
        return { room, token, name };
      },
      heard: (message, resumed) => this.#hear(message, resumed),
      lost: () => {
        if (this.#joining) this.#close(new BywayError("server-unreachable"));
        else this.#lost();
      },
    });
    // The server would keep our place for who is never to come back.
    addEventListener("pagehide", () => this.leave(), this.#over);
    onConnectivityChange(() => this.#check(), this.#over);
  }

  /** Everyone else in the room. */
  get peers() {
    return [...this.#members.values()].map(({ peer }) => peer);
  }

  /**
   * Whether only the relay is used: because we asked for it, or because the server asks it of
   * everyone.
   */
  get relayOnly() {
    return Boolean(this.#options.relayOnly) || this.#ice.iceTransportPolicy === "relay";
  }

  /**
   * Moves the running call onto the relay, or allows direct paths again. Every connection is made
   * anew, which takes a moment: an ICE restart is not enough, since Chromium goes on using the
   * direct path it already has.
   * @param {boolean} relayOnly
   */
  setRelayOnly(relayOnly) {
    this.#options.relayOnly = relayOnly;
    // While the server is away nobody could be told, and to close what works would leave nothing:
    // done when it is back.
    if (this.signaling === "open") this.#applyPolicy();
  }

  /**
   * Replaces what is sent: the first audio and first video track, to everyone; null sends nothing.
   * @param {MediaStream | null} stream
   */
  async setStream(stream) {
    this.#options.stream = stream;
    await Promise.all(this.peers.map(({ connection }) => sendStream(connection, stream)));
  }

  /** Checks at once whether the server and the peers are still there. */
  #check() {
    // Until we are in, a first answer may take its time: to give up on it would fail the joining.
    if (this.#joining) return;
    this.#server.check();
    for (const { connection } of this.#members.values()) connection.checkStall();
  }

  /** Leaves the room. The stream stays open: it is the page's. To come back, `join` again. */
  leave() {
    this.#server.leave();
    this.#close();
  }

  /**
   * @param {any} message Unknown types are for newer clients.
   * @param {boolean} resumed
   */
  #hear(message, resumed) {
    switch (message.type) {
      case "joined":
        return this.#joined(message, resumed);
      case "peer-joined":
        return this.dispatchEvent(new PeerEvent("peer", this.#meet(message, false)));
      case "peer-left":
        return this.#part(message.id);
      case "signal":
        return this.#signaled(message.from, message.data ?? {});
      case "ice":
        return this.#refresh(message);
      case "error":
        // We were still talking to someone who has just left: nothing failed.
        if (message.code !== "no-such-peer") this.#refused(refusal(message), message.retry_ms);
        return;
      case "bye":
        // Without a time to come back, coming back unchanged would not help.
        if (message.retry_ms === undefined) this.#close(farewell(message.code));
        else this.#server.reopen(message.retry_ms);
    }
  }

  /**
   * @param {{ id: string, peers: Presence[], ice: Ice }} message
   * @param {boolean} resumed The others saw us all the time, and those we know have their
   *   connections. Else all is begun anew.
   */
  #joined({ id, peers, ice }, resumed) {
    for (const { peer } of this.#members.values()) {
      if (!resumed || !peers.some((present) => present.id === peer.id)) this.#part(peer.id);
    }
    if (this.signaling === "closed") return; // by a listener, just now
    this.id = id;
    this.#refresh(ice);
    // Whoever comes makes the offers, so that two browsers do not both begin.
    const newcomers = peers.filter((present) => !this.#members.has(present.id));
    const met = newcomers.map((present) => this.#meet(present, !resumed));
    this.#setSignaling("open");
    if (resumed) {
      for (const { connection } of this.#members.values()) connection.serverBack();
      this.#applyPolicy();
    }
    this.#joining?.resolve();
    this.#joining = null;
    // A task later: the page that awaits join() has added its listeners by then.
    setTimeout(() => {
      for (const peer of met) {
        if (this.#members.get(peer.id)?.peer === peer) this.dispatchEvent(new PeerEvent("peer", peer));
      }
    });
  }

  /**
   * @param {Presence} presence
   * @param {boolean} offering Whether the first offer is ours to make.
   */
  #meet({ id, name, polite }, offering) {
    const peer = new Peer(id, name ?? "");
    const unconnected = { peer, polite, heard: 0, outage: { attempts: 0, told: false } };
    this.#members.set(id, { ...unconnected, connection: this.#connect(unconnected, offering, 0) });
    return peer;
  }

  /**
   * @param {Omit<Member, "connection">} member
   * @param {boolean} offering
   * @param {number} epoch
   */
  #connect({ peer, polite, outage }, offering, epoch) {
    const stream = this.#options.stream ?? null;
    const options = { polite, offering, epoch, outage, configuration: this.#configuration(), expires: this.#expires, stream };
    const isConnected = (/** @type {Peer} */ { connection }) => connection.connectionState === "connected";
    return new PeerConnection(peer, options, {
      send: (data) => {
        this.#said += 1;
        this.#server.signal({ to: peer.id, data: { n: this.#said, ...data } });
      },
      replace: () => this.#replace(peer.id, true, epoch + 1),
      cede: (data) => {
        this.#replace(peer.id, false, epoch);
        this.#hand(peer.id, epoch, data);
      },
      fail: (error) => this.dispatchEvent(new FailureEvent(error, peer)),
      canSignal: () => this.signaling === "open",
      // An outage that cut off every peer may have cut off the server, too.
      pathLost: () => this.signaling === "open" && !this.peers.some(isConnected) && this.#server.check(),
    });
  }

  /**
   * Puts another connection in the place of a member's.
   * @param {string} id
   * @param {boolean} offering
   * @param {number} epoch
   */
  #replace(id, offering, epoch) {
    const member = this.#members.get(id);
    if (!member) return;
    member.connection.close();
    member.connection = this.#connect(member, offering, epoch);
    member.peer.dispatchEvent(new Event("connection"));
  }

  /**
   * Hands a signal to the connection of this number, unless a listener has just wanted another one
   * or left.
   * @param {string} id
   * @param {number} epoch
   * @param {Signal} data
   */
  #hand(id, epoch, data) {
    const connection = this.#members.get(id)?.connection;
    if (connection?.epoch === epoch) connection.receive(data);
  }

  /** Gives every connection whose paths are not those that are now wanted a successor. */
  #applyPolicy() {
    const { iceTransportPolicy } = this.#configuration();
    for (const { peer, connection } of this.#members.values()) {
      if (connection.policy !== iceTransportPolicy) this.#replace(peer.id, true, connection.epoch + 1);
    }
  }

  /**
   * Both ends number their connections alike: a higher number tells that the other end has begun a
   * new one, a lower one concerns a connection that is gone. And each numbers what it says: what
   * was told already is said again where the connection to the server was lost before it was
   * confirmed.
   * @param {string} from
   * @param {Signal} data
   */
  #signaled(from, { epoch = 0, n, ...data }) {
    const member = this.#members.get(from);
    if (!member || !Number.isSafeInteger(epoch) || epoch < member.connection.epoch) return;
    // Nobody honest is so far ahead, and after the last safe integer there would be no next one.
    if (epoch > member.connection.epoch + FURTHEST_AHEAD) return;
    if (n !== undefined) {
      if (!(n > member.heard)) return;
      member.heard = n;
    }
    if (epoch > member.connection.epoch) this.#replace(from, false, epoch);
    this.#hand(from, epoch, data);
  }

  /**
   * Fresh credentials: for whoever comes next, and soon for every path that uses a relay of ours.
   * @param {Ice} ice
   */
  #refresh(ice) {
    this.#take(ice);
    for (const { connection } of this.#members.values()) connection.refresh(this.#configuration(), this.#expires);
    this.dispatchEvent(new Event("ice"));
  }

  /** @param {Ice} ice */
  #take(ice) {
    this.#ice = ice;
    // By our own clock, which need not agree with the server's.
    this.#expires = Date.now() + (ice.ttl ?? Infinity) * 1000;
  }

  /** @returns {RTCConfiguration} */
  #configuration() {
    const { iceServers } = this.#ice;
    // One transport for everything: a third of the relay allocations, and the same in every
    // setConfiguration().
    return { iceServers, iceTransportPolicy: this.relayOnly ? "relay" : "all", bundlePolicy: "max-bundle" };
  }

  /** @param {string} id */
  #part(id) {
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
  #refused(error, retryMs) {
    // Asking again with the same token would be as vain as the first time.
    if (this.#joining || (this.signaling === "lost" && TOKEN_REFUSED.has(error.code))) return this.#close(error);
    this.dispatchEvent(new FailureEvent(error, null));
    if (this.signaling === "lost") this.#server.reopen(retryMs);
  }

  /** @param {BywayError} [error] Why, unless the page itself leaves. */
  #close(error) {
    if (this.signaling === "closed") return;
    this.signaling = "closed"; // first: a listener may leave, too
    this.#over.abort();
    this.#server.close();
    for (const { peer } of this.#members.values()) this.#part(peer.id);
    if (this.#joining) this.#joining.reject(error ?? new BywayError("left"));
    else if (error) this.dispatchEvent(new FailureEvent(error, null));
    this.dispatchEvent(new Event("signaling"));
    this.dispatchEvent(new Event("closed"));
  }

  #lost() {
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

/** How many connections to one peer may have come and gone unheard. */
const FURTHEST_AHEAD = 100;

const TOKEN_REFUSED = new Set([
  "token-required",
  "bad-token",
  "token-expired",
  "token-not-yet-valid",
  "token-too-far-ahead",
  "wrong-room",
]);
