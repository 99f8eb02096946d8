/**
 * Chat of a call: its log, and the messages to and from each member. Loaded with the first call,
 * because the others may write before the panel is opened.
 *
 * - `limits.js`, `links.js`, `history.js`: texts, links and histories, without the DOM;
 * - `conversation.js`: the messages with one member;
 * - `files/`: files between members, each of which has a line in the log.
 */

import { Conversation } from "./conversation.js";
import { refuseFiles } from "./files/drop.js";
import { Files, words as fileWords } from "./files/files.js";
import { historyOf, indexToDrop, isPrivate, isSame, mergeHistory, readHistory } from "./history.js";
import { MAX_ENTRIES, readText } from "./limits.js";
import { randomId } from "./random-id.js";

/** @typedef {import("../page.js").Page} Page */
/** @typedef {import("../person.js").Person} Person */
/** @typedef {import("./files/transfer.js").Transfer} Transfer */
/** @typedef {import("./history.js").Entry} Entry */
/** @typedef {import("./conversation.js").Message} Message */

/** Words of the chat. */
export const words = {
  en: () => import("./words/en.js"),
  zh: () => import("./words/zh.js"),
};

/** Time for several members to greet, of which the oldest is asked for the history. */
const GREETING_MS = 300;
/** Time that a member has to answer with its history. */
const HISTORY_MS = 5_000;
/** Age of messages that a new member gets once more: the one that it asked may have lacked them. */
const RECENT_MS = 60_000;
/** Time until then, so that the history comes first and gives the order. */
const RECENT_AFTER_MS = 10_000;
/** Quiet time after which new messages are announced again. */
const BURST_MS = 10_000;
/** Least time between two complaints about one member. */
const COMPLAINT_MS = 60_000;

/**
 * Log and messages.
 *
 * Events: `entry` (detail: {@link Entry}, a new one at the end), `change` (an entry changed, or
 * several came or went), `unread`.
 */
export class Chat extends EventTarget {
  /** Log in the order in which it is shown. @type {Entry[]} */
  entries = [];
  /** Entries of others since the person last read the log. */
  unread = 0;
  /** Unsent text of the person. */
  draft = "";
  /** Chosen receiver of messages, also one that has left; null: everyone. @type {Person | null} */
  receiver = null;
  /** Whether the log is in view up to its end. Set by the panel. */
  isRead = () => false;
  /** Whether the panel is open. */
  isOpen = false;

  #page;
  #files;
  /** Name of the only receiver of the files that are being offered. @type {string | null} */
  #offeredTo = null;
  /** @type {Map<Person, Conversation>} */ #conversations = new Map();
  /** Room of the log. @type {string | null} */ #room = null;
  /** Request for the history since this page joined. */
  #round = newRound(null);
  /** Time of the last new message. */ #lastNewAt = -Infinity;
  /** Times of the last complaint about a member. @type {WeakMap<Person, number>} */
  #complaints = new WeakMap();

