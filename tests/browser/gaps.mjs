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
 * For how many milliseconds at most the watched connection alone was silent, of audio and of video, and when that was by
 * `performance.now()`.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<Record<"audio" | "video", { ms: number, at: number }>>}
 */
export const longestGaps = (page) => page.evaluate(() => window.longestGaps);

/** Runs in the page, and looks often enough to tell a gap to 10 ms. */
function watch({ watched, beside }) {
  /** A packet of sound comes every 20 ms, a picture every 100. By then they would have come, even on a busy machine. */
  const overdue = { audio: 100, video: 250 };
  window.longestGaps = {};
  const listener = (number, kind) => {
    const [receiver] = window.connections[number].getReceivers().filter(({ track }) => track.kind === kind);
    let latest = 0;
    return () => {
      const before = latest;
      latest = Math.max(before, ...receiver.getSynchronizationSources().map(({ timestamp }) => timestamp));
      return latest > before;
    };
  };
  for (const kind of ["audio", "video"]) {
    const [hearsOurs, hearsTheirs] = [listener(watched, kind), listener(beside, kind)];
    let [last, theirs, gap] = [performance.now(), performance.now(), 0];
    window.longestGaps[kind] = { ms: 0, at: 0 };
    setInterval(() => {
      const now = performance.now();
      if (hearsTheirs()) theirs = now;
      if (hearsOurs()) gap = 0;
      else if (now - theirs < overdue[kind]) gap += now - last;
      if (gap > window.longestGaps[kind].ms) window.longestGaps[kind] = { ms: Math.round(gap), at: Math.round(now) };
      last = now;
    }, 10);
  }
}
