/** Files that others offer to this page. */

import { MAX_UNWRITTEN, dataLabel, parseEnd, readFrame } from "./protocol.js";
import { Rate } from "./rate.js";
import { chooseDestination, removePrivate } from "./storage.js";
import { STALL_MS, Transfer } from "./transfer.js";
import { Job } from "./work.js";

/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./storage.js").Destination} Destination */
/** @typedef {import("./transfer.js").State} State */

/** Bytes that are written before the sender is told. */
const TELL_BYTES = 512 * 1024;
/** Requests without progress, after which the sender is not believed any more. */
const MAX_REQUESTS = 20;
/** Time without progress after which the receiver asks again. */
const REQUEST_MS = 15_000;

/** File that one person offers. */
export class Incoming extends Transfer {
  rate = new Rate();
  /** Bytes that are written. */
  written = 0;
  /** Whether it was accepted and is not over. */
  isRunning = false;
  /** Whether it ended before this person answered, as the other page can cause at will. */
  isWithdrawn = false;
  /** Received file, to be saved by the person, or null. @type {Blob | null} */
  file = null;
  #received = 0;
  #told = 0;
  #round = 0;
  #requests = 0;
  #isChoosing = false;
  #isFinishing = false;
  #progressAt = 0;
  #requestedAt = 0;
  /** @type {Destination | null} */ #destination = null;
  /** @type {import("../../../byway.js").Channel | null} */ #channel = null;
  /** @type {Job | null} */ #job = null;

  /** @param {Link} link @param {{ wireId: string, name: string, size: number }} offer */
  constructor(link, { wireId, name, size }) {
    super({ own: false, from: link.name, name, size });
    this.wireId = wireId;
    this.link = link;
    link.incoming.set(wireId, this);
  }

