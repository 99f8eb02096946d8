/**
 * Messages of file transfers. Over the channel `byway.files`, JSON with one of:
 *
 * - `{ hello: "new" | "reply", key, proofs }`: greeting after each new connection. Who is greeted
 *   repeats what may have been lost: offers, and requests for what is missing. `identity.js` has
 *   the key and the proofs.
 * - `{ offer: ID, name, size }`: the sender offers a file.
 * - `{ accept: ID, round, at }`: the receiver asks for all bytes from `at` on. Each request has a
 *   higher round, and ends the earlier one.
 * - `{ have: ID, at }`: the receiver has written this many bytes. The sender keeps a distance to
 *   it, so that a slow receiver need not buffer.
 * - `{ cancel: ID, why }`: either end gives up.
 * - `{ done: ID }`: the receiver has all bytes, and their SHA-256 is right.
 *
 * Over the channel `byway.file.ID`, from the sender: frames with a header of 12 bytes (round as
 * 32 bits, offset as 64-bit floating point, big-endian), then `{ end: SHA256, round }` as text.
 */

export const CONTROL = "byway.files";
/** @param {string} id */
export const dataLabel = (id) => `byway.file.${id}`;

export const HEADER_BYTES = 12;
/** Bytes of a frame with its header, if the other browser takes them. */
export const FRAME_BYTES = 64 * 1024;
/** Bytes that are read at once. */
export const BLOCK_BYTES = 1024 * 1024;
/** Bytes that a sender may be ahead of what the receiver has written. */
export const WINDOW_BYTES = 16 * 1024 * 1024;
/** Bytes that a receiver holds before they are written. An honest sender stays far below. */
export const MAX_UNWRITTEN = 4 * WINDOW_BYTES;
/** Transfers from one person at the same time. Each takes a channel, and there are 64. */
export const MAX_ACTIVE = 4;
/** Offers of one person that wait for an answer or run. */
export const MAX_OPEN = 50;
/** Largest file. Beyond it offsets would still be exact, but nobody waits that long. */
const MAX_SIZE = 2 ** 44;
/** Longest control message that is read. */
const MAX_LENGTH = 16_000;
const MAX_END_LENGTH = 200;
const ID = /^[\w-]{22}$/;
/** Proofs that are read. */
export const MAX_PROOFS = 16;

/** Reasons to give up that the other page may tell. */
const REASONS = ["cancelled", "declined", "unreadable", "mismatch", "storage", "garbage", "unknown", "busy"];

/**
 * A checked message.
 * @typedef {{ kind: "hello", isReply: boolean, key: string, proofs: string[] }
 *   | { kind: "offer", id: string, name: string, size: number }
 *   | { kind: "accept", id: string, round: number, at: number }
 *   | { kind: "have", id: string, at: number }
 *   | { kind: "cancel", id: string, why: string }
 *   | { kind: "done", id: string }} Message
 */

/** @param {unknown} value @param {number} max @returns {value is number} */
const isCount = (value, max) => Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0 && /** @type {number} */ (value) <= max;
/** @param {unknown} value @returns {value is string} */
const isId = (value) => typeof value === "string" && ID.test(value);
/** @param {unknown} value @returns {value is string} */
const isHash = (value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
/** @param {unknown} value */
const hashesOf = (value) => (Array.isArray(value) ? value.slice(0, MAX_PROOFS).filter(isHash) : []);

/**
 * Checks a control message.
 * @param {unknown} data Anything: the other page may be hostile.
 * @returns {Message | null} Null if it is none.
 */
export function parseMessage(data) {
  const message = parseObject(data, MAX_LENGTH);
  if (!message) return null;
  const { hello, key, proofs, offer, name, size, accept, round, have, at, cancel, why, done } = message;
  if (hello !== undefined) return { kind: "hello", isReply: hello === "reply", key: isId(key) ? key : "", proofs: hashesOf(proofs) };
  if (isId(offer)) return typeof name === "string" && isCount(size, MAX_SIZE) ? { kind: "offer", id: offer, name, size } : null;
  if (isId(accept)) return isCount(round, 2 ** 32 - 1) && isCount(at, MAX_SIZE) ? { kind: "accept", id: accept, round, at } : null;
  if (isId(have)) return isCount(at, MAX_SIZE) ? { kind: "have", id: have, at } : null;
  if (isId(cancel)) return { kind: "cancel", id: cancel, why: typeof why === "string" && REASONS.includes(why) ? why : "cancelled" };
  return isId(done) ? { kind: "done", id: done } : null;
}

/**
 * Checks the text at the end of the data.
 * @param {string} data
 * @returns {{ end: string, round: number } | null}
 */
export function parseEnd(data) {
  const message = parseObject(data, MAX_END_LENGTH);
  const { end, round } = message ?? {};
  return isHash(end) && isCount(round, 2 ** 32 - 1) ? { end, round } : null;
}

/** @param {unknown} data @param {number} maxLength @returns {Record<string, unknown> | null} */
function parseObject(data, maxLength) {
  if (typeof data !== "string" || data.length > maxLength) return null;
  try {
    const parsed = JSON.parse(data);
    return typeof parsed === "object" && parsed !== null ? parsed : null;
  } catch {
    return null; // not of a Byway page
  }
}

/** @param {{ round: number, offset: number }} header @param {Uint8Array} payload */
export function makeFrame({ round, offset }, payload) {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, round);
  view.setFloat64(4, offset);
  frame.set(payload, HEADER_BYTES);
  return frame.buffer;
}

/**
 * Reads the header of a frame.
 * @param {unknown} data
 * @returns {{ round: number, offset: number, length: number } | null}
 */
export function readFrame(data) {
  if (!(data instanceof ArrayBuffer) || data.byteLength <= HEADER_BYTES) return null;
  const view = new DataView(data);
  return { round: view.getUint32(0), offset: view.getFloat64(4), length: data.byteLength - HEADER_BYTES };
}
