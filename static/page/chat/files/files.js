/**
 * Files between the people of a call, over data channels. The sender offers, the receiver accepts
 * and asks for bytes by offset, so that a transfer continues after any new connection. Map:
 *
 * - `protocol.js`: messages, frames and limits;
 * - `link.js`: control channel to one person;
 * - `identity.js`: proof that a page is the same after a restart of the server;
 * - `outgoing.js`, `incoming.js`, `transfer.js`: files that are sent and received;
 * - `storage.js`: place of a received file;
 * - `worker.js`, `work.js`: reading, hashing and writing beside the page;
 * - `picture.js`, `rate.js`: previews, and speed in words;
 * - `line.js`, `drop.js`: line of a file in the log, dropped and pasted files.
 */

import { safeName } from "../../file-names.js";
import { sizeText } from "../../sizes.js";
import { proofOf, seenByOther } from "./identity.js";
import { Incoming } from "./incoming.js";
import { Link } from "./link.js";
import { Outgoing } from "./outgoing.js";
import { MAX_ACTIVE, MAX_OPEN } from "./protocol.js";
import { removeLeftovers } from "./storage.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../page.js").Peer} Peer */
/** @typedef {import("../../person.js").Person} Person */
/** @typedef {import("./protocol.js").Message} Message */
/** @typedef {import("./transfer.js").Transfer} Transfer */

/** Words of the files. */
export const words = {
  en: () => import("./words/en.js"),
  zh: () => import("./words/zh.js"),
};

const TICK_MS = 500;
/** Files that go to one person at the same time. Some may be over, without a word of it yet. */
const MAX_SENDING = 2 * MAX_ACTIVE;
/** Least time between two announced offers of one person, and ends of such. */
const ANNOUNCE_MS = 3_000;
/** Time for a person to come back after a restart of the server. */
const RETURN_MS = 60_000;

/**
 * All files of the page. Event `transfer` (CustomEvent, its detail a Transfer): this person or
 * another one offers a file.
 */
export class Files extends EventTarget {
  /** @type {Map<Peer, Link>} */ #links = new Map();
  /**
   * Links to people who may come back as other members, and until when.
   * @type {Map<Link, number>}
   */
  #away = new Map();
  /** @type {ReturnType<typeof setInterval> | undefined} */ #timer;
  /** Times of the last announced offers. @type {WeakMap<Link, number>} */
  #announced = new WeakMap();