  /** Accepts the offer. Call it in a click: the browser may ask where to save. */
  async accept() {
    if (this.state !== "offered" || this.#isChoosing || this.#destination) return;
    this.#isChoosing = true;
    const { destination, refusal } = await chooseDestination(this);
    this.#isChoosing = false;
    if (refusal) this.#set("offered", `files.${refusal}`);
    // The sender may have given up while the person chose.
    if (!destination || this.isOver) return;
    this.#destination = destination;
    this.#set("receiving", "files.queued");
    this.begin();
  }

  /** Begins if it was accepted, and if not too many run. */
  begin() {
    if (!this.#destination || this.isRunning || this.isOver || !this.link.hasRoom) return;
    this.isRunning = true;
    this.#progressAt = performance.now();
    this.#job = new Job();
    this.#job.onWritten = (bytes) => this.#wrote(bytes);
    this.#job.onFailure = () => this.#fail("storage", "files.storage");
    this.#job.call("open", { destination: this.#destination }).catch(() => this.#fail("storage", "files.storage"));
    this.#set("receiving", "");
    this.#open();
  }

  /** Opens the channel of the data, and asks for them. */
  #open() {
    try {
      this.#channel = this.link.peer.openChannel(dataLabel(this.wireId));
    } catch {
      return this.#fail("busy", "files.channel");
    }
    this.#channel.addEventListener("message", ({ data }) => this.#receive(data));
    this.request();
  }

  /** The person is back as another member. @param {Link} link */
  moveTo(link) {
    this.link = link;
    link.incoming.set(this.wireId, this);
    this.#open();
  }

  /** Asks for all that is missing. What was under way is ignored when it comes. */
  request() {
    if (!this.isRunning || this.#isFinishing) return;
    this.#round += 1;
    this.#requestedAt = performance.now();
    this.link.send({ accept: this.wireId, round: this.#round, at: this.#received });
  }

  /** Asks again, because something else came than was asked for. */
  #requestAgain() {
    this.#requests += 1;
    if (this.#requests > MAX_REQUESTS) return this.#fail("garbage", "files.garbage");
    this.request();
  }

  /** Declines the offer, or ends the transfer. */
  cancel() {
    if (this.isOver || this.#isFinishing) return;
    const isOffer = this.state === "offered";
    this.#fail(isOffer ? "declined" : "cancelled", isOffer ? "files.declined-own" : "files.cancelled-own");
  }

  /** The sender gave up. @param {string} why */
  refused(why) {
    // All bytes are here: their hash decides.
    if (this.#isFinishing) return;
    this.isWithdrawn = !this.#destination;
    const keys = /** @type {Record<string, string>} */ ({ unreadable: "files.unreadable-there", unknown: "files.unknown-there" });
    this.#end("failed", keys[why] ?? "files.cancelled-by");
  }

  /** The person left. */
  left() {
    if (this.#isFinishing) return;
    this.isWithdrawn = !this.#destination;
    this.#end("failed", "files.sender-left");
  }

  /** The path is gone. */
  interrupted() {
    if (this.state !== "receiving" || !this.isRunning) return;
    this.rate.reset();
    this.#set("paused", "files.paused-path");
  }

  /** Looks for progress, twice a second. @param {number} now */
  tick(now) {
    if (!this.isRunning) return;
    if (this.state === "receiving") this.rate.add(this.written, now);
    this.changed();
    if (now - this.#progressAt < STALL_MS) return;
    this.rate.reset();
    this.#set("paused", this.link.isInterrupted ? "files.paused-path" : "files.paused-there");
    if (now - this.#requestedAt > REQUEST_MS && !this.link.isInterrupted) this.request();
  }

  forget() {
    this.cancel();
    this.#free();
    super.forget();
  }

  /** Removes what the person did not save. */
  #free() {
    if (this.file && this.#destination) removePrivate(this.#destination);
    this.file = null;
  }

  /** @param {unknown} data Anything: the other page may be hostile. */
  #receive(data) {
    if (!this.isRunning || this.#isFinishing) return;
    if (typeof data === "string") return this.#receiveEnd(data);
    const frame = readFrame(data);
    if (frame?.round !== this.#round) return;
    // A new connection lost what was under way.
    if (frame.offset !== this.#received) return this.#requestAgain();
    if (frame.offset + frame.length > this.size) return this.#fail("garbage", "files.too-much");
    this.#received += frame.length;
    if (this.#received - this.written > MAX_UNWRITTEN) return this.#fail("garbage", "files.too-fast");
    this.#requests = 0;
    this.#progressed();
    this.#job?.write(/** @type {ArrayBuffer} */ (data));
  }

  /** @param {string} data */
  #receiveEnd(data) {
    const message = parseEnd(data);
    if (message?.round !== this.#round) return;
    if (this.#received < this.size) return this.#requestAgain();
    this.#finish(message.end);
  }

  /** @param {string} digest */
  async #finish(digest) {
    this.#isFinishing = true;
    /** @type {{ file: Blob | null } | null} */
    let result;
    try {
      result = await /** @type {Job} */ (this.#job).call("finish", { digest });
    } catch {
      return this.#fail("storage", "files.storage");
    }
    if (this.isOver) return;
    if (!result) return this.#fail("mismatch", "files.damaged");
    this.file = result.file;
    this.written = this.size;
    this.link.end(this.wireId, { done: this.wireId });
    this.#end("done", this.file ? "files.received" : "files.saved");
    // The log was cleared while the last bytes were checked.
    if (this.isForgotten) return this.#free();
    if (this.file) this.show(this.file).catch(() => {});
  }

  /** @param {number} bytes */
  #wrote(bytes) {
    this.written = bytes;
    this.#progressed();
    if (bytes - this.#told < TELL_BYTES) return;
    this.#told = bytes;
    this.link.send({ have: this.wireId, at: bytes });
  }

  #progressed() {
    this.#progressAt = performance.now();
    if (this.state === "paused") this.#set("receiving", "");
  }

  /** @param {string} why For the sender. @param {string} key For this person. */
  #fail(why, key) {
    if (this.isOver) return;
    this.link.end(this.wireId, { cancel: this.wireId, why });
    this.#end("failed", key);
  }

  /** @param {"done" | "failed"} state @param {string} key */
  #end(state, key) {
    if (this.isOver) return;
    this.isRunning = false;
    this.link.incoming.delete(this.wireId);
    this.#job?.close({ discard: state === "failed" });
    this.#channel?.close();
    this.#set(state, key);
    for (const next of this.link.incoming.values()) next.begin();
  }

  /** @param {State} state @param {string} key */
  #set(state, key) {
    const sentence = key && this.link.page.say(key, { name: this.link.name });
    if (this.state === state && this.sentence === sentence) return;
    this.state = state;
    this.sentence = sentence;
    this.changed();
  }
}
