/** Path and traffic of a connection, read from its statistics. Pure: statistics in, values out. */

/** @typedef {"direct" | "relayed" | "connecting"} Path */

/**
 * Path of the packets between the two browsers.
 * @typedef {object} Route
 * @property {Path} path `relayed` if at least one end uses a relay.
 * @property {"udp" | "tcp" | "tls" | null} protocol Transport protocol between this browser and the
 *   relay, or the peer on a direct path.
 * @property {number | null} roundTripMs Round-trip time of the latest connectivity check.
 * @property {string | null} localCandidate Type of the selected candidate: host, srflx, prflx or
 *   relay.
 * @property {string | null} remoteCandidate Type of the peer's selected candidate.
 */

/**
 * Traffic of a connection.
 * @typedef {object} Rates
 * @property {number | null} receivingBps Bits per second since the last report. Null in the first.
 * @property {number | null} sendingBps Bits per second since the last report. Null in the first.
 * @property {number} framesDecoded Video frames of the peer that were decoded, in total.
 * @property {number} framesSent Video frames sent to the peer, in total.
 */

/** @typedef {Route & Rates & { iceErrors: import("./peer.js").IceError[] }} Report */

/** @type {Route} */
export const NO_ROUTE = {
  path: "connecting",
  protocol: null,
  roundTripMs: null,
  localCandidate: null,
  remoteCandidate: null,
};

/**
 * @param {any[]} stats The values of an RTCStatsReport.
 * @returns {Route}
 */
export function findRoute(stats) {
  const { pair, local, remote } = findPair(stats);
  if (!local || !remote) return NO_ROUTE;
  const throughOurRelay = isOwnRelay(local);
  return {
    path: throughOurRelay || isRelay(remote, stats) ? "relayed" : "direct",
    protocol: (throughOurRelay && local.relayProtocol) || local.protocol || null,
    roundTripMs: pair.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
    localCandidate: local.candidateType,
    remoteCandidate: remote.candidateType,
  };
}

/**
 * Whether this end sends through a relay allocation of its own.
 * @param {any[]} stats The values of an RTCStatsReport.
 */
export function usesOwnRelay(stats) {
  const { local } = findPair(stats);
  return Boolean(local && isOwnRelay(local));
}

/**
 * Counter that grows with everything that arrives from the peer: received bytes, and answers to
 * connectivity checks.
 * @param {any[]} stats The values of an RTCStatsReport.
 */
export function countReceived(stats) {
  const pairs = stats.filter(({ type }) => type === "candidate-pair");
  return pairs.reduce((sum, pair) => sum + (pair.bytesReceived ?? 0) + (pair.responsesReceived ?? 0), 0);
}

/** The selected pair with its candidates. @param {any[]} stats */
function findPair(stats) {
  const byId = (/** @type {string} */ id) => stats.find((entry) => entry.id === id);
  const transport = stats.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  // Older versions of Firefox have no transport statistics, but mark the pair.
  const pair = transport ? byId(transport.selectedCandidatePairId) : stats.find((entry) => entry.selected);
  return { pair, local: pair && byId(pair.localCandidateId), remote: pair && byId(pair.remoteCandidateId) };
}

/**
 * Whether a local candidate is relayed. A relay candidate whose mapped address differs becomes
 * `prflx`, but keeps its relay protocol.
 * @param {any} local
 */
const isOwnRelay = (local) => local.candidateType === "relay" || Boolean(local.relayProtocol);

/**
 * Whether a remote candidate is relayed. A check that arrives before the peer's candidate creates a
 * `prflx`, which Firefox keeps. The candidate of the same address then has the type.
 *
 * @param {any} remote
 * @param {any[]} stats
 */
function isRelay(remote, stats) {
  if (remote.candidateType !== "prflx") return remote.candidateType === "relay";
  return stats.some(
    ({ type, candidateType, address, port }) =>
      type === "remote-candidate" && candidateType === "relay" && address === remote.address && port === remote.port,
  );
}

/**
 * Totals of bytes and video frames at a point in time, in milliseconds.
 * @typedef {{ at: number, received: number, sent: number, framesDecoded: number,
 *   framesSent: number }} Traffic
 */

/**
 * @param {any[]} stats
 * @param {number} at Time of the statistics, in milliseconds.
 * @returns {Traffic}
 */
export function measureTraffic(stats, at) {
  const total = (/** @type {string} */ type, /** @type {string} */ field) =>
    stats.reduce((sum, entry) => sum + (entry.type === type ? (entry[field] ?? 0) : 0), 0);
  return {
    at,
    received: total("inbound-rtp", "bytesReceived") + total("inbound-rtp", "headerBytesReceived"),
    sent: total("outbound-rtp", "bytesSent") + total("outbound-rtp", "headerBytesSent"),
    framesDecoded: total("inbound-rtp", "framesDecoded"),
    framesSent: total("outbound-rtp", "framesSent"),
  };
}

/**
 * @param {Traffic | null} before
 * @param {Traffic} now
 * @returns {Rates}
 */
export function compareTraffic(before, now) {
  const bitsPerSecond = (/** @type {"received" | "sent"} */ field) =>
    before && now.at > before.at ? ((now[field] - before[field]) * 8000) / (now.at - before.at) : null;
  return {
    receivingBps: bitsPerSecond("received"),
    sendingBps: bitsPerSecond("sent"),
    framesDecoded: now.framesDecoded,
    framesSent: now.framesSent,
  };
}
