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
 * For how many milliseconds at most the watched connection alone was silent, and until when, by `performance.now()`. A busy
 * machine keeps sound or pictures waiting; where a path is lost, neither comes.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<{ ms: number, until: number }>}
 */
export const longestGap = (page) => page.evaluate(() => window.longestGap);

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
  const [hearsOurs, hearsTheirs] = [listener(watched), listener(beside)];
  let [last, theirs, gap] = [performance.now(), performance.now(), 0];
  window.longestGap = { ms: 0, until: 0 };
  setInterval(() => {
    const now = performance.now();
    if (hearsTheirs()) theirs = now;
    if (hearsOurs()) gap = 0;
    else if (now - theirs < OVERDUE_MS) gap += now - last;
    if (gap > window.longestGap.ms) window.longestGap = { ms: Math.round(gap), until: Math.round(now) };
    last = now;
  }, 10);
}
