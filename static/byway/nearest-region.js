/** Region whose relay is nearest to this page, for servers that form a cluster. */

/**
 * Results by the URL that lists the regions, for the life of the page. Storage would outlive a move
 * to another network, and pages may need consent to use it.
 * @type {Map<string, Promise<string | undefined>>}
 */
const results = new Map();

/**
 * Returns the region whose server answers first. Undefined if the servers have fewer than two
 * regions, or if no result is there within the time that a `join` waits. The measurement then goes
 * on, and later calls return its result.
 * @param {string} url URL of the server's `/regions`.
 * @returns {Promise<string | undefined>}
 */
export function nearestRegion(url) {
  // A failed request measured nothing, so the next call asks again.
  if (!results.has(url)) results.set(url, measure(url).catch(() => void results.delete(url)));
  return Promise.race([results.get(url), new Promise((resolve) => setTimeout(resolve, WAIT_MS))]);
}

/** @param {string} url */
async function measure(url) {
  const { regions } = await (await fetch(url)).json();
  // Most servers are alone, so their pages do not load the race.
  return regions[1] && (await import("./region-race.js")).race(regions);
}

/** Longest time that `join` waits once the connection to the server is open. */
const WAIT_MS = 300;
