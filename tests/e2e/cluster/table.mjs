/** The fault table of docs/cluster.md, between two marks in that page. */
import { chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";

const PAGE = new URL("../../../docs/cluster.md", import.meta.url);
const [BEGIN, END] = ["<!-- Written by tests/e2e/cluster/all. -->", "<!-- The end of what was written. -->"];

/**
 * Result of one fault. Times are milliseconds; those of `signal`, `admitted` and `met` count from
 * the begin of the fault, or from its end if they came after it.
 *
 * @typedef {object} Result
 * @property {import("./callers.mjs").Seen[]} seen
 * @property {number} gapMs
 * @property {Time} signal
 * @property {Time} admitted
 * @property {Time} met
 * @property {string} home Node of the third.
 */

/** @typedef {{ ms: number, afterEnd: boolean }} Time */

/**
 * Puts the table into the page, which keeps its owner: the network needs root, the page does not.
 * @param {[import("./faults.mjs").Fault, Result][]} results
 */
export function publish(results) {
  const page = readFileSync(PAGE, "utf8");
  const [before, rest] = page.split(BEGIN);
  const behind = rest?.split(END)[1];
  if (behind === undefined) throw new Error(`docs/cluster.md lacks the marks ${BEGIN} and ${END}`);
  writeFileSync(PAGE, [before, BEGIN, "\n\n", table(results), "\n\n", END, behind].join(""));
  const { uid, gid } = statSync(new URL(".", PAGE));
  chownSync(PAGE, uid, gid);
}

/** @param {[import("./faults.mjs").Fault, Result][]} results */
function table(results) {
  const rows = results.map(([fault, result]) => `| ${[fault.what, ...cells(result), linked(fault.elsewhere)].join(" | ")} |`);
  return `| fault | what the two callers saw | longest gap | a new offer and its answer | a third person | reported of other servers |
|---|---|---:|---|---|---|
${rows.join("\n")}

Nodes, broker, browsers and network shared ${cpus().length} cores.`;
}

/** Cells of a result. @param {Result} result */
export function cells({ seen, gapMs, signal, admitted, met, home }) {
  const third = admitted.afterEnd === met.afterEnd && met.ms - admitted.ms < 10_000
    ? `joined by ${home}, heard both ${time(met)}`
    : `joined by ${home} ${time(admitted)}, heard both ${time(met)}`;
  return [caller(seen), seconds(gapMs), time(signal), third];
}

/** @param {import("./callers.mjs").Seen[]} seen */
function caller(seen) {
  const said = [...new Set(seen.flatMap(({ said }) => said))].map((text) => `“${text}”`).join(" ");
  const same = seen.every(({ same }) => same) ? "the same call" : "joined again";
  const left = seen.some(({ left }) => left.length) ? "; told that the other left" : "";
  return `${same}${left}${said ? `. ${said}` : ", nothing said"}`;
}

/** @param {Time} time */
const time = ({ ms, afterEnd }) => `${seconds(ms)} ${afterEnd ? "after its end" : "after its begin"}`;

/** @param {number} ms */
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** References as links. @param {string} text */
const linked = (text) => text.replace(/([\w-]+\/[\w-]+)#(\d+)/g, "[$&](https://github.com/$1/issues/$2)") || "–";

/** Faults with a row in the page. */
export function documented() {
  const [, written = ""] = readFileSync(PAGE, "utf8").split(BEGIN);
  const lines = written.split(END)[0].split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| fault |"));
  return lines.map((line) => line.slice(2).split(" | ")[0]);
}
