/** Every call of the matrix gets through, by the path it is to take. */
import { test } from "node:test";

import { withoutFirefox } from "../../browser/browsers.mjs";
import { makeCall } from "../call.mjs";
import { record } from "../results.mjs";

/**
 * @param {import("../lab.mjs").Lab} lab
 * @param {import("../matrix.mjs").Call[]} matrix
 * @param {{ relays?: ("byway" | "coturn")[], rounds?: number }} [options]
 */
export function calls(lab, matrix, { relays = ["byway"], rounds = 1 } = {}) {
  for (const call of matrix) {
    const { table, name, engine } = call;
    const skip = engine === "firefox" && withoutFirefox;
    // Round by round, so that what slows the machine down for a while slows down every relay; and each goes first in turn.
    for (let round = 1; round <= rounds; round += 1) {
      for (const relay of round % 2 ? relays : [...relays].reverse()) {
        const through = relays.length > 1 ? `, through ${relay}` : "";
        test(`${table}: ${name}${through}${inRound(round, rounds)}`, { skip }, async (scenario) => {
          const result = { table, scenario: name, relay };
          try {
            record({ ...result, ...(await makeCall(scenario, lab, call, relay)) });
          } catch (error) {
            if (relay === "byway") throw error;
            // It is our measure, not our product.
            scenario.diagnostic(`coturn: ${error.message}`);
            record({ ...result, path: "none", failure: error.message });
          }
        });
      }
    }
  }
}

/** For names of scenarios, where there are several. @param {number} round @param {number} rounds */
export const inRound = (round, rounds) => (rounds > 1 ? `, round ${round}` : "");
