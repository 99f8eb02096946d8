/**
 * For how long nothing came of what the other side sends, told apart from what the machine is to blame for: a second
 * connection between the same two pages carries the same, and where both are silent no path was lost.
 */

/**
 * Begins to watch one of a page's connections beside another one.
 *
 * @param {import("playwright-core").Page} page
 * @param {{ watched: number, beside: number }} numbers Which of `window.connections`.
 */
export const watchGaps = (page, numbers) => page.evaluate(watch, numbers);

/**
 * By how many milliseconds the watched connection was at most silent for longer than the other, of audio and of video.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<{ audio: number, video: number }>}
 */
export const longestGaps = (page) => page.evaluate(() => window.longestGaps);

/** Runs in the page, and looks often enough to tell a gap to 10 ms. */
function watch({ watched, beside }) {
  window.longestGaps = { audio: 0, video: 0 };
  const receivers = (number, kind) => window.connections[number].getReceivers().filter(({ track }) => track.kind === kind);
  const newest = (sources) => Math.max(0, ...sources.map(({ timestamp }) => timestamp));
  const listener = (number, kind) => {
    let [latest, since] = [0, performance.now()];
    return (now) => {
      const heard = newest(receivers(number, kind).flatMap((receiver) => receiver.getSynchronizationSources()));
      if (heard > latest) [latest, since] = [heard, now];
      return now - since;
    };
  };
  for (const kind of ["audio", "video"]) {
    const [ours, theirs] = [listener(watched, kind), listener(beside, kind)];
    setInterval(() => {
      const now = performance.now();
      const gap = Math.round(ours(now) - theirs(now));
      window.longestGaps[kind] = Math.max(window.longestGaps[kind], gap);
    }, 10);
  }
}
