/** For how long nothing came of what the other side sends. */

/** Begins to watch what pages receive. @param {import("playwright-core").Page[]} pages */
export const watchMedia = (...pages) => Promise.all(pages.map((page) => page.evaluate(watch)));

/**
 * The longest time since then in which one of them received no media at all, in milliseconds.
 * @param {import("playwright-core").Page[]} pages
 */
export async function longestGap(...pages) {
  const gaps = await Promise.all(pages.map((page) => page.evaluate(() => window.media.longestGap())));
  return Math.round(Math.max(...gaps));
}

/** Runs in the page, and looks often enough to tell a gap to 10 ms. */
function watch() {
  let [newest, since, longest] = [0, performance.now(), 0];
  const look = () => {
    const sources = window.connections.flatMap((connection) => connection.getReceivers()).flatMap((receiver) => receiver.getSynchronizationSources());
    const latest = Math.max(newest, ...sources.map(({ timestamp }) => timestamp));
    const now = performance.now();
    longest = Math.max(longest, now - since);
    if (latest > newest) [newest, since] = [latest, now];
  };
  window.media = { longestGap: () => (look(), longest) };
  setInterval(look, 10);
}
