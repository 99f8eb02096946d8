/**
 * Byway in the browser: join a room and get a connection to everyone in it.
 *
 *     import { join, openCamera } from "https://call.example.org/byway.js";
 *
 *     const call = await join({ room: "tea", stream: await openCamera() });
 *     call.addEventListener("peer", ({ peer }) => {
 *       const video = document.createElement("video");
 *       video.autoplay = video.playsInline = true;
 *       video.srcObject = peer.stream;
 *       document.body.append(video);
 *       peer.addEventListener("left", () => video.remove());
 *     });
 *
 * One file without dependencies. It reads top-down: what a page calls (`join`, `openCamera`, `Call`, `Peer`), then
 * what makes a connection come up and stay up (`negotiate`, `restartWhenBroken`), then what is read from its
 * statistics. docs/client.md is the same API on one page.
 *
 * @module byway
 */

/** The server this file was loaded from, which is also the one to call unless a page says otherwise. */
const HOME = new URL("/", import.meta.url).href;

/** @typedef {"direct" | "relayed" | "connecting"} Path */
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

/**
 * How the connection to one peer runs right now.
 * @typedef {object} Report
 * @property {Path} path Relayed means: a relay stands at one end at least.
 * @property {"udp" | "tcp" | "tls" | null} protocol Between this browser and what it talks to: the relay, or the peer.
 * @property {number | null} roundTripMs Of the latest connectivity check.
 * @property {number | null} receivingBps Bits per second since the report before this one.
 * @property {number | null} sendingBps Bits per second since the report before this one.
 * @property {number} framesDecoded Video frames of the peer decoded here, in total.
 * @property {number} framesSent Video frames sent to the peer, in total.
 * @property {string | null} localCandidate Type of the selected candidate: host, srflx, prflx or relay.
 * @property {string | null} remoteCandidate
 * @property {IceError[]} iceErrors STUN and TURN servers that could not be used, and why.
 */

/** @typedef {{ url: string, code: number, text: string }} IceError */

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
 * `getUserMedia` that fails with a sentence a person can act on.
 *
 * @param {MediaStreamConstraints} [constraints]
 * @returns {Promise<MediaStream>}
 */
export async function openCamera(constraints = { audio: true, video: true }) {
  if (!navigator.mediaDevices) throw new BywayError("insecure-page");
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (cause) {
    const code = CAMERA_ERRORS[/** @type {Error} */ (cause).name] ?? "camera-failed";
    throw new BywayError(code, undefined, { cause });
  }
}

/** A failure in plain language: `message` is for the person, `code` for the program. */
export class BywayError extends Error {
  /**
   * @param {string} code
   * @param {string} [message] Defaults to the sentence this module knows for the code.
   * @param {ErrorOptions} [options]
   */
  constructor(code, message = SENTENCES[code] ?? `Something failed (${code}).`, options) {
    super(message, options);
    this.name = "BywayError";
    this.code = code;
  }
}

/** `peer` and `peerleft` of a {@link Call}. */
export class PeerEvent extends Event {
  /** @param {string} type @param {Peer} peer */
  constructor(type, peer) {
    super(type);
    this.peer = peer;
  }
}

/** `error` of a {@link Call}: something failed, and the call goes on as far as it can. */
export class FailureEvent extends Event {
  /** @param {BywayError} error @param {Peer | null} peer */
  constructor(error, peer) {
    super("error");
    this.error = error;
    /** The peer it concerns, or null where it concerns the room. */
    this.peer = peer;
  }
}

/**
 * An EventTarget that knows its events by name.
 * @template {Record<string, Event>} Events
 */
class Emitter extends EventTarget {
  /**
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {((event: Events[Type]) => void) | EventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }

  /**
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {((event: Events[Type]) => void) | EventListenerObject | null} listener
   * @param {boolean | EventListenerOptions} [options]
   */
  removeEventListener(type, listener, options) {
    super.removeEventListener(type, /** @type {EventListener} */ (listener), options);
  }
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
  /** @type {URL} */ #url;
  /** @type {RTCConfiguration} */ #ice = {};
  /** @type {Map<string, Member>} */ #members = new Map();
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {{ resolve: () => void, reject: (error: BywayError) => void } | null} */ #joining = null;
  /** Told by the server's `bye`. @type {number | null} */ #retryMs = null;
  #attempts = 0;
  #silent = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retryTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #heartbeat;

