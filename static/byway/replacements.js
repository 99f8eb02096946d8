/**
 * Limit of the connections that a peer replaces. Browsers allow a page a few hundred connections,
 * and free closed ones late. A hostile peer must not use them up.
 */

/**
 * Returns a function that says whether the peer may replace its connection now: several times in a
 * row, and then once in a while.
 * @returns {() => boolean}
 */
export function limitReplacements() {
  let left = BURST;
  let at = performance.now();
  return () => {
    const now = performance.now();
    left = Math.min(BURST, left + (now - at) / INTERVAL_MS);
    at = now;
    if (left < 1) return false;
    left -= 1;
    return true;
  };
}

/** More than a person makes by a switch, and than an outage does. */
const BURST = 20;
const INTERVAL_MS = 2_000;
