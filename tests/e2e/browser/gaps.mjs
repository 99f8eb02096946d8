/**
 * For how long nothing came of what the other side sends, told apart from what the machine is to
 * blame for: a second connection between the same two pages carries the same the same way, and time
 * in which that is silent, too, does not count.
 */

/**
 * Begins to watch one of a page's connections beside another one.
 *
 * @param {import("playwright-core").Page} page
 * @param {{ watched: number, beside: number }} numbers Which of `window.connections`.
 */
export const watchGaps = (page, numbers) => page.evaluate(watch, numbers);

/**
 * Every time that one of the two was silent alone for longer than what is merely late: for how many
 * milliseconds, and until when, by `performance.now()`. How long the machine makes either wait is
 * what the other one shows. Where a path is lost, neither sound nor pictures come.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<Record<"watched" | "beside", { ms: number, until: number }[]>>}
 */
export const gapsOf = (page) => page.evaluate(() => window.gaps);

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
  const two = [watched, beside].map((number) => ({ hears: listener(number), heardAt: last, gap: 0, open: null, gaps: [] }));
  window.gaps = { watched: two[0].gaps, beside: two[1].gaps };
  setInterval(() => {
    const now = performance.now();
    for (const one of two) {
      if (!one.hears()) continue;
      Object.assign(one, { heardAt: now, gap: 0, open: null });
    }
    for (const [one, other] of [two, [...two].reverse()]) {
      if (one.heardAt < now && now - other.heardAt < OVERDUE_MS) one.gap += now - last;
      if (one.gap <= OVERDUE_MS) continue;
      if (!one.open) one.gaps.push((one.open = {}));
      Object.assign(one.open, { ms: Math.round(one.gap), until: Math.round(now) });
    }
    last = now;
  }, 10);
}
