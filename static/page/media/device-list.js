/** Lists of the cameras, microphones and speakers of this machine. */

/** @typedef {"camera" | "microphone" | "speaker"} ListKind */
/** @typedef {import("./device.js").Choice} Choice */
/** @typedef {Record<ListKind, Choice[]>} Lists */
/** @typedef {Choice & { kind: ListKind }} Listed */

/** @type {Record<string, ListKind>} */
const KIND_OF = { videoinput: "camera", audioinput: "microphone", audiooutput: "speaker" };

/** @type {ListKind[]} */
const KINDS = ["camera", "microphone", "speaker"];

/** Devices by kind. Their names are empty until the browser allows one device of the kind. */
export class DeviceList {
  /** @type {Lists} */
  lists = { camera: [], microphone: [], speaker: [] };
  /** Kinds whose devices the browser hides or does not name yet. @type {Set<ListKind>} */
  #unnamed = new Set(KINDS);

  /**
   * Reads the lists again.
   * @returns {Promise<{ added: Listed[], removed: Listed[] }>} Differences of named devices.
   *   Devices that only got their names are no difference.
   */
  async refresh() {
    const before = this.lists;
    const unnamedBefore = this.#unnamed;
    /** @type {Lists} */
    const now = { camera: [], microphone: [], speaker: [] };
    /** @type {Set<ListKind>} */
    const unnamed = new Set();
    const devices = await enumerate();
    if (!devices) return { added: [], removed: [] };
    for (const { kind, deviceId, label } of devices) {
      // Without permission, browsers report devices without an id or a name.
      if (deviceId) now[KIND_OF[kind]].push({ deviceId, label });
      if (!label) unnamed.add(KIND_OF[kind]);
    }
    this.lists = now;
    this.#unnamed = unnamed;
    const kinds = KINDS.filter((kind) => !unnamed.has(kind) && !unnamedBefore.has(kind));
    return {
      added: kinds.flatMap((kind) => difference(now, before, kind)),
      removed: kinds.flatMap((kind) => difference(before, now, kind)),
    };
  }

  /**
   * Finds a remembered device. Ids change when a person clears the data of a site, names do not.
   * @param {ListKind} kind @param {Choice | null} choice
   */
  find(kind, choice) {
    const list = this.lists[kind];
    if (!choice) return null;
    return list.find(({ deviceId }) => deviceId === choice.deviceId)
      ?? list.find(({ label }) => label && label === choice.label)
      ?? null;
  }
}

/** Time after which a list is not waited for. Firefox gives none while another window is in use. */
const PATIENCE_MS = 1000;

/** @returns {Promise<MediaDeviceInfo[] | null>} Null if the browser makes the page wait. */
async function enumerate() {
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  try {
    return /** @type {any} */ (await Promise.race([navigator.mediaDevices.enumerateDevices(), late]));
  } catch {
    return []; // an insecure page, or a browser that refuses
  }
}

/** Aliases of Chromium for devices that are in the list under their own id too. */
const isAlias = (/** @type {string} */ deviceId) => deviceId === "default" || deviceId === "communications";

/** @param {Lists} these @param {Lists} those @param {ListKind} kind */
function difference(these, those, kind) {
  const known = new Set(those[kind].map(({ deviceId }) => deviceId));
  return these[kind]
    .filter(({ deviceId }) => !known.has(deviceId) && !isAlias(deviceId))
    .map((choice) => ({ ...choice, kind }));
}
