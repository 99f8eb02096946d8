/**
 * Text about the connections for the operator of the server. It names no room, person, token,
 * address or fingerprint. Its field names are those of a report, in every language.
 */

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../../byway.js").Report} Report */

/** Numbers of a report that are told as they were over the last two minutes. */
const SERIES = /** @type {const} */ ([
  "roundTripMs", "loss", "remoteLoss", "jitterMs", "receivingBps", "sendingBps", "frameRate", "silentMs",
]);

/** @param {Page} page */
export function describeForSupport(page) {
  const people = [...page.people.values()];
  return [
    `Byway connection report, ${new Date().toISOString()}`,
    `page: ${maskAddresses(location.origin)}`,
    `browser: ${navigator.userAgent}`,
    `call: ${page.call ? `signaling ${page.call.signaling}` : "none"}, relay ${relayOf(page)}, people ${people.length}`,
    ...people.flatMap(({ peer, quality }, index) =>
      ["", `person ${index + 1}`, ...describe(page.history(peer), quality)]),
    "",
  ].join("\n");
}

/** @param {Page} page */
const relayOf = ({ relay }) => (relay.forced ? "required by the server" : relay.on ? "forced" : "as needed");

/**
 * @param {{ at: number, report: Report }[]} history
 * @param {import("../../quality.js").Quality | null} quality
 */
export function describe(history, quality) {
  const report = history.at(-1)?.report;
  if (!report) return ["no report yet"];
  const { relays, codecs } = report;
  return [
    `quality: ${quality?.level}, ${quality?.reason ?? "no fault"}`,
    `path: ${report.path}, protocol ${report.protocol}, candidates ${report.localCandidate} ${report.remoteCandidate}`,
    `relays: local ${relays.local} (${relays.server}, ${relays.protocol}), remote ${relays.remote}`,
    `picture: ${report.width}x${report.height}, freezes ${report.freezes}, limitation ${report.limitation}`,
    `codecs: ${codecs.audio} ${codecs.video}`,
    `frames: decoded ${report.framesDecoded}, sent ${report.framesSent}`,
    ...SERIES.map((field) => `${field}: ${summary(history.map(({ report }) => report[field]))}`),
    ...report.iceErrors.map(({ url, code, text }) => `server failed: ${url} ${code} ${text}`),
  ].map(maskAddresses);
}

/** The newest, and the range of the last two minutes. @param {(number | null)[]} values */
function summary(values) {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  const round = (/** @type {number | null | undefined} */ value) =>
    value === null || value === undefined ? "unknown" : String(Number(value.toPrecision(3)));
  if (known.length === 0) return "unknown";
  const median = known[Math.floor(known.length / 2)];
  return `now ${round(values.at(-1))}, min ${round(known[0])}, median ${round(median)}, max ${round(known.at(-1))}`;
}

/** Replaces IP addresses, and the names that browsers give local ones. @param {string} text */
export const maskAddresses = (text) =>
  text
    .replace(/\b\d{1,3}(\.\d{1,3}){3}\b/g, "ADDRESS")
    .replace(/\[?[0-9a-f]*(?::[0-9a-f]*){2,7}(%\w+)?\]?/gi, "ADDRESS")
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.local\b/gi, "ADDRESS");
