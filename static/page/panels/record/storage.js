/**
 * Files of recordings. They are written to the origin's private file system, from the first second.
 * A file that a person picks would be one only once it is closed: until then browsers write to a
 * copy, which a crash of the tab removes. So a picked file gets the finished recording.
 */

import { ownUrl } from "../../own-url.js";
import { MEMORY_BYTES, folder } from "./folder.js";

/** @typedef {import("./formats.js").Format} Format */
/** @typedef {import("./file-worker.js").FileRequest} FileRequest */
/** @typedef {import("./file-worker.js").Finished} Finished */

/**
 * Description of a recording, beside its file.
 * @typedef {object} Meta
 * @property {string} id
 * @property {string} name File name without its extension.
 * @property {number} startedAt
 * @property {Format} format
 * @property {number | null} duration Seconds; null until it is finished.
 */

const WORKER = "page/panels/record/file-worker.js";

/** File of one recording, by way of its worker. */
export class RecordingFile {
  #worker = new Worker(ownUrl(WORKER), { type: "module" });
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();
  #requests = 0;
  /** Recording in memory, or null if it is on disk. @type {Blob[] | null} */
  #parts = null;
  size = 0;

  /** @param {string} id @param {(progress: number) => void} onProgress */
  constructor(id, onProgress) {
    this.id = id;
    this.#worker.onmessage = ({ data }) => {
      if ("progress" in data) return onProgress(data.progress);
      const waiting = this.#waiting.get(data.request);
      this.#waiting.delete(data.request);
      if (data.error) waiting?.reject(new DOMException(data.error.message, data.error.name));
      else waiting?.resolve(data.result);
    };
    this.#worker.onerror = () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the worker did not start"));
      this.#waiting.clear();
    };
  }

  /** Whether it is in memory, and lost with the page. */
  get inMemory() {
    return this.#parts !== null;
  }

  /** Opens the file, in memory if there is no other place. */
  async open() {
    try {
      this.size = await this.#ask({ type: "open", id: this.id });
    } catch (error) {
      console.warn(error);
      this.#parts = [];
    }
    // At the end the network may be gone.
    this.#ask({ type: "prepare" }).catch(() => {});
  }

  /** @param {Blob} blob */
  async write(blob) {
    if (!this.#parts) {
      this.size = await this.#ask({ type: "write", blob });
      return;
    }
    if (this.size + blob.size > MEMORY_BYTES) throw new DOMException("The recording is too large.", "QuotaExceededError");
    this.#parts.push(blob);
    this.size += blob.size;
  }

  /**
   * @param {Format} format @param {FileSystemFileHandle | null} handle
   * @returns {Promise<Finished>}
   */
  finish(format, handle) {
    const blob = this.#parts && new Blob(this.#parts, { type: format.recorded });
    return this.#ask({ type: "finish", id: this.id, format, blob, handle });
  }

  close() {
    this.#worker.terminate();
  }

  /** @param {FileRequest} request @returns {Promise<any>} */
  #ask(request) {
    this.#requests += 1;
    const number = this.#requests;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#worker.postMessage({ ...request, request: number });
    });
  }
}

/** Keeps the description of a recording, for a later visit. @param {Meta} meta */
export async function describe(meta) {
  try {
    const handle = await (await folder()).getFileHandle(`${meta.id}.json`, { create: true });
    const writable = await handle.createWritable();
    await writable.write(JSON.stringify(meta));
    await writable.close();
  } catch (error) {
    console.warn(error); // the recording itself tells a full disk
  }
}

/** @param {string} id @param {string} extension */
export const fileOf = async (id, extension) => (await (await folder()).getFileHandle(`${id}.${extension}`)).getFile();

/** Removes all files of a recording. @param {string} id */
export async function removeFiles(id) {
  try {
    const directory = await folder();
    for await (const name of /** @type {any} */ (directory).keys()) {
      if (name.startsWith(`${id}.`)) await directory.removeEntry(name).catch(() => {});
    }
  } catch {
    // No private file system: nothing is there.
  }
}

/**
 * Returns the recordings of earlier visits, oldest first.
 * @returns {Promise<Meta[]>}
 */
export async function earlier() {
  /** @type {Meta[]} */
  const found = [];
  try {
    for await (const [name, handle] of /** @type {any} */ (await folder()).entries()) {
      if (!name.endsWith(".json")) continue;
      // A crash or a full disk can leave half a description.
      const meta = await handle.getFile().then((/** @type {File} */ file) => file.text()).then(JSON.parse).catch(() => null);
      if (meta) found.push(meta);
    }
  } catch (error) {
    console.warn(error);
  }
  return found.sort((a, b) => a.startedAt - b.startedAt);
}
