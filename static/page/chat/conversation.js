/**
 * Chat with one member, over the channel `byway.chat`. Messages are JSON:
 *
 * - `{ hello: { seen, kept, age } }`: when the channel opens, and in answer to a hello that has not
 *   `seen` one. Nothing else is sent before the other's hello, because a channel loses what comes
 *   without a listener. `kept`: texts in the log; `age`: milliseconds since the sender joined.
 * - `{ text: { id, text, private? } }`: a message, repeated until it is acknowledged.
 * - `{ got: id }`: acknowledges a message. Its repetition is harmless.
 * - `{ ask: true }`, answered by `{ history: [...] }`.
 */

import { Bucket, isId, readText } from "./limits.js";

/** @typedef {import("../person.js").Person} Person */
/** @typedef {import("./history.js").Line} Line */
/** @typedef {{ id: string, text: string, private?: true }} Message */

/**
 * Owner of a conversation.
 * @typedef {object} Owner
 * @property {() => { kept: number, age: number }} hello
 * @property {(conversation: Conversation) => void} greeted The member can receive.
 * @property {(person: Person, message: Message) => void} received
 * @property {(person: Person, id: string) => void} acknowledged
 * @property {() => Line[]} history
 * @property {(conversation: Conversation, lines: unknown) => void} told
 * @property {(person: Person) => void} flooded Messages of this member were dropped.
 */

const LABEL = "byway.chat";
/** Longest message that is read: a history of 64 KiB. */
const MAX_FRAME = 65 * 1024;
/** Received messages of any kind, and texts of them. */
const FRAMES = { burst: 300, perSecond: 50 };
const TEXTS = { burst: 40, perSecond: 5 };
/** Sent texts: slower, so that no honest sender is cut. */
const SENDING = { burst: 20, perSecond: 4 };
/** Histories that a member can get: they are large. */
const HISTORIES = { burst: 2, perSecond: 1 / 30 };
/** Texts that were sent and not acknowledged yet. */
const MAX_IN_FLIGHT = 16;
/** Bytes above which nothing more is given to the browser. */
const HIGH_WATER = 256 * 1024;
/** Time after which an unacknowledged text is sent again over the same connection. */
const REPEAT_MS = 20_000;
/** Time between two looks at what can be sent. */
const PUMP_MS = 500;

export class Conversation {
  /** Texts that the member has, and milliseconds since it joined, as it told. */
  kept = 0;
  age = 0;
  /** Whether the member can receive over the present connection. */
  #isGreeted = false;
  /** Messages that the member has not acknowledged. @type {Map<string, Message>} */
  #queue = new Map();
  /** Times when they were sent over the present connection. @type {Map<string, number>} */
  #sentAt = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #frames = new Bucket(FRAMES);
  #texts = new Bucket(TEXTS);
  #sending = new Bucket(SENDING);
  #histories = new Bucket(HISTORIES);

  /** @param {Person} person @param {Owner} owner */
  constructor(person, owner) {
    this.person = person;
    this.owner = owner;
    this.channel = person.peer.openChannel(LABEL);
    this.channel.addEventListener("open", () => this.#sayHello());
    this.channel.addEventListener("message", ({ data }) => this.#receive(data));
    person.peer.addEventListener("connection", () => {
      this.#isGreeted = false;
      this.#sentAt.clear();
    });
    this.#sayHello();
  }

  /** Sends a message, now or once the member can receive. @param {Message} message */
  send(message) {
    this.#queue.set(message.id, message);
    this.#pump();
  }

  /** Gives a message up. @param {string} id */
  drop(id) {
    this.#queue.delete(id);
    this.#sentAt.delete(id);
  }

  /** Asks for the history. */
  ask() {
    this.#write({ ask: true });
  }

  close() {
    clearTimeout(this.#timer);
    this.#queue.clear();
  }

  #sayHello() {
    this.#write({ hello: { seen: this.#isGreeted, ...this.owner.hello() } });
    this.#pump();
  }

  /**
   * Hands a message to the browser, unless that could not send it: a member that reads nothing must
   * not make this page keep it.
   * @param {object} message
   */
  #write(message) {
    if (this.channel.readyState !== "open" || this.channel.bufferedAmount > HIGH_WATER) return false;
    this.channel.send(JSON.stringify(message)).catch(() => {}); // the member has just left
    return true;
  }

  /** Sends what the rate allows, in order, and looks again later if something is left. */
  #pump() {
    clearTimeout(this.#timer);
    if (!this.#isGreeted || !this.#queue.size) return;
    const now = performance.now();
    for (const [id, at] of this.#sentAt) if (now - at > REPEAT_MS) this.#sentAt.delete(id);
    for (const message of this.#queue.values()) {
      if (this.#sentAt.has(message.id)) continue;
      if (this.#sentAt.size >= MAX_IN_FLIGHT || !this.#sending.take() || !this.#write({ text: message })) break;
      this.#sentAt.set(message.id, now);
    }
    this.#timer = setTimeout(() => this.#pump(), PUMP_MS);
  }

  /** @param {unknown} data Anything: the other page may be hostile. */
  #receive(data) {
    if (typeof data !== "string" || data.length > MAX_FRAME) return;
    // Before it is parsed, so that a flood costs little.
    if (!this.#frames.take()) return this.owner.flooded(this.person);
    const message = parse(data);
    if (typeof message !== "object" || message === null) return;
    if (message.hello) this.#greet(message.hello);
    if (message.text) this.#receiveText(message.text);
    if (this.#queue.has(message.got)) {
      this.drop(message.got);
      this.owner.acknowledged(this.person, message.got);
      this.#pump();
    }
    if (message.ask === true && this.#histories.take()) this.#write({ history: this.owner.history() });
    if (message.history) this.owner.told(this, message.history);
  }

  /** @param {any} hello */
  #greet({ seen, kept, age }) {
    const isFirst = !this.#isGreeted;
    this.#isGreeted = true;
    this.kept = numberOf(kept);
    this.age = numberOf(age);
    if (seen === true) this.#pump();
    else this.#sayHello();
    if (isFirst) this.owner.greeted(this);
  }

  /** @param {any} message */
  #receiveText({ id, text: received, private: isPrivate }) {
    const text = readText(received);
    if (!isId(id) || text === null) return;
    // Unacknowledged, it comes again if the sender is honest.
    if (!this.#texts.take()) return this.owner.flooded(this.person);
    this.owner.received(this.person, { id, text, ...(isPrivate === true && { private: true }) });
    this.#write({ got: id });
  }
}

/** Returns a number as it is, and 0 for all else. @param {unknown} value */
const numberOf = (value) => (Number.isFinite(value) ? /** @type {number} */ (value) : 0);

/** @param {string} data @returns {any} Undefined: not of a Byway page. */
function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
