/**
 * Quality of a connection in one word, with the likely reason. Pure: reports in, a level and the
 * key of a sentence out.
 */

/** @typedef {import("../byway.js").Report} Report */
/** @typedef {{ at: number, report: Report }} Sample A report, and its time in milliseconds. */
/** @typedef {"good" | "fair" | "poor" | "none"} Level */

/**
 * @typedef {object} Quality
 * @property {Level} level `none`: nothing arrives, or there is no connection.
 * @property {string | null} reason Key of the page's words, such as `quality.loss-here`. Null if
 *   the level is good.
 */

/**
 * Facts about the peer that statistics do not have.
 * @typedef {object} Peer
 * @property {string} [camera] State of the peer's camera. Unless it is `on`, few frames are no
 *   fault.
 * @property {string | null} [limitation] Limitation of the picture that the peer sends, if the
 *   peer's page told it.
 */

/**
 * Judges the last seconds of a connection. A level improves only when the figures are clearly
 * better than its threshold, so that it does not flicker.
 *
 * @param {Sample[]} history The newest sample is the last.
 * @param {object} [context]
 * @param {Quality | null} [context.before] Previous result for the same peer.
 * @param {Peer} [context.peer]
 * @returns {Quality}
 */
export function assess(history, { before = null, peer = {} } = {}) {
  const newest = history.at(-1);
  if (!newest) return { level: "none", reason: "quality.connecting" };
  const silence = findSilence(history, newest.report);
  if (silence) return { level: "none", reason: silence };

  const samples = history.filter(({ at }) => newest.at - at < WINDOW_MS);
  const reports = samples.map(({ report }) => report);
  const isSettled = newest.at - history[0].at >= SETTLING_MS;
  const findings = MEASURES.filter(({ late }) => isSettled || !late).map((measure) => {
    const value = measure.value(reports, peer);
    const [level, kept] = [judge(value, measure), judge(value, measure, RELAXED)];
    return { reason: measure.reason(newest.report), level, kept };
  });
  const level = worst(findings.map((finding) => finding.level));
  const kept = worst(findings.map((finding) => finding.kept));
  // A level that is worse applies at once. A better one waits until it is clear of the threshold.
  const held = before && before.level !== "none" && RANK[before.level] > RANK[level] && RANK[kept] > RANK[level];
  const result = held ? (RANK[before.level] < RANK[kept] ? before.level : kept) : level;
  if (result === "good") return { level: result, reason: null };
  const reasons = findings
    .filter((finding) => RANK[held ? finding.kept : finding.level] >= RANK[result])
    .map(({ reason }) => reason);
  return { level: result, reason: before?.reason && reasons.includes(before.reason) ? before.reason : reasons[0] };
}

/** @type {Record<Level, number>} */
const RANK = { good: 0, fair: 1, poor: 2, none: 3 };

/** @param {Level[]} levels */
const worst = (levels) => levels.reduce((a, b) => (RANK[a] >= RANK[b] ? a : b), /** @type {Level} */ ("good"));

/** Time that figures are averaged over. Browsers report losses once a second for video. */
const WINDOW_MS = 5_500;

/** Part of a threshold that a figure has to fall below before it counts as better. */
const RELAXED = 0.7;

/** Time in which browsers find the bitrate of a new path, from a low one on. */
const SETTLING_MS = 10_000;

// --- Silence ---

/**
 * Media arrives all the time, 50 packets of sound a second. After this time a person notices that
 * the picture stands.
 */
const MEDIA_SILENT_MS = 2_500;

/** Without media only consent checks are answered, at most six seconds apart (RFC 7675 5.1). */
const SILENT_MS = 8_000;

/** @param {Sample[]} history @param {Report} report */
function findSilence(history, { path, silentMs }) {
  const hadMedia = history.some(({ report }) => (report.receivingBps ?? 0) > 0);
  // A report names no path while nothing arrives. Before the first media the path is being made.
  if (path === "connecting" && !hadMedia) return "quality.connecting";
  if (silentMs !== null && silentMs >= (hadMedia ? MEDIA_SILENT_MS : SILENT_MS)) return "quality.silent";
  return path === "connecting" ? "quality.connecting" : null;
}

// --- Measures ---

/**
 * @typedef {object} Measure In the order in which reasons are named: causes before effects.
 * @property {(newest: Report) => string} reason
 * @property {(reports: Report[], peer: Peer) => number | null} value
 * @property {number} fair
 * @property {number} poor
 * @property {boolean} [low] Whether a low value is bad.
 * @property {boolean} [late] Whether it says nothing while the browser looks for the bitrate.
 */

