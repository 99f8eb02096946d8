/** Files that this page sends. */

import { Bucket } from "../limits.js";
import { randomId } from "../random-id.js";
import { BLOCK_BYTES, FRAME_BYTES, HEADER_BYTES, WINDOW_BYTES, dataLabel } from "./protocol.js";
import { Rate } from "./rate.js";
import { STALL_MS, Transfer } from "./transfer.js";
import { Job } from "./work.js";

/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./transfer.js").State} State */

/** States from the one that a line of several people shows first. @type {State[]} */
const FIRST = ["sending", "paused", "offered", "done", "failed"];

/** Own file, offered to one person or several. */
export class Outgoing extends Transfer {
  /** One for each person. @type {Delivery[]} */
  deliveries;

  /** @param {File} file @param {{ name: string, links: Link[] }} options */
  constructor(file, { name, links }) {
    super({ own: true, from: "", name, size: file.size });
    this.file = file;
    this.job = new Job();
    this.deliveries = links.map((link) => new Delivery(this, link));
    this.update();
    this.show(file).catch(() => {});
  }

  /** Takes the states of the deliveries. */
  update() {
    const [only] = this.deliveries;
    this.state = FIRST.find((state) => this.deliveries.some((delivery) => delivery.state === state)) ?? "failed";
    this.sentence = this.deliveries.length === 1 ? only.sentence : "";
    if (this.isOver) this.job.close();
    this.changed();
  }

  /** Ends all that is not over. */
  cancel() {
    for (const delivery of this.deliveries) delivery.cancel();
  }

  forget() {
    this.cancel();
    super.forget();
  }
}

/** Own file on its way to one person. */
export class Delivery {
  /** Name that only the two ends know. */
  id = randomId();
  /** @type {State} */
  state = "offered";
  rate = new Rate();
  /** Bytes that the receiver has written. */
  written = 0;
  /** Bytes that were handed to the channel so far, at most. A receiver cannot ask beyond. */
  #top = 0;
  #next = 0;
  #round = 0;
  /** Requests, each of which makes this page read. Few are needed: after an interruption. */
  #requests = new Bucket({ burst: 20, perSecond: 0.2 });
  #isPumping = false;
  #progressAt = 0;
  #wake = () => {};
  /** @type {import("../../../byway.js").Channel | null} */ #channel = null;

  /** @param {Outgoing} transfer @param {Link} link */
  constructor(transfer, link) {
    this.transfer = transfer;
    this.link = link;
    this.sentence = this.#say("files.waits-for");
    link.outgoing.set(this.id, this);
    this.offer();
  }

  get isOver() {
    return this.state === "done" || this.state === "failed";
  }

  offer() {
    const { name, size } = this.transfer;
    this.link.send({ offer: this.id, name, size });
  }

