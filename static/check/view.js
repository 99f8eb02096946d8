/** The document: findings, rows of tables, and the verdict. */

import { byId, element } from "../page/dom.js";
import { gradeOf, isUnknownName } from "./judge.js";
import { addressOf } from "./urls.js";
import { has, say } from "./words.js";

/** @typedef {import("./finding.js").Finding} Finding */
/** @typedef {import("./urls.js").Row} Row */
/** @typedef {import("./loop.js").Seen} Seen */
/** @typedef {import("./relay.js").Measured} Measured */

/** Findings in the order in which a person should read them. */
const ORDER = ["failed", "warning", "skipped", "ok"];
const MARKS = { ok: "✓", warning: "!", failed: "✕", skipped: "–", running: "…" };

/** Empties the page for a new run. */
export function clear() {
  for (const id of ["findings", "urls", "loops", "candidates"]) byId(id).replaceChildren();
  byId("no-urls").hidden = true;
  byId("check").dataset.state = "running";
  delete byId("check").dataset.verdict;
  byId("verdict").textContent = say("verdict.running");
  for (const id of ["again", "copy-text", "copy-json"]) byId(id).disabled = true;
  byId("copied").textContent = "";
}

/** @param {import("./finding.js").Verdict} verdict */
export function finish(verdict) {
  byId("check").dataset.verdict = verdict;
  byId("verdict").textContent = say(`verdict.${verdict}`);
  byId("check").dataset.state = "done";
  for (const id of ["again", "copy-text", "copy-json"]) byId(id).disabled = false;
}

/** Mark of a state, with its word for screen readers. @param {keyof typeof MARKS} state */
const markOf = (state) =>
  element("span", { class: "mark", role: "img", "aria-label": say(`state.${state}`), text: MARKS[state] });

/** Shows all findings, the worst first. @param {Finding[]} findings */
export function showFindings(findings) {
  const sorted = [...findings].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
  byId("findings").replaceChildren(...sorted.map(itemOf));
}

/** @param {Finding} finding */
function itemOf({ check, state, reason, fault, values, evidence }) {
  const isGood = state === "ok" || (state === "skipped" && !fault);
  const remedies = isGood ? [] : ["visitor", "operator"].map((who) =>
    element("p", { class: `remedy ${who}` }, element("b", { text: say(`findings.${who}`) }), ...withCommands(say(remedyKey(who, reason), values))));
  return element("li", { "data-check": check, "data-state": state, "data-reason": reason, "data-fault": isGood ? null : fault },
    markOf(state),
    element("p", { class: "what", text: say(`what.${reason}`, values) }),
    ...(evidence ? [element("p", { class: "evidence", text: evidence })] : []),
    ...remedies,
    ...(fault && !isGood ? [element("a", { href: `help#${fault}`, text: say("findings.more") })] : []),
  );
}

/**
 * Key of a remedy. Where one side can do nothing, the words say so.
 * @param {string} who
 * @param {string} reason
 */
const remedyKey = (who, reason) => (has(`${who}.${reason}`) ? `${who}.${reason}` : `${who}.nothing`);

/** Text whose commands and keys, in backquotes, are elements of their own. @param {string} text */
const withCommands = (text) => text.split("`").map((part, index) => (index % 2 ? element("code", { text: part }) : part));

/** Adds the row of a URL that is being tested. @param {string} url */
export function addRow(url) {
  const row = element("tr", { "data-url": url, "data-state": "running" },
    element("th", { scope: "row", class: "url", text: url }),
    resultCell("running", say("state.running")), element("td"), element("td"));
  byId("urls").append(row);
  return row;
}

/** @param {HTMLElement} row @param {Row} result */
export function showRow(row, { works, relayed, roundTripMs, afterMs, code, text, relays }) {
  const isStun = (row.dataset.url ?? "").startsWith("stun");
  const state = works ? "ok" : "failed";
  row.dataset.state = state;
  if (code !== null) row.dataset.code = String(code);
  const key = works
    ? isStun ? (relayed ? "urls.mapped" : "urls.unmapped") : "urls.works"
    : relayed && !relays && !isStun ? "urls.relays-nothing"
    : isUnknownName({ text, afterMs }) ? "urls.unknown-name"
    : has(`code.${code}`) ? `code.${code}` : code && code < 600 ? "code.other" : "code.none";
  row.title = text;
  const time = roundTripMs !== null ? milliseconds(roundTripMs) : works && isStun && relayed ? `≤ ${milliseconds(afterMs)}` : "";
  row.replaceChildren(row.children[0], resultCell(state, say(key, { code: code ?? "" })),
    cell("urls.relayed", relayed ?? ""), cell("urls.round-trip", time, "number"));
}

/** Adds the row of a call of the page to itself. @param {"relay" | "host"} name */
export function addLoop(name) {
  const row = element("tr", { "data-loop": name, "data-state": "running" },
    element("th", { scope: "row", text: say(`loops.${name}`) }),
    resultCell("running", say("state.running")), ...[1, 2, 3, 4].map(() => element("td")));
  byId("loops").append(row);
  return row;
}

/**
 * @param {HTMLElement} row
 * @param {Finding} finding
 * @param {Measured} measured
 */
export function showLoop(row, { state, reason }, measured) {
  row.dataset.state = state;
  const figures = measured && [
    ["loops.bitrate", `${(measured.flow.bps / 1e6).toFixed(1)} Mbit/s`],
    ["loops.loss", `${(measured.flow.loss * 100).toFixed(1)} %`],
    ["loops.jitter", milliseconds(measured.flow.jitterMs)],
    ["loops.round-trip", milliseconds(measured.roundTripMs)],
  ];
  const grade = measured && gradeOf(measured.flow, measured.roundTripMs);
  if (grade) row.dataset.grade = grade;
  const words = state === "ok" && grade ? say(`grade.${grade}`) : say(has(`loops.${reason}`) ? `loops.${reason}` : `state.${state}`);
  row.replaceChildren(row.children[0], resultCell(state, words),
    ...(figures ?? [["loops.bitrate", ""], ["loops.loss", ""], ["loops.jitter", ""], ["loops.round-trip", ""]])
      .map(([heading, text]) => cell(heading, text, "number")));
}

/** @param {string} of @param {Seen} seen */
export function addCandidate(of, { candidate, afterMs }) {
  const { type, protocol, relayProtocol } = /** @type {any} */ (candidate);
  byId("candidates").append(element("tr", {},
    element("th", { scope: "row", class: "url", text: of }),
    cell("candidates.type", type ?? ""),
    cell("candidates.protocol", relayProtocol ? `${protocol} / ${relayProtocol}` : (protocol ?? "")),
    cell("candidates.address", addressOf(candidate)),
    cell("candidates.after", milliseconds(afterMs), "number")));
}

/** @param {keyof typeof MARKS} state @param {string} text */
const resultCell = (state, text) =>
  element("td", {}, element("span", { class: "result" }, markOf(state), element("span", { text })));

/**
 * A cell that has its heading with it where the table is narrow.
 * @param {string} heading
 * @param {string} text
 * @param {string} [classes]
 */
const cell = (heading, text, classes) => element("td", { "data-heading": text && say(heading), class: classes, text });

/** @param {number} value */
const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
