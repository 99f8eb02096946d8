/** Every call of the matrix gets through, by the path it is to take. */
import { withoutFirefox } from "../../browser/browsers.mjs";
import { makeCall } from "../call.mjs";
import { measured } from "./measured.mjs";

/**
 * @param {import("../lab.mjs").Lab} lab
 * @param {import("../matrix.mjs").Call[]} matrix
 * @param {{ relays?: import("../results.mjs").Relay[], rounds?: number }} [options]
 */
export function calls(lab, matrix, options) {
  for (const call of matrix) {
    const { table, name, engine } = call;
    const skip = engine === "firefox" && withoutFirefox;
    measured({ table, name, skip, ...options }, (scenario, relay) => makeCall(scenario, lab, call, relay));
  }
}
