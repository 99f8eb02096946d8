/**
 * Worker of one recording's file. Writes what the browser records at once into the origin's private
 * file system, so that a crash loses no more than the last second. At the end mediabunny makes the
 * final file of it, with an index and a duration, or of another format.
 */

import { MEMORY_BYTES, folder } from "./folder.js";

/** @typedef {import("./formats.js").Format} Format */
/** @typedef {import("../../../vendor/mediabunny/mediabunny.js").BufferTarget} BufferTarget */
/** @typedef {import("../../../vendor/mediabunny/mediabunny.js").StreamTarget} StreamTarget */

/**
 * Requests to the worker. `write`: `blob` goes to the end of the file. `finish`: `blob` is the
 * recording, if it is in memory; `handle` is a file that the person chose.
 * @typedef {{ type: "open", id: string }
 *   | { type: "write", blob: Blob }
 *   | { type: "prepare" }
 *   | { type: "finish", id: string, format: Format, blob: Blob | null,
 *       handle: FileSystemFileHandle | null }} FileRequest
 */

/**
 * Result of `finish`. `blob` if the file is in memory. `trouble`: name of the error that kept the
 * file from its place.
 * @typedef {{ place: "chosen" | "disk" | "memory" | "raw", duration: number | null,
 *   blob: Blob | null, trouble: string | null }} Finished
 */

/** Bytes of a write of the final file. */
const CHUNK_BYTES = 1 << 20;
/** Bits a second of sound that is encoded again. */
const AUDIO_BITRATE = 128_000;

/** @type {any} */
let raw = null;
let size = 0;
/** @type {Promise<typeof import("../../../vendor/mediabunny/mediabunny.js")> | null} */
let library = null;

const loadLibrary = () => (library ??= import("../../../vendor/mediabunny/mediabunny.js"));

/** Requests run one after the other. */
let queue = Promise.resolve();

/** @param {MessageEvent<FileRequest & { request: number }>} event */
self.onmessage = ({ data }) => {
  queue = queue.then(async () => {
    try {
      self.postMessage({ request: data.request, result: await answer(data) });
    } catch (error) {
      const { name, message } = /** @type {Error} */ (error);
      self.postMessage({ request: data.request, error: { name, message } });
    }
  });
};

/** @param {FileRequest} request */
function answer(request) {
  if (request.type === "open") return open(request.id);
  if (request.type === "write") return write(request.blob);
  if (request.type === "prepare") return loadLibrary().then(() => null);
  return finish(request);
}

/** Opens a file that no other tab has open. @param {string} name @returns {Promise<any>} */
async function access(name) {
  const file = /** @type {any} */ (await (await folder()).getFileHandle(name, { create: true }));
  return file.createSyncAccessHandle();
}

/** @param {string} id */
async function open(id) {
  raw = await access(`${id}.raw`);
  size = raw.getSize();
  return size;
}

/** @param {Blob} blob */
async function write(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  writeAll(raw, bytes, size);
  raw.flush();
  size += bytes.length;
  return size;
}

/** @param {any} handle @param {Uint8Array} bytes @param {number} position */
function writeAll(handle, bytes, position) {
  if (handle.write(bytes, { at: position }) < bytes.length) throw new DOMException("No space is left.", "QuotaExceededError");
}

/**
 * @param {Extract<FileRequest, { type: "finish" }>} request
 * @returns {Promise<Finished>}
 */
async function finish({ id, format, blob, handle }) {
  raw?.close();
  raw = null;
  const source = blob ?? (await (await (await folder()).getFileHandle(`${id}.raw`)).getFile());
  if (source.size === 0) throw new DOMException("Nothing was recorded.", "NotFoundError");
  /** @type {string | null} */
  let trouble = null;
  const places = [
    ...(handle ? [() => intoChosen(source, format, handle)] : []),
    ...(blob ? [] : [() => intoDisk(source, format, id)]),
    ...(source.size <= MEMORY_BYTES ? [() => intoMemory(source, format)] : []),
  ];
  for (const make of places) {
    try {
      return { ...(await make()), trouble };
    } catch (error) {
      trouble ??= /** @type {Error} */ (error).name;
    }
  }
  return { place: "raw", duration: null, blob, trouble };
}