  /** @param {Page} page */
  constructor(page) {
    super();
    this.page = page;
    for (const person of page.people.values()) this.#attach(person);
    page.events.addEventListener("arrived", (event) => this.#attach(/** @type {CustomEvent<Person>} */ (event).detail));
    page.events.addEventListener("call", () => {
      if (!page.call) for (const link of this.#away.keys()) this.#giveUp(link);
    });
    removeLeftovers();
  }

  /**
   * Offers files. Says why, if it cannot.
   * @param {File[]} files
   * @param {Peer | null} peer Null for everybody who is here now.
   * @returns {boolean} Whether all are offered.
   */
  offer(files, peer) {
    const { page } = this;
    const links = peer ? [this.#links.get(peer)].filter((link) => link !== undefined) : [...this.#links.values()];
    const refuse = (/** @type {string} */ key) => {
      page.announce(page.say(key, { count: MAX_OPEN }));
      return false;
    };
    if (!links.length) return refuse(peer ? "files.receiver-gone" : "files.nobody");
    for (const file of files) {
      if (links.some(({ outgoing }) => outgoing.size >= MAX_OPEN)) return refuse("files.too-many");
      this.#add(new Outgoing(file, { name: safeName(file.name), links }));
    }
    return true;
  }

  /** @param {Person} person */
  #attach(person) {
    /** @type {Link} */
    const link = new Link(this.page, person, {
      onMessage: (message) => this.#onMessage(link, message),
      onGreeted: () => {
        // Also those that run: the message that one is complete may be lost.
        for (const delivery of link.outgoing.values()) delivery.offer();
        for (const transfer of link.incoming.values()) transfer.request();
      },
      onInterrupted: () => {
        for (const each of both(link)) each.interrupted();
      },
      onClose: () => this.#closed(link),
      onProofs: (proofs) => this.#recognize(link, proofs),
      secrets: () => [...this.#away.keys()].flatMap(({ secret }) => secret ?? []),
    });
    this.#links.set(person.peer, link);
  }

  /** @param {Link} link */
  #closed(link) {
    this.#links.delete(link.peer);
    // The own membership ended with the server, so everybody is about to come back.
    const mayReturn = this.page.call?.signaling === "lost" && link.secret && globalThis.crypto?.subtle;
    for (const each of both(link)) {
      if (mayReturn && each.isRunning) each.interrupted();
      else each.left();
    }
    if (mayReturn && both(link).length) this.#away.set(link, performance.now() + RETURN_MS);
  }

  /** @param {Link} link */
  #giveUp(link) {
    this.#away.delete(link);
    for (const each of both(link)) each.left();
  }

  /**
   * Continues the transfers of a page that was another member before.
   * @param {Link} link @param {string[]} proofs
   */
  async #recognize(link, proofs) {
    const fingerprints = await link.fingerprints();
    if (!fingerprints) return;
    for (const earlier of [...this.#away.keys()]) {
      const proof = await proofOf(earlier.secret ?? "", seenByOther(fingerprints));
      if (!proofs.includes(proof) || !this.#away.delete(earlier)) continue;
      link.inherit(earlier);
      for (const each of both(earlier)) each.moveTo(link);
      // The other page may have asked too early.
      link.hello("new");
    }
  }

  /** @param {Link} link @param {Message} message */
  #onMessage(link, message) {
    if (message.kind === "hello") return;
    const { kind, id } = message;
    if (kind === "offer") return this.#offered(link, message);
    const delivery = link.outgoing.get(id);
    const incoming = link.incoming.get(id);
    // It may be one that another link still has.
    if (kind === "accept" && !delivery && this.#away.size) return;
    if (kind === "accept" && !delivery) return link.send(link.endOf(id) ?? { cancel: id, why: "unknown" });
    if (kind === "accept") {
      // An honest page asks for a few at a time. Each that is read takes memory.
      if (delivery?.isRunning || link.sending < MAX_SENDING) delivery?.accepted(message);
    } else if (kind === "have") delivery?.has(message.at);
    else if (kind === "done") delivery?.confirmed();
    else {
      delivery?.refused(message.why);
      incoming?.refused(message.why);
    }
  }

  /** @param {Link} link @param {{ id: string, name: string, size: number }} offer */
  #offered(link, { id, name, size }) {
    const end = link.endOf(id);
    if (end) return link.send(end);
    // The greeting of a new connection repeats offers.
    if ([link, ...this.#away.keys()].some((each) => each.incoming.has(id) || each.endOf(id))) return;
    if (link.incoming.size >= MAX_OPEN || !link.offers.take()) {
      if (!link.isFull) this.page.announce(this.page.say("files.flood", { name: link.name }));
      link.isFull = true;
      return;
    }
    const transfer = new Incoming(link, { wireId: id, name: safeName(name), size });
    this.#add(transfer);
    this.#announce(link, this.page.say("files.offers", { name: link.name, file: transfer.name, size: sizeText(size) }));
  }

  /**
   * Announces a text that the other page decides on, unless it repeats.
   * @param {Link} link @param {string} text
   */
  #announce(link, text) {
    const now = performance.now();
    if (now - (this.#announced.get(link) ?? -Infinity) < ANNOUNCE_MS) return;
    this.#announced.set(link, now);
    this.page.announce(text);
  }

  /** @param {Transfer} transfer */
  #add(transfer) {
    this.dispatchEvent(new CustomEvent("transfer", { detail: transfer }));
    let wasOver = false;
    transfer.addEventListener("change", () => {
      if (transfer.isOver && !wasOver) this.#announceEnd(transfer);
      wasOver ||= transfer.isOver;
    });
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  /** @param {Transfer} transfer */
  #announceEnd(transfer) {
    const { sentence, name, state } = transfer;
    const text = `${name}: ${sentence || this.page.say(`files.all-${state}`)}`;
    if (transfer instanceof Incoming && transfer.isWithdrawn) this.#announce(transfer.link, text);
    else this.page.announce(text);
  }

  #tick() {
    const now = performance.now();
    const running = [...this.#links.values(), ...this.#away.keys()].flatMap(both);
    for (const each of running) each.tick(now);
    for (const [link, until] of this.#away) if (now > until) this.#giveUp(link);
    if (running.length) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** Transfers with a person, in both directions. @param {Link} link */
const both = ({ incoming, outgoing }) => [...incoming.values(), ...outgoing.values()];
