/** When it is worth looking whether what we are connected to is still there. */

/**
 * Calls back when there is a network again, or another one, when somebody looks at the page again, and when the machine has
 * slept, of which browsers tell nothing. Nor do they of a change of address that leaves no gap.
 *
 * @param {() => void} look
 * @param {{ signal: AbortSignal }} context
 */
export function onAnotherLook(look, { signal }) {
  addEventListener("online", look, { signal });
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look(), { signal });
  // From Wi-Fi to mobile there may be no moment without any. Where this is not known it stays undefined.
  const { connection } = /** @type {any} */ (navigator);
  let type = connection?.type;
  connection?.addEventListener("change", () => {
    if (connection.type === type) return; // a mere estimate of how fast it is
    type = connection.type;
    look();
  }, { signal });
  // Timers stand still while the machine sleeps, and the clock goes on. Where a timer is late for another reason, or the
  // clock is set, to look was needless.
  let before = Date.now();
  const ticking = setInterval(() => {
    const now = Date.now();
    if (now - before > ASLEEP_MS) look();
    before = now;
  }, TICK_MS);
  signal.addEventListener("abort", () => clearInterval(ticking));
}

const TICK_MS = 1_000;
/** Shorter sleeps do not lose a path. */
const ASLEEP_MS = 4_000;
