/** Remembered choices of devices, in the page's store. */

/** @typedef {{ get(key: string): any, set(key: string, value: any): void }} Remember */

/** Values by key, kept as JSON. A value that is not JSON counts as none. */
export class Preferences {
  /** @param {Remember} remember */
  constructor(remember) {
    this.remember = remember;
  }

  /**
   * @template T
   * @param {string} key @param {T} otherwise
   * @returns {T}
   */
  get(key, otherwise) {
    try {
      const kept = this.remember.get(key);
      const value = typeof kept === "string" ? JSON.parse(kept) : kept;
      return isLike(value, otherwise) ? value : otherwise;
    } catch {
      return otherwise;
    }
  }

  /** @param {string} key @param {unknown} value */
  set(key, value) {
    this.remember.set(key, JSON.stringify(value));
  }

  /** @param {string} key @returns {import("./device.js").Choice | null} */
  choice(key) {
    const { deviceId, label } = this.get(key, { deviceId: "", label: "" });
    return typeof deviceId === "string" && deviceId ? { deviceId, label: String(label ?? "") } : null;
  }
}

/** @param {unknown} value @param {unknown} otherwise */
function isLike(value, otherwise) {
  if (value === null || typeof value !== typeof otherwise) return false;
  if (typeof otherwise !== "object" || otherwise === null) return true;
  const kept = /** @type {Record<string, unknown>} */ (value);
  return Object.entries(otherwise).every(([name, wanted]) => typeof kept[name] === typeof wanted);
}
