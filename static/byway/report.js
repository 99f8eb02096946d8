/** How a connection runs, read from its statistics. Pure: statistics in, values out. */

/** @typedef {"direct" | "relayed" | "connecting"} Path */

/**
 * Where the packets go.
 * @typedef {object} Route
 * @property {Path} path Relayed means: a relay stands at one end at least.
 * @property {"udp" | "tcp" | "tls" | null} protocol Between this browser and what it talks to: the
 *   relay, or the peer.
 * @property {number | null} roundTripMs Of the latest connectivity check.
 * @property {string | null} localCandidate Type of the selected candidate: host, srflx, prflx or
 *   relay.
 * @property {string | null} remoteCandidate
 */

/**
 * How much went.
 * @typedef {object} Rates
 * @property {number | null} receivingBps Bits per second since the report before this one.
 * @property {number | null} sendingBps Bits per second since the report before this one.
 * @property {number} framesDecoded Video frames of the peer decoded here, in total.
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
 * Whether what this end sends goes through a relay allocation of its own.
 * @param {any[]} stats The values of an RTCStatsReport.
 */
export function usesOwnRelay(stats) {
  const { local } = findPair(stats);
  return Boolean(local && isOwnRelay(local));
}

/**
 * A number that grows with whatever comes from the other end: what it sends, and its answers to our
 * connectivity checks.
 * @param {any[]} stats The values of an RTCStatsReport.
 */
export function countHeard(stats) {
  const pairs = stats.filter(({ type }) => type === "candidate-pair");
  return pairs.reduce((sum, pair) => sum + (pair.bytesReceived ?? 0) + (pair.responsesReceived ?? 0), 0);
}

/** The selected pair with its candidates. @param {any[]} stats */
function findPair(stats) {
  const byId = (/** @type {string} */ id) => stats.find((entry) => entry.id === id);
  const transport = stats.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  // Firefox had no transport statistics for long, but marks the pair.
  const pair = transport ? byId(transport.selectedCandidatePairId) : stats.find((entry) => entry.selected);
  return { pair, local: pair && byId(pair.localCandidateId), remote: pair && byId(pair.remoteCandidateId) };
}

/**
 * A relay candidate whose mapped address came out differently is a local `prflx`; its relay
 * protocol gives it away.
 * @param {any} local
 */
const isOwnRelay = (local) => local.candidateType === "relay" || Boolean(local.relayProtocol);

/**
 * A check that comes before the candidate was told makes a remote `prflx`, which Firefox keeps.
 * Then the candidate of the same address tells what it is.
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
 * @typedef {{ at: number, received: number, sent: number, framesDecoded: number, framesSent: number }} Traffic
 */

/**
 * @param {any[]} stats
 * @param {number} at When they were taken, in milliseconds.
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
