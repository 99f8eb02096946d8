/** Control messages with one person: greeting, and limits to what that page can cause. */

import { Bucket } from "../limits.js";
import { randomId } from "../random-id.js";
import { proofOf, secretOf } from "./identity.js";
import { CONTROL, MAX_ACTIVE, MAX_PROOFS, parseMessage } from "./protocol.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../person.js").Person} Person */
/** @typedef {import("./protocol.js").Message} Message */
/** @typedef {import("./incoming.js").Incoming} Incoming */
/** @typedef {import("./outgoing.js").Delivery} Delivery */

/** Messages that wait for the browser. A page that reads nothing gets no more. */
const MAX_PENDING = 500;
/** Ends of transfers that are remembered, to answer what comes late. */
const MAX_REMEMBERED = 500;

/** Control channel to a person, and the transfers with that person. */
export class Link {
  /** Files that this person offers, by id. @type {Map<string, Incoming>} */
  incoming = new Map();
  /** Files that are offered to this person, by id. @type {Map<string, Delivery>} */
  outgoing = new Map();
  /** Last message about transfers that ended, by id. @type {Map<string, object>} */
  #ended = new Map();
  /** Whether the person was told that there are too many offers. */
  isFull = false;
  #greeted = false;
  #ownKey = randomId();
  #theirKey = "";
  #pending = 0;
  #messages = new Bucket({ burst: 2_000, perSecond: 400 });
  #greetings = new Bucket({ burst: 20, perSecond: 0.5 });
  /** New offers: more than a person can answer. */
  offers = new Bucket({ burst: 100, perSecond: 2 });
  /** Messages that may not be lost and wait for the greeting. @type {object[]} */
  #unsent = [];
  #closed = new AbortController();

  /**
   * @param {Page} page
   * @param {Person} person
   * @param {{ onMessage: (message: Message) => void, onGreeted: () => void,
   *   onInterrupted: () => void, onClose: () => void, onProofs: (proofs: string[]) => void,
   *   secrets: () => string[] }} callbacks `secrets`: those of pages that may come back.
   *   `onProofs`: the page says that it is one of them.
   */
  constructor(page, person, { onMessage, onGreeted, onInterrupted, onClose, onProofs, secrets }) {
    this.page = page;
    this.person = person;
    this.peer = person.peer;
    this.name = person.shortName;
    this.channel = person.peer.openChannel(CONTROL);
    const { signal } = this.#closed;
    const options = { signal };
    this.onGreeted = onGreeted;
    this.onProofs = onProofs;
    this.secrets = secrets;
    this.channel.addEventListener("message", ({ data }) => {
      const message = this.#messages.take() ? parseMessage(data) : null;
      if (message?.kind === "hello") this.#greet(message);
      else if (message) onMessage(message);
    }, options);
    this.channel.addEventListener("open", () => this.hello("new"), options);
    this.peer.addEventListener("connection", () => {
      this.#greeted = false;
      onInterrupted();
    }, options);
    this.channel.addEventListener("close", () => {
      this.#closed.abort();
      this.#greeted = false;
      onClose();
    }, options);
    if (this.channel.readyState === "open") this.hello("new");
    // The person left meanwhile.
    if (this.channel.readyState === "closed") queueMicrotask(onClose);
  }

  /** Secret that only the two pages have, or null before the greeting. */
  get secret() {
    return this.#theirKey ? secretOf(this.#ownKey, this.#theirKey) : null;
  }

  /** Whether there is no path to the person now. */
  get isInterrupted() {
    return this.channel.readyState !== "open" || this.peer.connection.connectionState !== "connected" || this.person.path === "connecting";
  }

  /** Whether one more transfer from this person may begin. */
  get hasRoom() {
    return [...this.incoming.values()].filter(({ isRunning }) => isRunning).length < MAX_ACTIVE;
  }

  /** Files that are under way to this person. */
  get sending() {
    return [...this.outgoing.values()].filter(({ isRunning }) => isRunning).length;
  }

  /**
   * Sends a message. Before the greeting it is dropped, because the greeting repeats what matters.
   * @param {object} message
   */
  send(message) {
    if (this.#greeted) this.#transmit(message);
  }

  /**
   * Remembers and sends the last message about a transfer.
   * @param {string} id @param {object} message
   */
  end(id, message) {
    this.#ended.set(id, message);
    if (this.#ended.size > MAX_REMEMBERED) this.#ended.delete(this.#ended.keys().next().value ?? "");
    if (this.#greeted) this.#transmit(message);
    else if (this.#unsent.length < MAX_REMEMBERED) this.#unsent.push(message);
  }

  /** Last message about a transfer that ended, or undefined. @param {string} id */
  endOf(id) {
    return this.#ended.get(id);
  }

  /** @param {object} message */
  #transmit(message) {
    if (this.#pending >= MAX_PENDING) return;
    this.#pending += 1;
    this.channel.send(JSON.stringify(message)).catch(() => {}).finally(() => (this.#pending -= 1));
  }

  /** Greets the other page. @param {"new" | "reply"} hello */
  async hello(hello) {
    const secrets = this.secrets().slice(0, MAX_PROOFS);
    const fingerprints = secrets.length ? await this.fingerprints() : null;
    const proofs = fingerprints ? await Promise.all(secrets.map((secret) => proofOf(secret, fingerprints))) : [];
    this.#transmit({ hello, key: this.#ownKey, ...(proofs.length && { proofs }) });
  }

  /** Fingerprints at both ends of the connection, or null. */
  async fingerprints() {
    try {
      return (await this.peer.report()).fingerprints;
    } catch {
      return null; // the person left
    }
  }

  /** Takes the ends that an earlier link to the same page remembers. @param {Link} earlier */
  inherit(earlier) {
    for (const [id, message] of earlier.#ended) this.#ended.set(id, message);
  }

  /** @param {{ isReply: boolean, key: string, proofs: string[] }} greeting */
  #greet({ isReply, key, proofs }) {
    if (!this.#greetings.take()) return;
    const isFirst = !this.#greeted;
    this.#greeted = true;
    this.#theirKey ||= key;
    if (!isReply) this.hello("reply");
    for (const message of this.#unsent.splice(0)) this.#transmit(message);
    if (proofs.length) this.onProofs(proofs);
    if (isFirst || !isReply) this.onGreeted();
  }
}
