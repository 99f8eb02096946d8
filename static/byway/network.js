/** When it is worth looking whether what we are connected to is still there. */

/**
 * Calls back when there is a network again, or another one, and when somebody looks at the page again: it may have slept.
 * Browsers tell of no change of address that leaves no gap.
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
}
