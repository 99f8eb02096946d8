/** Folder of the recordings in the origin's private file system, for the page and its workers. */

/** Largest recording in memory, where there is no private file system or no room in it. */
export const MEMORY_BYTES = 500_000_000;

export const folder = async () =>
  (await navigator.storage.getDirectory()).getDirectoryHandle("recordings", { create: true });
