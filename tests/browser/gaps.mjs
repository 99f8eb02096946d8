/**
 * For how long nothing came of what the other side sends, told apart from what the machine is to blame for: a second
 * connection between the same two pages carries the same the same way, and time in which that is silent, too, does not count.
 */

/**
 * Begins to watch one of a page's connections beside another one.
 *
 * @param {import("playwright-core").Page} page
 * @param {{ watched: number, beside: number }} numbers Which of `window.connections`.
 */
export const watchGaps = (page, numbers) => page.evaluate(watch, numbers);

/**
 * For how many milliseconds at most each of the two was silent alone, and until when, by `performance.now()`: how long the
 * machine makes either wait is what the other one shows. Where a path is lost, neither sound nor pictures come.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<Record<"watched" | "beside", { ms: number, until: number }>>}
 */
export const longestGaps = (page) => page.evaluate(() => window.longestGaps);

/** Runs in the page, and looks often enough to tell a gap to 10 ms. */
function watch({ watched, beside }) {
  /** A packet of sound comes every 20 ms. */
  const OVERDUE_MS = 100;
  const listener = (number) => {
    const receivers = window.connections[number].getReceivers();
    let latest = 0;
    return () => {
      const before = latest;
      const sources = receivers.flatMap((receiver) => receiver.getSynchronizationSources());
      latest = Math.max(before, ...sources.map(({ timestamp }) => timestamp));
      return latest > before;
    };
  };
  let last = performance.now();
  const two = [watched, beside].map((number) => ({ hears: listener(number), heardAt: last, gap: 0, longest: { ms: 0, until: 0 } }));
  window.longestGaps = {};
  setInterval(() => {
    const now = performance.now();
    for (const one of two) {
      if (!one.hears()) continue;
      one.heardAt = now;
      one.gap = 0;
    }
    for (const [one, other] of [two, [...two].reverse()]) {
      if (one.heardAt < now && now - other.heardAt < OVERDUE_MS) one.gap += now - last;
      if (one.gap > one.longest.ms) one.longest = { ms: Math.round(one.gap), until: Math.round(now) };
    }
    window.longestGaps = { watched: two[0].longest, beside: two[1].longest };
    last = now;
  }, 10);
}
