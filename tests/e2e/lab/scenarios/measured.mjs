/** Scenarios whose outcome stands in docs/nat-results.md. */
import { test } from "node:test";

import { record } from "../results.mjs";

/** @typedef {import("../results.mjs").Relay} Relay */
/**
 * Outcome. @typedef {Pick<import("../results.mjs").Result, "path" | "connectMs" | "gapMs">
 * & { scenario?: string }} Outcome
 */

/**
 * A scenario with each relay, in several rounds. What fails with coturn is told, and not held
 * against us: it is our measure.
 *
 * @param {object} what
 * @param {string} what.table
 * @param {string} what.name
 * @param {Relay[]} [what.relays]
 * @param {number} [what.rounds]
 * @param {string | false} [what.skip]
 * @param {(scenario: import("node:test").TestContext, relay: Relay) => Promise<Outcome |
 *   Outcome[]>} run Several outcomes are of scenarios within it, each with a name of its own.
 */
export function measured({ table, name, relays = ["byway"], rounds = 1, skip = false }, run) {
  // Round by round, so that what slows the machine down for a while slows down every relay; and
  // each goes first in turn.
  for (let round = 1; round <= rounds; round += 1) {
    for (const relay of round % 2 ? relays : [...relays].reverse()) {
      const through = relays.length > 1 ? `, through ${relay}` : "";
      const title = `${table}: ${name}${through}${rounds > 1 ? `, round ${round}` : ""}`;
      test(title, { skip }, async (scenario) => {
        try {
          for (const outcome of [await run(scenario, relay)].flat()) {
            record({ table, scenario: name, relay, ...outcome });
            scenario.diagnostic(inWords(outcome));
          }
        } catch (error) {
          record({ table, scenario: name, relay, path: "none", failure: error.message });
          if (relay === "byway") throw error;
          scenario.skip(`coturn: ${error.message}`);
        }
      });
    }
  }
}

/** @param {Outcome} outcome */
function inWords({ scenario, path, connectMs, gapMs }) {
  const connected = connectMs !== undefined && `connected in ${connectMs} ms`;
  const gap = gapMs !== undefined && `longest gap ${gapMs} ms`;
  return [scenario, path, connected, gap].filter(Boolean).join(", ");
}
