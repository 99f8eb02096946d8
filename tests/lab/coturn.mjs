/** coturn, as a measure of what a relay can be expected to do. */

/** Starts it for as long as the scenario goes on. */
export async function startCoturn(scenario, { network, name, addresses, peers }) {
  throw new Error(`not yet: ${[scenario, network, name, addresses, peers].length}`);
}