  /**
   * Sends from an offset on, as the receiver asks.
   * @param {{ round: number, at: number }} request
   */
  accepted({ round, at }) {
    // No honest page asks again for what it said it has.
    if (this.isOver || round <= this.#round || at > this.#top || at < this.written) return;
    if (!this.#requests.take()) return;
    this.#round = round;
    this.#next = this.written = at;
    this.#progressAt = performance.now();
    if (this.state === "offered") this.#set("sending", "");
    this.#wake();
    if (!this.#isPumping) this.#pump();
  }

  /** @param {number} bytes */
  has(bytes) {
    if (this.isOver || bytes > this.#top || bytes <= this.written) return;
    this.written = bytes;
    this.#progressAt = performance.now();
    this.#wake();
    if (this.state === "paused") this.#set("sending", "");
  }

  confirmed() {
    if (this.isOver || this.state === "offered") return;
    this.written = this.transfer.size;
    this.#end("done", "files.sent-to");
  }

  /** The receiver gave up. @param {string} why */
  refused(why) {
    const keys = /** @type {Record<string, string>} */ ({
      declined: "files.declined-by", mismatch: "files.damaged-there", storage: "files.storage-there", busy: "files.busy-there",
    });
    this.#end("failed", keys[why] ?? "files.cancelled-by");
  }

  /** The person left. */
  left() {
    this.#end("failed", "files.receiver-left");
  }

  cancel() {
    if (this.isOver) return;
    this.link.end(this.id, { cancel: this.id, why: "cancelled" });
    this.#end("failed", "files.cancelled-own");
  }

  /** The person is back as another member. @param {Link} link */
  moveTo(link) {
    this.link = link;
    this.#channel = null;
    link.outgoing.set(this.id, this);
  }

  /** Whether bytes are under way. */
  get isRunning() {
    return this.state === "sending" || this.state === "paused";
  }

  /** The path is gone. */
  interrupted() {
    if (this.state !== "sending") return;
    this.rate.reset();
    this.#set("paused", "files.paused-path");
  }

  /** Looks for progress, twice a second. @param {number} now */
  tick(now) {
    if (!this.isRunning) return;
    if (this.state === "sending") this.rate.add(this.written, now);
    this.transfer.changed();
    if (now - this.#progressAt < STALL_MS) return;
    const key = this.link.isInterrupted ? "files.paused-path" : "files.paused-there";
    this.rate.reset();
    this.#set("paused", key);
  }

  /** @param {string} key */
  #say(key) {
    return this.link.page.say(key, { name: this.link.name });
  }

  /** @param {State} state @param {string} key */
  #set(state, key) {
    const sentence = key && this.#say(key);
    if (this.state === state && this.sentence === sentence) return;
    this.state = state;
    this.sentence = sentence;
    this.transfer.update();
  }

  /** @param {"done" | "failed"} state @param {string} key */
  #end(state, key) {
    if (this.isOver) return;
    this.#set(state, key);
    this.link.outgoing.delete(this.id);
    this.#channel?.close();
    this.#wake();
  }

  /** Sends rounds until the last one is complete or the transfer is over. */
  async #pump() {
    this.#isPumping = true;
    try {
      for (let round = 0; round !== this.#round && !this.isOver; ) {
        round = this.#round;
        await this.#send(round);
      }
    } catch (error) {
      if (!this.isOver) this.#failed(/** @type {Error} */ (error));
    } finally {
      this.#isPumping = false;
    }
  }

  /** @param {Error} error */
  #failed(error) {
    if (error instanceof ReadError) {
      this.link.end(this.id, { cancel: this.id, why: "unreadable" });
      return this.#end("failed", "files.unreadable");
    }
    // The receiver closed the channel: its reason follows, or another request.
    this.#channel = null;
  }

  /** @param {number} round */
  async #send(round) {
    const { peer } = this.link;
    const { size, job, file } = this.transfer;
    const channel = (this.#channel ??= peer.openChannel(dataLabel(this.id)));
    const isStale = () => this.isOver || this.#round !== round;
    const frameBytes = Math.min(FRAME_BYTES, peer.connection.sctp?.maxMessageSize || FRAME_BYTES);
    const read = (/** @type {number} */ at) =>
      at < size ? readBlock(job, { file, at, length: Math.min(BLOCK_BYTES, size - at), round, frameBytes }) : null;
    let at = this.#next;
    for (let reading = read(at); reading; ) {
      const frames = await reading;
      if (isStale()) return;
      const length = Math.min(BLOCK_BYTES, size - at);
      // The next block is read while this one is sent.
      reading = read(at + length);
      let from = at;
      for (const frame of frames) {
        while (from - this.written > WINDOW_BYTES && !isStale()) await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
        if (isStale()) return;
        from += frame.byteLength - HEADER_BYTES;
        this.#top = Math.max(this.#top, from);
        await channel.send(frame);
      }
      at += length;
    }
    const end = await job.call("digest");
    if (!isStale()) await channel.send(JSON.stringify({ end, round }));
  }
}

/** Failure to read the own file: it changed, or is gone. */
class ReadError extends Error {}

/**
 * @param {Job} job @param {object} options
 * @returns {Promise<ArrayBuffer[]>}
 */
function readBlock(job, options) {
  const reading = job.call("read", options).catch((cause) => {
    throw new ReadError("the file cannot be read", { cause });
  });
  // A round that ends early does not await it.
  reading.catch(() => {});
  return reading;
}
