/** Figures of docs/operations.md: what the run measured, between two marks in that page. */
import { chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";

const PAGE = new URL("../../../docs/operations.md", import.meta.url);
const [BEGIN, END] = ["<!-- Measured by tests/e2e/vps/all. -->", "<!-- The end of what was measured. -->"];

/**
 * Longest times without media, without a place for new callers and without an answer over UDP, in
 * milliseconds.
 *
 * @typedef {{ media: number, callers: number, stun: number }} Gaps
 */

/** @typedef {{ commands: number, answers: number, seconds: number }} Installation */

/**
 * Puts the figures into the page, which keeps its owner: the network needs root, the page does not.
 *
 * @param {Installation} installation
 * @param {[string, Gaps][]} disturbances Each with what happened.
 */
export function publish(installation, disturbances) {
  const page = readFileSync(PAGE, "utf8");
  const [before, rest] = page.split(BEGIN);
  const behind = rest?.split(END)[1];
  if (behind === undefined) throw new Error(`docs/operations.md lacks the marks ${BEGIN} and ${END}`);
  writeFileSync(PAGE, [before, BEGIN, "\n\n", figures(installation, disturbances), "\n\n", END, behind].join(""));
  const { uid, gid } = statSync(new URL(".", PAGE));
  chownSync(PAGE, uid, gid);
}

/** @param {Installation} installation @param {[string, Gaps][]} disturbances */
function figures({ commands, answers, seconds }, disturbances) {
  const rows = disturbances.map(([what, { media, callers, stun }]) => `| ${what} | ${[media, callers, stun].map(time).join(" | ")} |`);
  return `From the package to a call: ${commands} commands, ${answers} answers, ${seconds.toFixed(0)} seconds.

| disturbance | call without media | new callers rejected | no STUN answer |
|---|---:|---:|---:|
${rows.join("\n")}

The server, both browsers and the network shared ${cpus().length} cores. Without a disturbance, the figures are the pauses between two
packets and between two questions.`;
}

/** To a tenth of a second, which is how often the service was asked. @param {number} ms */
const time = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** Disturbances with a row in the page. */
export function documented() {
  const [, measured = ""] = readFileSync(PAGE, "utf8").split(BEGIN);
  return [...measured.split(END)[0].matchAll(/^\| (.*?) \| [\d.]+ s /gm)].map(([, what]) => what);
}
