/** The table of docs/faults.md, between two marks in that page. */
import { chownSync, readFileSync, statSync, writeFileSync } from "node:fs";

const PAGE = new URL("../../../docs/faults.md", import.meta.url);
const [BEGIN, END] = ["<!-- Written by tests/e2e/faults/all. -->", "<!-- The end of what was written. -->"];

/** Reporters, in the order of their columns. */
export const REPORTERS = /** @type {const} */ (["log", "doctor", "probe", "page"]);

/** @typedef {import("./cells.mjs").Cell} Cell */
/** @typedef {Record<typeof REPORTERS[number], Cell>} Cells */

/**
 * Puts the table into the page, which keeps its owner: the network needs root, the page does not.
 * @param {[import("./faults.mjs").Fault, Cells][]} results
 */
export function publish(results) {
  const page = readFileSync(PAGE, "utf8");
  const [before, rest] = page.split(BEGIN);
  const behind = rest?.split(END)[1];
  if (behind === undefined) throw new Error(`docs/faults.md lacks the marks ${BEGIN} and ${END}`);
  const rows = results.map(([fault, cells]) => `| ${leftOf(fault)} | ${textsOf(fault, cells).join(" | ")} |`);
  const count = (reporter) => results.filter(([, cells]) => cells[reporter].word === "named").length;
  const sums = REPORTERS.map((reporter) => `${count(reporter)} of ${results.length}`);
  const table = ["| fault | what was done | log | doctor | probe | page |", "|---|---|---|---|---|---|", ...rows, `| named in full | | ${sums.join(" | ")} |`];
  writeFileSync(PAGE, [before, BEGIN, "\n\n", table.join("\n"), "\n\n", END, behind].join(""));
  const { uid, gid } = statSync(new URL(".", PAGE));
  chownSync(PAGE, uid, gid);
}

/**
 * Texts of the cells in the page, by the first two columns of a row.
 * @returns {Map<string, string[]>}
 */
export function documented() {
  const [, written = ""] = readFileSync(PAGE, "utf8").split(BEGIN);
  const lines = written.split(END)[0].split("\n").filter((line) => line.startsWith("| ["));
  return new Map(lines.map((line) => {
    const [name, what, ...cells] = line.slice(2, -2).split(" | ");
    return [`${name} | ${what}`, cells];
  }));
}

/** @param {import("./faults.mjs").Fault} fault */
export const leftOf = ({ name, what }) => `[${name}](when-calls-fail.md#${name}) | ${what}`;

/** @param {import("./faults.mjs").Fault} fault @param {Cells} cells */
export const textsOf = (fault, cells) => REPORTERS.map((reporter) => {
  const { word, instead } = cells[reporter];
  const works = /** @type {Record<string, string | undefined>} */ (fault.works ?? {})[reporter];
  switch (word) {
    case "named": return "**named**";
    case "partly": return instead ? `seen as ${instead}` : "seen";
    case "closed": return `\`${instead}\``;
    case "works": return works ? `works: ${works}` : "works";
    default: return "–";
  }
});
