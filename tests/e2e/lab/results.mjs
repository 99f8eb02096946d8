/**
 * Results of scenarios, collected for docs/nat-results.md.
 */
import { chownSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";

import { versions } from "./programs.mjs";
import { report } from "./report.mjs";

const PAGE = new URL("../../../docs/nat-results.md", import.meta.url);

/**
 * One run of a scenario. Several of the same scenario and relay are summed up by their medians.
 *
 * @typedef {object} Result
 * @property {string} table The heading under which it stands.
 * @property {string} scenario
 * @property {Relay} relay
 * @property {string} path How the packets went, such as "direct" or "relayed over TLS"; or why
 *   there was no way.
 * @property {number} [connectMs] From the first connection's making until both ends called it
 *   connected.
 * @property {number} [gapMs] The longest time in which one of them received no media at all.
 * @property {string} [failure] What went wrong.
 */

/** Relay that was used, or would have been. @typedef {"byway" | "coturn"} Relay */

/** @type {Result[]} */
const results = [];

/** @param {Result} result */
export function record(result) {
  results.push(result);
}

/** Writes the page with the owner of its folder: networks need root, the page does not. */
export function publish() {
  writeFileSync(PAGE, report(results, { versions: versions(), cores: cpus().length }));
  const { uid, gid } = statSync(new URL(".", PAGE));
  chownSync(PAGE, uid, gid);
}