  /** @param {Page} page */
  constructor(page) {
    super();
    this.#page = page;
    this.#files = new Files(page);
    this.#files.addEventListener("transfer", (event) => this.#addFile(/** @type {CustomEvent<Transfer>} */ (event).detail));
    page.events.addEventListener("call", () => this.#begin());
    page.events.addEventListener("arrived", (event) => this.#meet(/** @type {CustomEvent<Person>} */ (event).detail));
    this.#begin();
    for (const person of page.people.values()) this.#meet(person);
  }

  /**
   * Sends a text.
   * @param {string} text
   * @param {Person | null} [person] The only receiver; null: everyone.
   * @returns {boolean} Whether it is in the log: not without a call, nor if it is too long.
   */
  sendText(text, person = null) {
    const readable = readText(text);
    const receivers = person ? [person] : [...this.#page.people.values()];
    if (readable === null || !this.#page.call || !receivers.every((each) => this.#page.people.has(each.peer))) return false;
    /** @type {Entry} */
    const entry = {
      id: randomId(),
      kind: "text",
      from: { own: true, name: this.#page.remember.get("name") ?? "" },
      at: Date.now(),
      text: readable,
      waiting: new Set(receivers),
      missed: new Set(),
      ...(person && { to: person.shortName }),
    };
    this.#add(entry);
    for (const each of receivers) this.#conversations.get(each)?.send(messageOf(entry));
    return true;
  }

  /**
   * Offers files. A receiver gets those that it accepts.
   * @param {File[]} files
   * @param {import("../page.js").Peer | null} peer The only receiver; null: everyone.
   * @returns {boolean} Whether all are offered. If not, the page has said why.
   */
  offer(files, peer) {
    if (!this.#page.call) return false;
    this.#offeredTo = peer && (this.#page.people.get(peer)?.shortName ?? "");
    const areOffered = this.#files.offer(files, peer);
    this.#offeredTo = null;
    return areOffered;
  }

  /** Offers a picture to everyone. @param {Blob} blob @param {string} name */
  sendPicture(blob, name) {
    return this.offer([new File([blob], name, { type: blob.type })], null);
  }

  /** The person has seen all entries. */
  markRead() {
    if (!this.unread) return;
    this.unread = 0;
    this.dispatchEvent(new Event("unread"));
  }

  /** A call began or ended. A log belongs to a room. */
  #begin() {
    const { call, address } = this.#page;
    if (!call) return;
    if (this.#room !== address.room()) {
      this.#room = address.room();
      for (const { transfer } of this.entries) transfer?.forget();
      this.entries = [];
      this.receiver = null;
      this.draft = "";
      this.markRead();
      this.#changed();
    }
    if (this.#round.of !== call.id) this.#round = newRound(call.id);
  }

  /** @param {Person} person */
  #meet(person) {
    // After a restart of the server, all members are new.
    this.#begin();
    const conversation = new Conversation(person, {
      hello: () => ({ kept: this.entries.filter(({ kind }) => kind === "text").length, age: Date.now() - this.#round.since }),
      greeted: (greeted) => this.#seekHistory(greeted),
      received: (from, message) => this.#receive(from, message),
      acknowledged: (by, id) => this.#acknowledge(by, id),
      history: () => historyOf(this.entries),
      told: (teller, lines) => this.#takeHistory(teller, lines),
      flooded: (by) => this.#complain(by),
    });
    this.#conversations.set(person, conversation);
    person.peer.addEventListener("left", () => this.#part(person, conversation));
    const own = this.entries.filter(({ kind, from, to }) => kind === "text" && from.own && !isPrivate(to));
    for (const entry of own) {
      if (!entry.missed?.size) continue;
      // Perhaps the same person under a new id.
      if (entry.missed.delete(person.name)) entry.waiting?.add(person);
      conversation.send(messageOf(entry));
    }
    const recent = own.filter(({ at }) => Date.now() - at < RECENT_MS);
    setTimeout(() => {
      const isPresent = this.#conversations.get(person) === conversation;
      for (const entry of recent) if (isPresent && this.entries.includes(entry)) conversation.send(messageOf(entry));
    }, RECENT_AFTER_MS);
    this.#changed();
  }

  /** @param {Person} person @param {Conversation} conversation */
  #part(person, conversation) {
    conversation.close();
    this.#conversations.delete(person);
    for (const entry of this.entries) if (entry.waiting?.delete(person)) entry.missed?.add(person.name);
    this.#changed();
  }

  /** @param {Person} person @param {Message} message */
  #receive(person, { id, text, private: isForOne }) {
    /** @type {Entry} */
    const entry = { id, kind: "text", from: { own: false, name: person.name, mark: person.mark }, at: Date.now(), text, ...(isForOne && { to: "" }) };
    const known = this.entries.find((candidate) => isSame(candidate, entry));
    if (!known) return this.#add(entry);
    // The author confirms what another member told.
    if (known.told) {
      known.told = null;
      known.from.mark = person.mark;
      this.#changed();
    }
  }

  /** @param {Person} person @param {string} id */
  #acknowledge(person, id) {
    const entry = this.entries.find((candidate) => candidate.id === id && candidate.from.own);
    if (entry?.waiting?.delete(person)) this.#changed();
  }

  /**
   * Asks for the history, once for each time that this page joined.
   * @param {Conversation} conversation
   */
  #seekHistory(conversation) {
    const round = this.#round;
    if (round.isDone || !conversation.kept) return;
    round.members.add(conversation);
    if (!round.asked) round.timer ??= setTimeout(() => this.#askNext(round), GREETING_MS);
  }

  /** @param {Round} round */
  #askNext(round) {
    if (round !== this.#round || round.isDone) return;
    round.timer = undefined;
    const present = [...round.members].filter((member) => this.#conversations.get(member.person) === member);
    const [oldest = null] = present.sort((one, other) => other.age - one.age);
    round.asked = oldest;
    if (!oldest) return;
    round.members.delete(oldest);
    oldest.ask();
    round.timer = setTimeout(() => this.#askNext(round), HISTORY_MS);
  }

  /** @param {Conversation} teller @param {unknown} lines */
  #takeHistory(teller, lines) {
    const round = this.#round;
    // Nobody else was asked, and nobody twice.
    if (round.asked !== teller || round.isDone) return;
    round.isDone = true;
    clearTimeout(round.timer);
    const { name, shortName, mark } = teller.person;
    const told = readHistory(lines, { teller: name });
    for (const entry of told) {
      if (entry.told === null) entry.from.mark = mark;
      else entry.told = shortName;
    }
    mergeHistory(this.entries, told, round.mark);
    this.#trim();
    this.#changed();
  }

  /** Says once that messages of a member are dropped. @param {Person} person */
  #complain(person) {
    const now = performance.now();
    const isNew = now - (this.#complaints.get(person) ?? -Infinity) > COMPLAINT_MS;
    this.#complaints.set(person, now);
    if (isNew) this.#addEvent(this.#page.say("chat.too-fast", { name: person.shortName }), person.name);
  }

  /** @param {string} text @param {string} name */
  #addEvent(text, name) {
    this.#add({ id: randomId(), kind: "event", from: { own: false, name }, at: Date.now(), text });
  }

  /** @param {Transfer} transfer */
  #addFile(transfer) {
    const { id, own, from, at } = transfer;
    this.#add({ id, kind: "file", from: { own, name: from }, at, transfer, ...(this.#offeredTo !== null && { to: this.#offeredTo }) });
  }

  /** @param {Entry} entry */
  #add(entry) {
    this.entries.push(entry);
    this.#round.mark ??= entry;
    this.#trim();
    this.dispatchEvent(new CustomEvent("entry", { detail: entry }));
    if (!entry.from.own && entry.kind !== "event" && !this.isRead()) this.#count(entry);
  }

  /** Counts an unread entry. Announces the first of a burst. @param {Entry} entry */
  #count(entry) {
    this.unread += 1;
    const now = performance.now();
    // Files are announced with their names and sizes.
    if (entry.kind === "text") {
      if (!this.isOpen && now - this.#lastNewAt > BURST_MS) {
        this.#page.announce(this.#page.say("chat.new", { name: entry.from.name + (entry.from.mark ?? "") }));
      }
      this.#lastNewAt = now;
    }
    this.dispatchEvent(new Event("unread"));
  }

  /** Keeps the log within its size. */
  #trim() {
    while (this.entries.length > MAX_ENTRIES) {
      const index = indexToDrop(this.entries);
      if (index < 0) return;
      this.#remove(index);
    }
  }

  /** @param {number} index */
  #remove(index) {
    const [{ id, transfer }] = this.entries.splice(index, 1);
    transfer?.forget();
    for (const conversation of this.#conversations.values()) conversation.drop(id);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @typedef {ReturnType<typeof newRound>} Round */

/** @param {string | null} of Id of this member. */
const newRound = (of) => ({
  of,
  since: Date.now(),
  isDone: false,
  /** Members that have a log and were not asked. @type {Set<Conversation>} */
  members: new Set(),
  /** Member that was asked last. @type {Conversation | null} */
  asked: null,
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer: undefined,
  /** First entry since this page joined: an older history comes before it. @type {Entry | null} */
  mark: null,
});

/** @param {Entry} entry @returns {Message} */
const messageOf = ({ id, text = "", to }) => ({ id, text, ...(isPrivate(to) && { private: true }) });

/** Shows the number of unread messages on the button. @param {Page} page @param {Chat} chat */
function drawUnread(page, chat) {
  const button = /** @type {HTMLElement} */ (document.querySelector("#chat"));
  const label = chat.unread ? page.say("chat.unread", { count: chat.unread }) : page.say("control.chat");
  if (chat.unread) button.dataset.unread = chat.unread > 99 ? "99+" : String(chat.unread);
  else delete button.dataset.unread;
  button.setAttribute("aria-label", label);
}

/** @param {Page} page */
export async function startChat(page) {
  await page.addWords(fileWords);
  // The number on the button is seen before the panel is opened.
  page.loadStyles(["chat", "files"]);
  const chat = new Chat(page);
  page.chat = chat;
  refuseFiles();
  chat.addEventListener("unread", () => drawUnread(page, chat));
  page.tell("chat");
}
