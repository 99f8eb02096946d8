/**
 * Settings that this browser remembers. Storage may be full or forbidden: then they last as long as
 * the page.
 */

const PREFIX = "byway.";

/** @param {() => Storage} storage */
function memory(storage) {
  /** @type {Map<string, string | null>} */
  const unsaved = new Map();
  return {
    /** @param {string} key @returns {string | null} */
    get(key) {
      if (unsaved.has(key)) return unsaved.get(key) ?? null;
      try {
        return storage().getItem(PREFIX + key);
      } catch {
        return null;
      }
    },
    /** @param {string} key @param {string | null} value Null forgets it. */
    set(key, value) {
      try {
        if (value === null) storage().removeItem(PREFIX + key);
        else storage().setItem(PREFIX + key, value);
        unsaved.delete(key);
      } catch {
        unsaved.set(key, value);
      }
    },
  };
}

/** Settings of this browser, such as the name and the chosen devices. */
export const remember = memory(() => localStorage);

/** State of this tab that survives a reload. */
export const rememberInTab = memory(() => sessionStorage);
