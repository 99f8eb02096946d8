/** Being in a room: who is there, and a connection to each. */

import { BywayError, connectionError, farewell, refusal } from "./errors.js";
import { Emitter, FailureEvent, PeerEvent } from "./events.js";
import { negotiate, sendStream } from "./negotiation.js";
import { onNetworkChange } from "./network.js";
import { Peer, attach } from "./peer.js";
import { reportMissingRelay, restartWhenBroken } from "./recovery.js";
import { rotate } from "./rotation.js";
import { Signaling } from "./signaling.js";

/** The server this file was loaded from, which is also the one to call unless a page says otherwise. */
const HOME = new URL("/", import.meta.url);

/** @typedef {"open" | "lost" | "closed"} SignalingState */

/**
 * @typedef {object} JoinOptions
 * @property {string} room The room's name. Whoever knows it can join, so make it hard to guess.
 * @property {MediaStream | null} [stream] What to send: its first audio and first video track. None: receive only.
 * @property {string} [name] How the others see you.
 * @property {string} [server] `https://...` of the Byway server; the one this module came from if absent.
 * @property {boolean} [relayOnly] Send and receive through the relay even where a direct path exists.
 * @property {string} [token] A join token, for servers that ask for one.
 */

/** What the server tells of someone. @typedef {{ id: string, name?: string | null, polite: boolean }} Presence */
/** Servers for a connection, and for how many seconds they take it. @typedef {RTCConfiguration & { ttl?: number }} Ice */
/** @typedef {import("./negotiation.js").Signal} Signal */

/**
 * A peer and what holds it: its connection's number, what to do with its signals and with fresh credentials, and what ends
 * that connection.
 * @typedef {{ peer: Peer, polite: boolean, epoch: number, receive: (data: Signal) => void,
 *   renewed: (expires: number) => void, over: AbortController }} Member
 */

/**
 * Joins a room. Resolves once the server has let us in, rejects with a {@link BywayError} whose message can be shown.
 *
 * Those already in the room are announced by `peer` events after this resolves, so listeners added right after
 * `await join(...)` miss nobody.
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
 * Events: `peer` and `peerleft` ({@link PeerEvent}) · `error` ({@link FailureEvent}) · `signaling` (the connection to
 * the server was lost or is back, see {@link Call.signaling}) · `ice` (fresh credentials came) · `closed` (over, by
 * `leave()` or by the server).
 *
 * Where the connection to the server drops, what flows between the browsers is left alone and the room is joined
 * again with growing pauses. There is no resuming yet: a rejoin replaces every peer by a new one.
 *
 * @extends {Emitter<{peer: PeerEvent, peerleft: PeerEvent, error: FailureEvent, signaling: Event, ice: Event, closed: Event}>}
 */
export class Call extends Emitter {
  /** Our id in the room, while joined. @type {string | null} */
  id = null;
  /** Whether the server can be reached: other peers come and go only while it is `open`. @type {SignalingState} */
  signaling = "lost";
  /** Resolves once joined, rejects where that fails at first. @type {Promise<void>} */
  ready;

  /** @type {JoinOptions} */ #options;
  /** @type {Ice} */ #ice = {};
  /** When the credentials in it do, as `Date.now()`. */
  #expires = Infinity;
  /** @type {Map<string, Member>} */ #members = new Map();
  /** @type {Signaling} */ #server;
  #over = new AbortController();
  /** Until `ready` is settled. @type {{ resolve: () => void, reject: (error: BywayError) => void } | null} */
  #joining = null;

