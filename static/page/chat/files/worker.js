/**
 * Worker of file transfers: reads, hashes and writes, so that the page stays smooth. Each job is
 * one file. The operations of a job run one after the other.
 */

import "../../../vendor/hash-wasm/sha256.js";
import { HEADER_BYTES, makeFrame } from "./protocol.js";

/** Bytes that are collected before they are written, since each write is a system call. */
const WRITE_BYTES = 1024 * 1024;

/**
 * Place that takes the bytes of a file.
 * @typedef {object} Sink
 * @property {(bytes: Uint8Array<ArrayBuffer>) => Promise<void> | void} write
 * @property {() => Promise<Blob | null>} finish Returns the file, or null if the person chose its
 *   place.
 * @property {() => Promise<void>} discard
 */

/**
 * @typedef {{ kind: "picked", handle: any } | { kind: "private", folder: string, name: string }
 *   | { kind: "memory" }} Destination
 */

/** Job that reads a file. `hashed`: bytes that are part of the hash. */
class Reading {
  hashed = 0;
  #digest = "";

  /** @param {File} file @param {Hasher} hasher */
  constructor(file, hasher) {
    this.file = file;
    this.hasher = hasher;
  }

  /** @param {{ at: number, length: number, round: number, frameBytes: number }} options */
  async read({ at, length, round, frameBytes }) {
    const block = new Uint8Array(await this.file.slice(at, at + length).arrayBuffer());
    if (block.length !== length) throw new DOMException("the file became shorter", "NotReadableError");
    // Bytes that are read again, or for another receiver, are part of the hash already.
    if (at <= this.hashed && this.hashed < at + length) {
      this.hasher.update(block.subarray(this.hashed - at));
      this.hashed = at + length;
    }
    const frames = [];
    const step = frameBytes - HEADER_BYTES;
    for (let from = 0; from < length; from += step) frames.push(makeFrame({ round, offset: at + from }, block.subarray(from, from + step)));
    return frames;
  }

  digest() {
    this.#digest ||= this.hasher.digest();
    return this.#digest;
  }
}

/** Job that writes a file. */
class Writing {
  #buffer = new Uint8Array(WRITE_BYTES);
  #filled = 0;
  #written = 0;

  /** @param {Sink} sink @param {Hasher} hasher @param {(bytes: number) => void} tell */
  constructor(sink, hasher, tell) {
    this.sink = sink;
    this.hasher = hasher;
    this.tell = tell;
  }

  /** @param {ArrayBuffer} frame */
  async write(frame) {
    let rest = new Uint8Array(frame, HEADER_BYTES);
    this.hasher.update(rest);
    while (rest.length) {
      const part = rest.subarray(0, WRITE_BYTES - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
      if (this.#filled === WRITE_BYTES) await this.flush();
    }
  }

  async flush() {
    if (!this.#filled) return;
    await this.sink.write(this.#buffer.subarray(0, this.#filled));
    this.#written += this.#filled;
    this.#filled = 0;
    this.tell(this.#written);
  }

  /** @param {string} digest */
  async finish(digest) {
    await this.flush();
    if (this.hasher.digest() === digest) return { file: await this.sink.finish() };
    await this.sink.discard();
    return null;
  }
}

/** @param {Destination} destination @returns {Promise<Sink>} */
async function openSink(destination) {
  if (destination.kind === "picked") return pickedSink(destination.handle);
  return destination.kind === "private" ? privateSink(destination) : memorySink();
}

/**
 * File that the person chose. It keeps its earlier content until all is there.
 * @param {any} handle
 */
async function pickedSink(handle) {
  const stream = await handle.createWritable();
  return {
    write: (/** @type {Uint8Array} */ bytes) => stream.write(bytes),
    finish: async () => {
      await stream.close();
      return null;
    },
    discard: async () => {
      await stream.abort();
      // The dialog made an empty file. A file that was there before keeps its content.
      if ((await handle.getFile()).size === 0) await handle.remove?.();
    },
  };
}

/** File in the storage of this origin. @param {{ folder: string, name: string }} place */
async function privateSink({ folder, name }) {
  const root = await navigator.storage.getDirectory();
  const directory = await (await root.getDirectoryHandle("files", { create: true })).getDirectoryHandle(folder, { create: true });
  const handle = /** @type {any} */ (await directory.getFileHandle(name, { create: true }));
  const access = await handle.createSyncAccessHandle();
  return {
    write: (/** @type {Uint8Array} */ bytes) => {
      if (access.write(bytes) !== bytes.length) throw new DOMException("the disk is full", "QuotaExceededError");
    },
    finish: async () => {
      access.flush();
      access.close();
      return handle.getFile();
    },
    discard: async () => {
      access.close();
      await directory.removeEntry(name);
    },
  };
}

/** Memory. A browser may move its parts to the disk. */
function memorySink() {
  /** @type {Blob[]} */
  let parts = [];
  return {
    write: (/** @type {Uint8Array<ArrayBuffer>} */ bytes) => void parts.push(new Blob([bytes])),
    finish: async () => new Blob(parts),
    discard: async () => void (parts = []),
  };
}

/** @type {Map<number, Reading | Writing>} */
const jobs = new Map();
/** Ends of the operations so far, by job. @type {Map<number, Promise<unknown>>} */
const queues = new Map();
const scope = /** @type {any} */ (self);

/** @type {Record<string, (job: number, given: any) => any>} */
const operations = {
  read: async (job, { file, ...options }) => {
    if (!jobs.has(job)) jobs.set(job, new Reading(file, (await hashwasm.createSHA256()).init()));
    return /** @type {Reading} */ (jobs.get(job)).read(options);
  },
  digest: async (job) => {
    const reading = /** @type {Reading | undefined} */ (jobs.get(job));
    // An empty file is never read.
    return reading ? reading.digest() : (await hashwasm.createSHA256()).init().digest();
  },
  open: async (job, { destination }) => {
    const tell = (/** @type {number} */ written) => scope.postMessage({ job, written });
    jobs.set(job, new Writing(await openSink(destination), (await hashwasm.createSHA256()).init(), tell));
  },
  write: (job, { frame }) => /** @type {Writing | undefined} */ (jobs.get(job))?.write(frame),
  finish: (job, { digest }) => /** @type {Writing} */ (jobs.get(job)).finish(digest),
  close: async (job, { discard }) => {
    const ended = jobs.get(job);
    jobs.delete(job);
    if (discard && ended instanceof Writing) await ended.sink.discard();
  },
};

scope.onmessage = (/** @type {MessageEvent} */ { data }) => {
  const { call, job, operation, ...given } = data;
  const run = async () => {
    try {
      const result = await operations[operation](job, given);
      const transfer = operation === "read" ? result : [];
      if (call !== undefined) scope.postMessage({ call, result }, transfer);
      else if (result) await result;
    } catch (error) {
      scope.postMessage({ call, job, error: /** @type {Error} */ (error).name });
    }
  };
  const turn = (queues.get(job) ?? Promise.resolve()).then(run);
  queues.set(job, turn);
  if (operation === "close") turn.then(() => queues.get(job) === turn && queues.delete(job));
};