  /** @param {JoinOptions} options */
  constructor(options) {
    super();
    this.#options = { ...options };
    this.#url = new URL("/ws", options.server ?? HOME);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.ready = new Promise((resolve, reject) => (this.#joining = { resolve, reject }));
    this.#connect();
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
    this.#options.relayOnly = relayOnly;
    for (const member of this.#members.values()) {
      member.epoch += 1;
      this.#connectTo(member, true);
    }
  }

  /**
   * Replaces what is sent: the first audio and first video track, to everyone; null sends nothing.
   * @param {MediaStream | null} stream
   */
  async setStream(stream) {
    this.#options.stream = stream;
    await Promise.all(this.peers.map(({ connection }) => send(connection, stream)));
  }

  /** Leaves the room. The stream stays open: it is the page's. To come back, `join` again. */
  leave() {
    this.#tell({ type: "leave" });
    this.#close();
  }

  #connect() {
    const socket = new WebSocket(this.#url, "byway.v1");
    this.#socket = socket;
    const { room, token, name } = this.#options;
    socket.onopen = () => this.#tell({ type: "join", room, token, name });
    socket.onmessage = ({ data }) => socket === this.#socket && this.#hear(JSON.parse(data));
    // Where a content security policy forbids the server, Chromium tells only of the error.
    socket.onerror = socket.onclose = () => socket === this.#socket && this.#lost();
    this.#silent = false;
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  /** @param {object} message */
  #tell(message) {
    // Dropped while the server is away: a rejoin builds every connection anew, so there is nothing to catch up on.
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** @param {any} message As the signaling protocol defines; unknown types are for newer clients. */
  #hear(message) {
    this.#silent = false;
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
        // Used by the next ICE restart and by whoever comes next; running paths keep their credentials.
        this.#ice = message;
        for (const { connection } of this.peers) connection.setConfiguration(this.#configuration());
        return this.dispatchEvent(new Event("ice"));
      case "error":
        // We were still talking to someone who has just left: nothing failed.
        if (message.code === "no-such-peer") return;
        return this.#refused(new BywayError(message.code, SENTENCES[message.code] ?? message.message));
      case "bye":
        // Without a time to come back, coming back unchanged would not help.
        if (message.retry_ms === undefined) return this.#close(new BywayError(message.code, SENTENCES.bye));
        this.#retryMs = message.retry_ms;
    }
  }

  /** @param {{ id: string, peers: Presence[], ice: RTCConfiguration }} message */
  #joined({ id, peers, ice }) {
    for (const { peer } of this.#members.values()) this.#part(peer.id);
    this.id = id;
    this.#ice = ice;
    this.#attempts = 0;
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
    const member = { peer, polite, epoch: 0, receive: () => {} };
    this.#members.set(id, member);
    this.#connectTo(member, offering);
    return peer;
  }

  /**
   * Gives a member a connection, in place of the one before.
   * @param {Member} member
   * @param {boolean} offering
   */
  #connectTo(member, offering) {
    const { peer, polite, epoch } = member;
    const connection = new RTCPeerConnection(this.#configuration());
    const tell = (/** @type {Signal} */ data) =>
      this.#tell({ type: "signal", to: peer.id, data: { epoch, ...data } });
    const fail = (/** @type {string} */ code) => {
      this.dispatchEvent(new FailureEvent(new BywayError(code, explain(code, peer)), peer));
    };
    member.receive = negotiate(connection, { polite, offering, tell });
    restartWhenBroken(connection, { polite, fail, canSignal: () => this.signaling === "open" });
    reportMissingRelay(connection, fail);
    attach(peer, connection);
    send(connection, this.#options.stream ?? null);
  }

  /**
   * Both ends number their connections alike: a higher number tells that the other end has begun a new one, a lower
   * one concerns a connection that is gone.
   * @param {string} from
   * @param {Signal} data
   */
  #signaled(from, { epoch = 0, ...data }) {
    const member = this.#members.get(from);
    if (!member || epoch < member.epoch) return;
    if (epoch > member.epoch) {
      member.epoch = epoch;
      this.#connectTo(member, false);
    }
    member.receive(data);
  }

