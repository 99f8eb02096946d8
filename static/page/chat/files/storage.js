/**
 * Place of a received file: one that the person chooses, else the private storage of this origin,
 * else memory.
 */

import { randomId } from "../random-id.js";

/** @typedef {import("./worker.js").Destination} Destination */

/** Up to here a file is received into memory, so that to accept it is one press. */
const SMALL_BYTES = 16e6;
/** Largest file for a browser that can write none. */
export const MEMORY_BYTES = 500e6;

/** Folder of this page in the private storage. Its lock tells other pages that it is in use. */
const folder = randomId();
const lockOf = (/** @type {string} */ name) => `byway.files.${name}`;
/** @type {Promise<void> | null} */
let held = null;

/**
 * Chooses where to write a file. May open the browser's dialog, so call it in a click.
 * @param {{ name: string, size: number }} file
 * @returns {Promise<{ destination: Destination | null, refusal?: "too-large" | "no-room" }>} No
 *   destination without a refusal: the person closed the dialog.
 */
export async function chooseDestination({ name, size }) {
  if (size <= SMALL_BYTES) return { destination: { kind: "memory" } };
  const picked = await pick(name);
  if (picked !== undefined) return { destination: picked && { kind: "picked", handle: picked } };
  if (await hasPrivateStorage()) {
    const { quota = 0, usage = 0 } = await navigator.storage.estimate();
    if (quota - usage < size) return { destination: null, refusal: "no-room" };
    return { destination: { kind: "private", folder, name: randomId() } };
  }
  return size <= MEMORY_BYTES ? { destination: { kind: "memory" } } : { destination: null, refusal: "too-large" };
}

/**
 * Asks the person for a place.
 * @param {string} suggestedName
 * @returns {Promise<any>} A handle, null if the person closed the dialog, undefined without a
 *   dialog.
 */
async function pick(suggestedName) {
  const { showSaveFilePicker } = /** @type {any} */ (globalThis);
  if (!showSaveFilePicker) return undefined;
  try {
    return await showSaveFilePicker({ suggestedName });
  } catch (error) {
    // Other errors: the browser does not allow the dialog here.
    return /** @type {Error} */ (error).name === "AbortError" ? null : undefined;
  }
}

/** Whether the private storage can be used. In private windows of Firefox it cannot. */
async function hasPrivateStorage() {
  try {
    await navigator.storage.getDirectory();
    await holdLock();
    return true;
  } catch {
    return false;
  }
}

/** Holds the lock of the folder until the page is gone. */
function holdLock() {
  held ??= new Promise((resolve, reject) => {
    navigator.locks.request(lockOf(folder), () => (resolve(), new Promise(() => {}))).catch(reject);
  });
  return held;
}

/** Removes a file of this page. @param {Destination} destination */
export async function removePrivate(destination) {
  if (destination.kind !== "private") return;
  try {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("files");
    await (await root.getDirectoryHandle(folder)).removeEntry(destination.name);
  } catch {
    // It is gone already.
  }
}

/** Removes files that earlier pages left behind: those whose folder no page holds. */
export async function removeLeftovers() {
  try {
    const root = /** @type {any} */ (await (await navigator.storage.getDirectory()).getDirectoryHandle("files"));
    const { held: locks = [] } = await navigator.locks.query();
    const used = new Set(locks.map(({ name }) => name));
    for await (const name of root.keys()) {
      if (!used.has(lockOf(name))) await root.removeEntry(name, { recursive: true }).catch(() => {});
    }
  } catch {
    // No private storage, or nothing in it.
  }
}
