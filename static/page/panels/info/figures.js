/** Figures of a report in words, with numbers as the document's language writes them. */

/** @typedef {import("../../../byway.js").Report} Report */
/** @typedef {(key: string, values?: Record<string, string | number>) => string} Say */

/**
 * Names and values of the figures, in the order of the table.
 *
 * @param {Report} report
 * @param {Say} say
 * @returns {[string, string][]}
 */
export function figuresOf(report, say) {
  const { relays, width, height, frameRate, codecs, freezes } = report;
  const unknown = say("info.unknown");
  /** @type {(value: number | null, format: (value: number) => string) => string} */
  const or = (value, format) => (value === null ? unknown : format(value));
  /**
   * Values of both ways.
   * @type {(here: number | null, there: number | null, format: (value: number) => string) =>
   *   string}
   */
  const ways = (here, there, format) => say("info.ways", { here: or(here, format), there: or(there, format) });
  const frames = or(frameRate, (rate) => say("info.frames-per-second", { rate: Math.round(rate) }));
  const picture = width && height ? `${width} × ${height}, ${frames}` : say("info.no-picture");
  return [
    ["path", describePath(report, say)],
    ["server", relays.local ? (relays.server ?? say("info.server-untold")) : say("info.server-none")],
    ["round-trip", or(report.roundTripMs, inMs)],
    ["loss", ways(report.loss, report.remoteLoss, inPercent)],
    ["jitter", or(report.jitterMs, inMs)],
    ["bitrate", ways(report.receivingBps, report.sendingBps, inBitrate)],
    ["picture", picture],
    ["freezes", or(freezes, String)],
    ["codecs", [codecs.audio, codecs.video].filter(Boolean).join(", ") || unknown],
    ["limitation", say(`info.limited-${report.limitation ?? "untold"}`)],
  ];
}

/** @param {Report} report @param {Say} say */
function describePath({ path, protocol, relays }, say) {
  if (path === "connecting") return say("info.path-connecting");
  const over = (protocol ?? "").toUpperCase();
  if (path === "direct") return say("info.path-direct", { protocol: over });
  const end = relays.local && relays.remote ? "both" : relays.local ? "here" : "there";
  return say(`info.path-relayed-${end}`, { protocol: over });
}

/** @param {number} value @param {number} maximumFractionDigits */
const number = (value, maximumFractionDigits) =>
  new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits }).format(value);

/** @param {number} ms */
export const inMs = (ms) => `${number(ms, ms < 10 ? 1 : 0)} ms`;

/** @param {number} share 0 to 1. */
export const inPercent = (share) => `${number(share * 100, 1)} %`;

/** @param {number} bps */
export const inBitrate = (bps) => (bps < 1e6 ? `${number(bps / 1e3, 0)} kbit/s` : `${number(bps / 1e6, 1)} Mbit/s`);