  /** @param {string} id */
  #part(id) {
    const peer = this.#members.get(id)?.peer;
    if (!peer) return;
    this.#members.delete(id);
    peer.connection.close();
    peer.dispatchEvent(new Event("left"));
    this.dispatchEvent(new PeerEvent("peerleft", peer));
  }

  /** @returns {RTCConfiguration} */
  #configuration() {
    return {
      // One transport for everything: a third of the relay allocations, and the same in every setConfiguration().
      bundlePolicy: "max-bundle",
      ...this.#ice,
      iceTransportPolicy: this.relayOnly ? "relay" : "all",
    };
  }

  /** A browser learns of a dead network path only by sending: two beats without any answer, and it is lost. */
  #beat() {
    if (this.#silent) return this.#lost();
    this.#silent = true;
    this.#tell({ type: "ping" });
  }

  #lost() {
    clearInterval(this.#heartbeat);
    this.#socket?.close();
    this.#socket = null;
    if (this.#joining) return this.#close(new BywayError("server-unreachable"));
    this.#setSignaling("lost");
    // Jitter, so that a room does not come back all at once after a server restart.
    const pause = Math.min(MAX_PAUSE_MS, 500 * 2 ** this.#attempts++) * (0.5 + Math.random() / 2);
    this.#retryTimer = setTimeout(() => this.#connect(), this.#retryMs ?? pause);
    this.#retryMs = null;
  }

  /** @param {BywayError} error */
  #refused(error) {
    if (this.#joining) return this.#close(error);
    this.dispatchEvent(new FailureEvent(error, null));
    if (this.signaling === "lost") this.#lost();
  }

  /** @param {BywayError} [error] */
  #close(error) {
    if (this.signaling === "closed") return;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#retryTimer);
    this.#socket?.close();
    this.#socket = null;
    for (const { peer } of this.#members.values()) this.#part(peer.id);
    if (error && this.#joining) this.#joining.reject(error);
    else if (error) this.dispatchEvent(new FailureEvent(error, null));
    this.#setSignaling("closed");
    this.dispatchEvent(new Event("closed"));
  }

  /** @param {SignalingState} state */
  #setSignaling(state) {
    if (this.signaling === state) return;
    this.signaling = state;
    this.dispatchEvent(new Event("signaling"));
  }
}

/** How a Call hands its Peer a connection: for this file only. @type {(peer: Peer, connection: RTCPeerConnection) => void} */
let attach;

/**
 * Someone else in the room.
 *
 * Events: `message` (what the other side sent, `event.data`) · `open` (messages can be sent) · `connection` (it was
 * made anew, by `setRelayOnly` at either end) · `left`.
 *
 * @extends {Emitter<{message: MessageEvent, open: Event, connection: Event, left: Event}>}
 */
export class Peer extends Emitter {
  /** What comes from the peer. One stream from the start; tracks are added to it as they arrive. */
  stream = new MediaStream();
  /** STUN and TURN servers that could not be used. @type {IceError[]} */
  iceErrors = [];
  /** For what this module does not wrap; negotiation runs by itself. Another one after a `connection` event. */
  connection = /** @type {RTCPeerConnection} */ (/** @type {unknown} */ (null));

  /** @type {RTCDataChannel | undefined} */ #messages;
  /** @type {RTCDataChannel | undefined} */ #echo;
  /** @type {Map<string, () => void>} */ #pings = new Map();
  /** @type {Traffic | null} */ #traffic = null;

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

  static {
    attach = (peer, connection) => peer.#attach(connection);
  }

  /** @param {RTCPeerConnection} connection */
  #attach(connection) {
    this.connection?.close();
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

    // Numbered by agreement instead of announced in-band: both ends have them from the first moment.
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
    this.dispatchEvent(new Event("connection"));
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
    try {
      await new Promise((resolve, reject) => {
        this.#pings.set(nonce, () => resolve(undefined));
        setTimeout(() => reject(new BywayError("no-echo")), timeoutMs);
        this.#echo?.send(`ping ${nonce}`);
      });
    } finally {
      this.#pings.delete(nonce);
    }
    return performance.now() - started;
  }

  /**
   * How this connection runs. Bitrates are over the time since the report before, so ask about once a second.
   * @returns {Promise<Report>}
   */
  async report() {
    const stats = [...(await this.connection.getStats()).values()];
    const traffic = measureTraffic(stats);
    const rates = compareTraffic(this.#traffic, traffic);
    this.#traffic = traffic;
    const route = this.connection.connectionState === "connected" ? findRoute(stats) : NO_ROUTE;
    return { ...route, ...rates, iceErrors: [...this.iceErrors] };
  }
}

/** What the server tells of someone. @typedef {{ id: string, name?: string | null, polite: boolean }} Presence */
/** What two browsers tell each other. @typedef {{ epoch?: number, description?: RTCSessionDescription | null, candidate?: RTCIceCandidate | null }} Signal */
/** @typedef {{ peer: Peer, polite: boolean, epoch: number, receive: (data: Signal) => void }} Member */

/**
 * Perfect negotiation, as the example of that name in the WebRTC recommendation (section 10.7) has it: either side
 * may change anything at any time, and where two offers meet, the polite side takes its own back.
 *
 * The one addition is `offering`: the side that was in the room first lets the other make the first offer.
 *
 * @param {RTCPeerConnection} connection
 * @param {{ polite: boolean, offering: boolean, tell: (data: Signal) => void }} role
 * @returns {(data: Signal) => Promise<void>} To be called with what the other side told.
 */
function negotiate(connection, { polite, offering, tell }) {
  let makingOffer = false;
  let ignoreOffer = false;
  let isSettingRemoteAnswerPending = false;

  connection.onicecandidate = ({ candidate }) => candidate && tell({ candidate });

  connection.onnegotiationneeded = async () => {
    if (!offering) return;
    try {
      makingOffer = true;
      await connection.setLocalDescription();
      tell({ description: connection.localDescription });
    } catch (error) {
      console.error(error);
    } finally {
      makingOffer = false;
    }
  };

  return async ({ description, candidate }) => {
    try {
      if (description) {
        offering = true;
        // While an answer is being set we will be stable by the time the offer is processed.
        const readyForOffer =
          !makingOffer && (connection.signalingState === "stable" || isSettingRemoteAnswerPending);
        ignoreOffer = !polite && description.type === "offer" && !readyForOffer;
        if (ignoreOffer) return;
        isSettingRemoteAnswerPending = description.type === "answer";
        await connection.setRemoteDescription(description); // rolls our own offer back where needed
        isSettingRemoteAnswerPending = false;
        if (description.type === "offer") {
          await connection.setLocalDescription();
          tell({ description: connection.localDescription });
        }
      } else if (candidate) {
        try {
          await connection.addIceCandidate(candidate);
        } catch (error) {
          if (!ignoreOffer) throw error; // the candidates of an ignored offer have no place
        }
      }
    } catch (error) {
      // A description of the other side that we cannot use is its fault, and never ends the room.
      if (connection.signalingState !== "closed") console.error(error);
    }
  };
}

/**
 * Restarts ICE when the path is gone, with growing pauses and an end. The impolite side goes first; the polite one
 * waits long enough to see that offer, so that a common outage does not make both restart at once.
 *
 * @param {RTCPeerConnection} connection
 * @param {{ polite: boolean, canSignal: () => boolean, fail: (code: string) => void }} context
 */
function restartWhenBroken(connection, { polite, canSignal, fail }) {
  let attempts = 0;
  let told = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;

  const pause = () => (polite ? POLITE_WAIT_MS : 0) + (attempts && 1000 * 2 ** attempts);
  const restartIn = (/** @type {number} */ ms) => {
    clearTimeout(timer);
    timer = setTimeout(restart, ms);
  };
  const restart = () => {
    if (connection.connectionState === "closed") return;
    if (attempts === MAX_RESTARTS) return fail("connection-lost");
    if (canSignal()) {
      attempts += 1;
      connection.restartIce();
    }
    restartIn(RESTART_PATIENCE_MS + pause());
  };

  connection.addEventListener("connectionstatechange", () => {
    switch (connection.connectionState) {
      case "disconnected": // often heals by itself
        return restartIn(RESTART_PATIENCE_MS + pause());
      case "failed":
        if (!told) fail("connection-failed");
        told = true;
        return restartIn(pause());
      case "connected":
        attempts = 0;
        told = false;
    }
    clearTimeout(timer);
    timer = undefined;
  });
  connection.addEventListener("signalingstatechange", () => {
    // The other side is restarting: see whether that helps.
    if (timer && connection.signalingState === "have-remote-offer") restartIn(RESTART_PATIENCE_MS + pause());
  });
}

/**
 * Under the relay policy a relay that cannot be used means that nothing will ever come: say so, once per gathering.
 *
 * @param {RTCPeerConnection} connection
 * @param {(code: string) => void} fail
 */
function reportMissingRelay(connection, fail) {
  let waiting = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
  const missing = () => {
    const relayOnly = connection.getConfiguration().iceTransportPolicy === "relay";
    if (waiting && relayOnly && connection.connectionState !== "closed") fail("relay-unreachable");
    waiting = false;
  };
  connection.addEventListener("icecandidate", ({ candidate }) => {
    if (candidate?.type === "relay") waiting = false;
  });
  connection.addEventListener("icegatheringstatechange", () => {
    clearTimeout(timer);
    if (connection.iceGatheringState === "complete") return missing();
    waiting = true;
    timer = setTimeout(missing, RELAY_PATIENCE_MS);
  });
}

/**
 * Makes `stream` what the connection sends; renegotiates only where something new has to be announced.
 *
 * @param {RTCPeerConnection} connection
 * @param {MediaStream | null} stream
 */
async function send(connection, stream) {
  for (const kind of ["audio", "video"]) {
    const track = stream?.getTracks().find((candidate) => candidate.kind === kind) ?? null;
    const transceiver = connection.getTransceivers().find(({ receiver }) => receiver.track.kind === kind);
    if (transceiver) {
      if (track) transceiver.direction = "sendrecv";
      await transceiver.sender.replaceTrack(track);
    } else if (track && stream) {
      connection.addTrack(track, stream);
    }
  }
}

/** @typedef {Pick<Report, "path" | "protocol" | "roundTripMs" | "localCandidate" | "remoteCandidate">} Route */

/** @type {Route} */
const NO_ROUTE = {
  path: "connecting",
  protocol: null,
  roundTripMs: null,
  localCandidate: null,
  remoteCandidate: null,
};

/**
 * @param {any[]} stats
 * @returns {Route}
 */
function findRoute(stats) {
  const byId = (/** @type {string} */ id) => stats.find((entry) => entry.id === id);
  const transport = stats.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  // Older Firefox has no transport statistics, but marks the pair.
  const pair = transport ? byId(transport.selectedCandidatePairId) : stats.find((entry) => entry.selected);
  const local = pair && byId(pair.localCandidateId);
  const remote = pair && byId(pair.remoteCandidateId);
  if (!local || !remote) return NO_ROUTE;

  // A relay candidate whose mapped address came out differently is a local `prflx`; its relay protocol gives it away.
  const throughOurRelay = local.candidateType === "relay" || Boolean(local.relayProtocol);
  const relayed = throughOurRelay || remote.candidateType === "relay";
  return {
    path: relayed ? "relayed" : "direct",
    protocol: (throughOurRelay && local.relayProtocol) || local.protocol || null,
    roundTripMs: pair.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
    localCandidate: local.candidateType,
    remoteCandidate: remote.candidateType,
  };
}

/** @typedef {{ at: number, received: number, sent: number, framesDecoded: number, framesSent: number }} Traffic */

/**
 * @param {any[]} stats
 * @returns {Traffic}
 */
function measureTraffic(stats) {
  const total = (/** @type {string} */ type, /** @type {string} */ field) =>
    stats.reduce((sum, entry) => sum + (entry.type === type ? (entry[field] ?? 0) : 0), 0);
  return {
    at: performance.now(),
    received: total("inbound-rtp", "bytesReceived") + total("inbound-rtp", "headerBytesReceived"),
    sent: total("outbound-rtp", "bytesSent") + total("outbound-rtp", "headerBytesSent"),
    framesDecoded: total("inbound-rtp", "framesDecoded"),
    framesSent: total("outbound-rtp", "framesSent"),
  };
}

/**
 * @param {Traffic | null} before
 * @param {Traffic} now
 */
function compareTraffic(before, now) {
  const bitsPerSecond = (/** @type {"received" | "sent"} */ field) =>
    before && ((now[field] - before[field]) * 8000) / (now.at - before.at);
  return {
    receivingBps: bitsPerSecond("received"),
    sendingBps: bitsPerSecond("sent"),
    framesDecoded: now.framesDecoded,
    framesSent: now.framesSent,
  };
}

/**
 * The sentence for a failed connection, with what is known of each relay. Of one that does not answer browsers often
 * report nothing at all, so that silence counts as no answer where a relay is needed and none was had.
 *
 * @param {string} code
 * @param {Peer} peer
 */
function explain(code, { name, connection, iceErrors }) {
  const servers = connection.getConfiguration().iceServers ?? [];
  const relays = servers.flatMap(({ urls }) => urls).filter((url) => /^turns?:/.test(url));
  const reasons = relays.flatMap((url) => {
    const refusal = iceErrors.find((known) => known.url === url && known.code !== 701);
    if (refusal?.code === 401) return `The relay at ${url} refused the credentials.`;
    if (refusal) return `The relay at ${url} refused: ${refusal.text || refusal.code}.`;
    return code === "relay-unreachable" ? `The relay at ${url} did not answer.` : [];
  });
  return [SENTENCES[code].replace("{name}", () => name || "the other person"), ...reasons].join(" ");
}

/** @type {Record<string, string>} Error names of getUserMedia. */
const CAMERA_ERRORS = {
  NotAllowedError: "camera-denied",
  SecurityError: "camera-denied",
  NotFoundError: "no-camera",
  OverconstrainedError: "no-camera",
  NotReadableError: "camera-busy",
};

/** @type {Record<string, string>} */
const SENTENCES = {
  "insecure-page": "Browsers give camera and microphone only to pages opened over https:// or on localhost.",
  "camera-denied": "The browser was not allowed to use camera and microphone.",
  "no-camera": "No camera or microphone was found.",
  "camera-busy": "The camera or microphone is in use by another program.",
  "camera-failed": "Camera and microphone could not be opened.",
  "server-unreachable": "The call server cannot be reached.",
  "bad-room": "This cannot be the name of a room: it has to be 1 to 128 characters long.",
  "bad-name": "This cannot be shown as a name: use up to 64 ordinary characters.",
  "room-full": "This room is full.",
  "too-many-rooms": "The call server has no place for another room right now.",
  "rate-limited": "Too much was sent at once; the call server left some of it out.",
  bye: "The call server ended this call.",
  "no-echo": "The other side did not echo in time.",
  "connection-failed": "The connection to {name} failed; trying another way.",
  "connection-lost": "The connection to {name} could not be restored.",
  "relay-unreachable": "No relay can be used, so {name} cannot be reached through one.",
};

/** Below the shortest idle time-out common among reverse proxies (60 s), with a beat to spare. */
const HEARTBEAT_MS = 20_000;
const MAX_PAUSE_MS = 30_000;
/** Long enough for a Wi-Fi hand-over to heal by itself, and for a restart to be seen to work. */
const RESTART_PATIENCE_MS = 4_000;
/** Over a slow signaling path, the impolite side's offer is here within this. */
const POLITE_WAIT_MS = 3_000;
const MAX_RESTARTS = 6;
/** An allocation takes two round trips, over TLS some four. */
const RELAY_PATIENCE_MS = 8_000;