/** @type {Measure[]} */
const MEASURES = [
  {
    // Congestion control of browsers takes up to 2 % as no sign of a full link, and backs off from
    // 10 % on (draft-ietf-rmcat-gcc-02 section 6).
    reason: () => "quality.loss-here",
    value: (reports) => mean(reports.map(({ loss }) => loss)),
    fair: 0.02,
    poor: 0.1,
  },
  {
    reason: () => "quality.loss-there",
    value: (reports) => mean(reports.map(({ remoteLoss }) => remoteLoss)),
    fair: 0.02,
    poor: 0.1,
  },
  {
    reason: () => "quality.our-uplink",
    value: (reports) => share(reports.map(({ limitation }) => limitation), "bandwidth"),
    fair: 0.6,
    poor: Infinity,
    late: true,
  },
  {
    reason: () => "quality.their-uplink",
    value: (_, { limitation }) => share([limitation ?? null], "bandwidth"),
    fair: 0.6,
    poor: Infinity,
    late: true,
  },
  {
    reason: () => "quality.our-computer",
    value: (reports) => share(reports.map(({ limitation }) => limitation), "cpu"),
    fair: 0.6,
    poor: Infinity,
    late: true,
  },
  {
    reason: () => "quality.their-computer",
    value: (_, { limitation }) => share([limitation ?? null], "cpu"),
    fair: 0.6,
    poor: Infinity,
    late: true,
  },
  {
    // ITU-T G.114: 150 ms one way suit most conversations, 400 ms are the limit. There and back
    // that is twice as much.
    reason: (newest) => (isStream(newest) ? "quality.relay-stream" : "quality.round-trip"),
    value: (reports) => median(reports.map(({ roundTripMs }) => roundTripMs)),
    fair: 300,
    poor: 800,
  },
  {
    // ITU-T Y.1541: 50 ms of variation are the objective for conversation (classes 0 and 1). Jitter
    // buffers of browsers grow to some hundred milliseconds.
    reason: (newest) => (isStream(newest) ? "quality.relay-stream" : "quality.jitter"),
    value: (reports) => median(reports.map(({ jitterMs }) => jitterMs)),
    fair: 50,
    poor: 200,
  },
  {
    reason: () => "quality.freezes",
    value: (reports) => growth(reports.map(({ freezes }) => freezes)),
    fair: 1,
    poor: 3,
  },
  {
    // ITU-T H-series Supplement 1: lips can be read from 20 frames per second on, with effort from
    // 12. Below 5, motion is a series of stills.
    reason: () => "quality.few-frames",
    value: (reports, { camera = "on" }) =>
      camera === "on" && reports.at(-1)?.width ? median(reports.map(({ frameRate }) => frameRate)) : null,
    fair: 12,
    poor: 5,
    low: true,
  },
];

/**
 * Whether packets go through a relay over TCP or TLS, which holds all of them back to repeat one.
 * @param {Report} report
 */
const isStream = ({ relays }) => relays.protocol === "tcp" || relays.protocol === "tls";

/**
 * @param {number | null} value
 * @param {Measure} measure
 * @param {number} part Part of the thresholds that counts as reached.
 * @returns {Level}
 */
function judge(value, { fair, poor, low }, part = 1) {
  if (value === null) return "good";
  if (low) return value < poor / part ? "poor" : value < fair / part ? "fair" : "good";
  return value >= poor * part ? "poor" : value >= fair * part ? "fair" : "good";
}

// --- Numbers ---

/** @param {(number | null)[]} values @returns {number[]} */
const known = (values) => values.filter((value) => value !== null);

/** @param {(number | null)[]} values */
function mean(values) {
  const numbers = known(values);
  return numbers.length ? numbers.reduce((sum, each) => sum + each, 0) / numbers.length : null;
}

/** @param {(number | null)[]} values */
function median(values) {
  const numbers = known(values).sort((a, b) => a - b);
  return numbers.length ? numbers[Math.floor((numbers.length - 1) / 2)] : null;
}

/** Difference of the last and the first. @param {(number | null)[]} values */
function growth(values) {
  const numbers = known(values);
  return numbers.length ? Math.max(0, numbers[numbers.length - 1] - numbers[0]) : null;
}

/**
 * Share of the values that are the wanted one.
 * @param {(string | null)[]} values
 * @param {string} wanted
 */
function share(values, wanted) {
  const told = values.filter((value) => value !== null);
  return told.length ? told.filter((value) => value === wanted).length / told.length : null;
}