/** @param {Blob} source @param {Format} format @param {FileSystemFileHandle} handle */
async function intoChosen(source, format, handle) {
  const writable = await handle.createWritable();
  try {
    const sink = new WritableStream({ write: ({ data, position }) => writable.write({ type: "write", data, position }) });
    await convert(source, format, await streamTarget(sink));
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => {});
    throw error;
  }
  return { place: /** @type {const} */ ("chosen"), duration: await durationOf(await handle.getFile()), blob: null };
}

/** @param {Blob} source @param {Format} format @param {string} id */
async function intoDisk(source, format, id) {
  const name = `${id}.${format.extension}`;
  const target = await access(name);
  try {
    target.truncate(0);
    const sink = new WritableStream({ write: ({ data, position }) => writeAll(target, data, position) });
    await convert(source, format, await streamTarget(sink));
    target.flush();
  } catch (error) {
    target.close();
    await (await folder()).removeEntry(name).catch(() => {});
    throw error;
  }
  target.close();
  const file = await (await folder()).getFileHandle(name);
  const duration = await durationOf(await file.getFile());
  await (await folder()).removeEntry(`${id}.raw`);
  return { place: /** @type {const} */ ("disk"), duration, blob: null };
}

/** @param {Blob} source @param {Format} format */
async function intoMemory(source, format) {
  const target = new (await loadLibrary()).BufferTarget();
  await convert(source, format, target);
  const blob = new Blob([/** @type {ArrayBuffer} */ (target.buffer)], { type: format.type });
  return { place: /** @type {const} */ ("memory"), duration: await durationOf(blob), blob };
}

/** @param {WritableStream} sink */
async function streamTarget(sink) {
  const { StreamTarget } = await loadLibrary();
  return new StreamTarget(sink, { chunked: true, chunkSize: CHUNK_BYTES });
}

/**
 * Copies what fits the format, and encodes the rest.
 * @param {Blob} source
 * @param {Format} format
 * @param {StreamTarget | BufferTarget} target
 */
async function convert(source, format, target) {
  const { ALL_FORMATS, BlobSource, Conversion, Input, Output } = await loadLibrary();
  const input = new Input({ source: new BlobSource(source), formats: ALL_FORMATS });
  try {
    const conversion = await Conversion.init({
      input,
      output: new Output({ format: await outputFormat(format), target }),
      video: format.videoCodec ? { codec: format.videoCodec } : { discard: true },
      audio: format.audioCodec?.startsWith("pcm") ? { codec: format.audioCodec } : { codec: format.audioCodec ?? "opus", bitrate: AUDIO_BITRATE },
      copy: { shiftTolerance: Infinity },
      showWarnings: false,
    });
    const lost = conversion.discardedTracks.filter(({ reason }) => reason !== "discarded_by_user");
    if (!conversion.isValid || lost.length) throw new DOMException(lost.map(({ reason }) => reason).join() || "invalid", "EncodingError");
    conversion.onProgress = (progress) => self.postMessage({ progress });
    await conversion.execute();
  } finally {
    input.dispose();
  }
}

/** @param {Format} format */
async function outputFormat({ extension }) {
  const { MkvOutputFormat, Mp4OutputFormat, OggOutputFormat, WavOutputFormat, WebMOutputFormat } = await loadLibrary();
  if (extension === "mkv") return new MkvOutputFormat();
  if (extension === "ogg") return new OggOutputFormat();
  if (extension === "wav") return new WavOutputFormat();
  // With the index at the end, the file is written as it is made.
  if (extension === "mp4" || extension === "m4a") return new Mp4OutputFormat({ fastStart: false });
  return new WebMOutputFormat();
}

/** @param {Blob} file */
async function durationOf(file) {
  const { ALL_FORMATS, BlobSource, Input } = await loadLibrary();
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  try {
    return await input.computeDuration();
  } finally {
    input.dispose();
  }
}
