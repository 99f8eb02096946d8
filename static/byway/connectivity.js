/** Moments at which connections may have broken unnoticed. */

/**
 * Calls back when the network returns or changes, when the page becomes visible, and when the
 * machine has slept. No browser event reports a sleep.
 *
 * @param {() => void} check
 * @param {{ signal: AbortSignal }} options
 */
export function onConnectivityChange(check, { signal }) {
  addEventListener("online", check, { signal });
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && check(), { signal });
  // A move from Wi-Fi to mobile need not fire `online`. Browsers without this API leave it
  // undefined.
  const { connection } = /** @type {any} */ (navigator);
  let type = connection?.type;
  connection?.addEventListener("change", () => {
    if (connection.type === type) return; // only the estimated speed changed
    type = connection.type;
    check();
  }, { signal });
  // Timers stop while the machine sleeps, and the clock goes on. A timer that is late for another
  // reason costs one needless check.
  let before = Date.now();
  const ticking = setInterval(() => {
    const now = Date.now();
    if (now - before > ASLEEP_MS) check();
    before = now;
  }, TICK_MS);
  signal.addEventListener("abort", () => clearInterval(ticking));
}

const TICK_MS = 1_000;
/** Shorter sleeps do not break a path. */
const ASLEEP_MS = 4_000;
