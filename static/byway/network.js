/** What browsers tell of the network they are in. */

/**
 * Calls back when there is a network again, or another one. Browsers tell of no change of address that leaves no gap.
 *
 * @param {() => void} changed
 * @param {{ signal: AbortSignal }} context
 */
export function onNetworkChange(changed, { signal }) {
  addEventListener("online", changed, { signal });
  // From Wi-Fi to mobile there may be no moment without any. Where this is not known it stays undefined.
  const { connection } = /** @type {any} */ (navigator);
  let type = connection?.type;
  connection?.addEventListener("change", () => {
    if (connection.type === type) return; // a mere estimate of how fast it is
    type = connection.type;
    changed();
  }, { signal });
}
