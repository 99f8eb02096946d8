/**
 * Timeline of the call: reports to the server, which a member has to allow, and what the server
 * made of the reports of all members and of what its relay saw.
 */

import { BywayError } from "./errors.js";
import { observe } from "./observations.js";

/** @typedef {import("./observations.js").Observation} Observation */

/**
 * Event of a timeline, as docs/signaling.md specifies it. `at` is in seconds since 1970.
 * @typedef {{ n: number, at: number, member: string, peer?: string,
 *   source: "page" | "relay" | "server", kind: string,
 *   detail: Record<string, any> }} TimelineEvent
 */

/**
 * Member that events name. `reports`: whether it reports now.
 * @typedef {{ id: string, name: string | null, reports: boolean }} TimelineMember
 */

/**
 * Part of the timeline that this member may see. `next`: pass it as `after`, to get later events.
 * `dropped`: number of events that exceeded a limit of the server.
 * @typedef {{ members: TimelineMember[], events: TimelineEvent[], next: number,
 *   dropped: number }} CallTimeline
 */

/**
 * Peer and connection that are observed.
 * @typedef {{ connection: RTCPeerConnection,
 *   look: (withFigures: boolean) => Promise<void> }} Watched
 */

export class Timeline {
  /** Whether this member reports. */ on = false;
  /** The last consent that the server was told. */ #told = false;

  /** @type {(message: object) => boolean} */ #send;
  /** Observed connections by the id of the peer. @type {Map<string, Watched>} */
  #watched = new Map();
  /**
   * Observations that were not sent. Without consent they stay here, for a member that agrees
   * when its call has failed.
   * @type {{ peer: string, at: number, observation: Observation }[]}
   */
  #waiting = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #flushing;
  /** @type {ReturnType<typeof setInterval>} */ #figures;
  /** @type {{ resolve: (page: any) => void, reject: (error: BywayError) => void } | null} */
  #asked = null;
  /** Settles when all earlier requests are answered. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /**
   * @param {object} call
   * @param {(message: object) => boolean} call.send Sends a message; false if the server is lost.
   * @param {AbortSignal} call.signal Aborted when the call is over.
   */
  constructor({ send, signal }) {
    this.#send = send;
    this.#figures = setInterval(() => this.#look(), FIGURES_MS);
    signal.addEventListener("abort", () => {
      clearInterval(this.#figures);
      clearTimeout(this.#flushing);
      this.lost();
    });
  }

  /** Allows or ends reports. @param {boolean} on */
  set(on) {
    if (this.on === on) return;
    this.on = on;
    this.#tell();
    if (!on) return;
    this.#look();
    this.#flushSoon();
  }

  /**
   * Continues after `joined`. A new membership begins without the observations of an earlier one,
   * whose peers are gone.
   * @param {{ resumed: boolean }} context
   */
  joined({ resumed }) {
    if (!resumed) [this.#waiting, this.#told] = [[], false];
    this.#tell();
    if (this.on) this.#flushSoon();
  }

  /**
   * Observes the connection to a peer.
   * @param {string} peer
   * @param {RTCPeerConnection} connection
   */
  watch(peer, connection) {
    if (this.#watched.has(peer)) this.note(peer, { kind: "replaced", detail: {} });
    const isCurrent = () => this.#watched.get(peer)?.connection === connection;
    const look = observe(connection, (observation) => isCurrent() && this.note(peer, observation));
    this.#watched.set(peer, { connection, look });
  }

  /** Ends the observation of a peer that left. @param {string} peer */
  forget(peer) {
    this.#watched.delete(peer);
  }

  /**
   * Notes an observation. It is sent at once, if this member agreed.
   * @param {string} peer
   * @param {Observation} observation
   */
  note(peer, observation) {
    this.#waiting.push({ peer, at: performance.now(), observation });
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    if (this.on) this.#flushSoon();
  }

  /**
   * Returns the events of the timeline behind number `after`.
   * @param {number} after
   * @returns {Promise<CallTimeline>}
   */
  read(after) {
    const read = this.#turn.then(() => this.#read(after));
    this.#turn = read.catch(() => {});
    return read;
  }

  /** Takes the answer to a request. @param {any} page */
  answered(page) {
    this.#asked?.resolve(page);
  }

  /**
   * Takes an error of the server, if it is about reports or of a server without timelines.
   * @param {string} code
   * @returns {boolean} Whether it is.
   */
  refused(code) {
    if (code === "no-consent") return true;
    if (code !== "unknown-type" || !(this.on || this.#asked)) return false;
    this.on = false;
    this.#asked?.reject(new BywayError("no-timeline"));
    return true;
  }

  /** Gives up the request, because the server is lost or the call is over. */
  lost() {
    this.#asked?.reject(new BywayError("server-unreachable"));
  }

  /** @param {number} after */
  async #read(after) {
    /** @type {Map<string, TimelineMember>} */ const members = new Map();
    /** @type {TimelineEvent[]} */ const events = [];
    for (;;) {
      const page = await this.#ask(after);
      for (const member of page.members) members.set(member.id, member);
      events.push(...page.events);
      after = page.next;
      if (!page.more) return { members: [...members.values()], events, next: after, dropped: page.dropped };
      await new Promise((resolve) => setTimeout(resolve, PAGE_MS));
    }
  }

  /** @param {number} after */
  async #ask(after) {
    if (!this.#send({ type: "timeline", after })) throw new BywayError("server-unreachable");
    /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
    try {
      return await new Promise((resolve, reject) => {
        this.#asked = { resolve, reject };
        timer = setTimeout(() => this.lost(), ANSWER_MS);
      });
    } finally {
      clearTimeout(timer);
      this.#asked = null;
    }
  }

  /** Tells the server whether reports follow, once it is there. */
  #tell() {
    if (this.on !== this.#told && this.#send({ type: "consent", reports: this.on })) this.#told = this.on;
  }

  #look() {
    if (!this.on) return;
    for (const { look } of this.#watched.values()) look(true);
  }

  #flushSoon() {
    this.#flushing ??= setTimeout(() => {
      this.#flushing = undefined;
      this.#flush();
    }, FLUSH_MS);
  }

  #flush() {
    if (!this.on || this.#waiting.length === 0) return;
    const now = performance.now();
    const sent = this.#waiting.slice(0, MAX_REPORTED);
    const events = sent.map(({ peer, at, observation }) => ({ ...observation, peer, ago: Math.round(now - at) }));
    // Without the server they wait for its return.
    if (!this.#send({ type: "report", events })) return;
    this.#waiting.splice(0, sent.length);
    if (this.#waiting.length > 0) this.#flushSoon();
  }
}

/** Interval of figures: the last minutes of them fit into what the server keeps of a member. */
const FIGURES_MS = 10_000;
/** A call that begins makes one report of many observations. */
const FLUSH_MS = 500;
/** Observations of one report, by docs/signaling.md. */
const MAX_REPORTED = 32;
/** Below what the server takes at once of one member. */
const MAX_WAITING = 100;
/** Time between two pages: as often as the server answers one member. */
const PAGE_MS = 250;
/** Time for several lost packets. */
const ANSWER_MS = 10_000;
