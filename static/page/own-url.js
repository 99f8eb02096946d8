/**
 * Addresses of the page's own scripts, for workers. Browsers that enforce Trusted Types refuse a
 * plain string there. A worker has a policy of its own: this module works in both.
 */

const ROOT = new URL("../", import.meta.url);
/** Folders that scripts may come from. */
const FOLDERS = ["page/", "vendor/"];

/** @typedef {{ createScriptURL: (url: string) => string }} Policy */

/** @type {{ createPolicy: (name: string, rules: Policy) => Policy } | undefined} */
const trustedTypes = /** @type {any} */ (globalThis).trustedTypes;

/** @type {Policy} */
const rules = {
  createScriptURL: (url) => {
    const { href } = new URL(url, ROOT);
    if (!FOLDERS.some((folder) => href.startsWith(ROOT.href + folder))) throw new TypeError(`not a script of this page: ${href}`);
    return href;
  },
};

const policy = trustedTypes?.createPolicy("byway", rules) ?? rules;

/**
 * Returns the address of a script, for `new Worker` and `importScripts`.
 * @param {string} path Path from the page's folder, such as `page/panels/gif/worker.js`.
 * @returns {string} In truth a TrustedScriptURL, where the browser has such.
 */
export const ownUrl = (path) => policy.createScriptURL(path);