  /** @param {JoinOptions} options */
  constructor(options) {
    super();
    this.#options = { ...options };
    this.ready = new Promise((resolve, reject) => (this.#joining = { resolve, reject }));
    this.ready.catch(() => {}); // who does not await it hears `closed`
    const url = new URL("/ws", options.server ?? HOME);
    url.protocol = url.protocol.replace("http", "ws");
    this.#server = new Signaling(url, {
      opened: () => {
        const { room, token, name } = this.#options;
        this.#server.send({ type: "join", room, token, name });
      },
      heard: (message) => this.#hear(message),
      lost: () => {
        if (this.#joining) this.#close(new BywayError("server-unreachable"));
        else this.#setSignaling("lost");
      },
    });
    // Until we are in, a first answer may take its time: to give up on it would fail the joining.
    onNetworkChange(() => this.#joining === null && this.#server.check(), this.#over);
  }

  /** Everyone else in the room. */
  get peers() {
    return [...this.#members.values()].map(({ peer }) => peer);
  }

  /** Whether only the relay is used: because we asked for it, or because the server asks it of everyone. */
  get relayOnly() {
    return Boolean(this.#options.relayOnly) || this.#ice.iceTransportPolicy === "relay";
  }

  /**
   * Moves the running call onto the relay, or allows direct paths again. Every connection is made anew, which takes
   * a moment: an ICE restart is not enough, since Chromium goes on using the direct path it already has.
   * @param {boolean} relayOnly
   */
  setRelayOnly(relayOnly) {
    const before = this.relayOnly;
    this.#options.relayOnly = relayOnly;
    // While the server is away nobody could be told; the rejoin makes every connection anew.
    if (this.relayOnly === before || this.signaling !== "open") return;
    for (const member of this.#members.values()) {
      member.epoch += 1;
      this.#connect(member, true);
    }
  }

  /**
   * Replaces what is sent: the first audio and first video track, to everyone; null sends nothing.
   * @param {MediaStream | null} stream
   */
  async setStream(stream) {
    this.#options.stream = stream;
    await Promise.all(this.peers.map(({ connection }) => sendStream(connection, stream)));
  }

  /** Leaves the room. The stream stays open: it is the page's. To come back, `join` again. */
  leave() {
    this.#server.send({ type: "leave" });
    this.#close();
  }

  /** @param {any} message Unknown types are for newer clients. */
  #hear(message) {
    switch (message.type) {
      case "joined":
        return this.#joined(message);
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
        if (message.code !== "no-such-peer") this.#refused(refusal(message));
        return;
      case "bye":
        // Without a time to come back, coming back unchanged would not help.
        if (message.retry_ms === undefined) this.#close(farewell(message.code));
        else this.#server.reopen(message.retry_ms);
    }
  }

  /** @param {{ id: string, peers: Presence[], ice: Ice }} message */
  #joined({ id, peers, ice }) {
    for (const { peer } of this.#members.values()) this.#part(peer.id);
    if (this.signaling === "closed") return; // by a listener, just now
    this.#server.confirm();
    this.id = id;
    this.#take(ice);
    // Whoever comes makes the offers, so that two browsers do not both begin.
    const met = peers.map((member) => this.#meet(member, true));
    this.#setSignaling("open");
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
    const member = { peer, polite, epoch: 0, receive: () => {}, renewed: () => {}, over: new AbortController() };
    this.#members.set(id, member);
    this.#connect(member, offering);
    return peer;
  }

  /**
   * Gives a member a connection, in place of the one before.
   * @param {Member} member
   * @param {boolean} offering
   */
  #connect(member, offering) {
    const { peer, polite, epoch } = member;
    member.over.abort();
    member.over = new AbortController();
    const { signal } = member.over;
    const connection = new RTCPeerConnection(this.#configuration());
    signal.addEventListener("abort", () => connection.close());

    const tell = (/** @type {Signal} */ data) =>
      this.#server.send({ type: "signal", to: peer.id, data: { epoch, ...data } });
    const fail = (/** @type {string} */ code) => this.dispatchEvent(new FailureEvent(connectionError(code, peer), peer));
    const canSignal = () => this.signaling === "open";
    const ask = () => tell({ restart: true });
    const rotation = rotate(connection, { polite, canSignal, ask, expires: this.#expires, signal });
    const negotiation = negotiate(connection, { polite, offering, tell });
    member.renewed = rotation.renewed;
    member.receive = (data) => (data.restart ? rotation.asked() : negotiation(data));
    // What has cut us off from everyone may have cut us off from the server, too. Who is gone alone has not: and to join
    // again, where the server is merely slow to answer, would end the connections to all others.
    const isConnected = (/** @type {Peer} */ { connection }) => connection.connectionState === "connected";
    const doubt = () => canSignal() && !this.peers.some(isConnected) && this.#server.check();
    restartWhenBroken(connection, { polite, canSignal, doubt, fail, signal });
    reportMissingRelay(connection, { fail, signal });
    attach(peer, connection);
    sendStream(connection, this.#options.stream ?? null);
  }

  /**
   * Both ends number their connections alike: a higher number tells that the other end has begun a new one, a lower
   * one concerns a connection that is gone.
   * @param {string} from
   * @param {Signal} data
   */
  #signaled(from, { epoch = 0, ...data }) {
    const member = this.#members.get(from);
    if (!member || !Number.isSafeInteger(epoch) || epoch < member.epoch) return;
    if (epoch > member.epoch) {
      member.epoch = epoch;
      this.#connect(member, false);
    }
    member.receive(data);
  }

  /**
   * Fresh credentials: for whoever comes next, and soon for every path that uses a relay of ours.
   * @param {Ice} ice
   */
  #refresh(ice) {
    this.#take(ice);
    for (const { peer, renewed } of this.#members.values()) {
      if (peer.connection.signalingState === "closed") continue;
      peer.connection.setConfiguration(this.#configuration());
      renewed(this.#expires);
    }
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
    // One transport for everything: a third of the relay allocations, and the same in every setConfiguration().
    return { iceServers, iceTransportPolicy: this.relayOnly ? "relay" : "all", bundlePolicy: "max-bundle" };
  }

  /** @param {string} id */
  #part(id) {
    const member = this.#members.get(id);
    if (!member) return;
    this.#members.delete(id);
    member.over.abort();
    member.peer.dispatchEvent(new Event("left"));
    this.dispatchEvent(new PeerEvent("peerleft", member.peer));
  }

  /** @param {BywayError} error */
  #refused(error) {
    if (this.#joining) return this.#close(error);
    this.dispatchEvent(new FailureEvent(error, null));
    if (this.signaling === "lost") this.#server.reopen();
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

  /** @param {SignalingState} state */
  #setSignaling(state) {
    if (this.signaling === state) return;
    this.signaling = state;
    this.dispatchEvent(new Event("signaling"));
  }
}
