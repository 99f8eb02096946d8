/**
 * Path, traffic and quality of a connection, read from its statistics. Pure: statistics and the
 * time in, values out. A value that the browser does not tell is null, never 0.
 */

/** @typedef {"direct" | "relayed" | "connecting"} Path */

/**
 * Relays on the path.
 * @typedef {object} Relays
 * @property {boolean} local Whether this end uses a relay of its own.
 * @property {boolean} remote Whether the peer uses one.
 * @property {string | null} server `turn:` or `turns:` URL of this end's relay. Firefox does not
 *   tell it.
 * @property {"udp" | "tcp" | "tls" | null} protocol Transport protocol between this browser and its
 *   relay.
 */

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
 * @property {Relays} relays
 */

/**
 * Traffic of a connection. An interval is the time since the last report. The first report has
 * none, and neither has one that a new connection began in.
 * @typedef {object} Rates
 * @property {number | null} receivingBps Bits per second in the interval.
 * @property {number | null} sendingBps Bits per second in the interval.
 * @property {number | null} loss Share of the peer's packets that did not arrive in the interval,
 *   0 to 1.
 * @property {number | null} remoteLoss Share of this end's packets that the peer lost, 0 to 1, as
 *   the peer's browser last reported it.
 * @property {number | null} frameRate Video frames of the peer's camera that were decoded, per
 *   second of the interval.
 */

/**
 * Sound and picture of a connection.
 * @typedef {object} Pictures
 * @property {number | null} jitterMs Jitter of the peer's sound, or of the picture without sound.
 * @property {number | null} width Width of the peer's camera picture, in pixels.
 * @property {number | null} height Height of the peer's camera picture, in pixels.
 * @property {{ audio: string | null, video: string | null }} codecs Names such as `opus` and `VP8`.
 * @property {"none" | "cpu" | "bandwidth" | "other" | null} limitation Limit of this end's picture.
 *   Firefox and Safari do not tell it.
 * @property {number | null} audioLevel Level of the peer's sound, 0 to 1.
 * @property {number | null} freezes Times that the peer's camera picture stood still, in total.
 * @property {number} framesDecoded Video frames of the peer that were decoded, in total.
 * @property {number} framesSent Video frames sent to the peer, in total.
 */

/**
 * SHA-256 fingerprints of the certificates at both ends of the DTLS connection, in hexadecimal with
 * colons. Null if the connection has none yet.
 * @typedef {{ local: string, remote: string }} Fingerprints
 */

/**
 * @typedef {Route & Rates & Pictures & { iceErrors: import("./peer.js").IceError[],
 *   silentMs: number | null, fingerprints: Fingerprints | null }} Report
 *   `silentMs`: milliseconds since anything last arrived from the peer. Null in the first report.
 */

/** @type {Route} */
export const NO_ROUTE = {
  path: "connecting",
  protocol: null,
  roundTripMs: null,
  localCandidate: null,
  remoteCandidate: null,
  relays: { local: false, remote: false, server: null, protocol: null },
};

/**
 * Earlier measurements of the same connection.
 * @typedef {object} Memory
 * @property {Traffic} last
 * @property {Traffic | null} before Start of the interval.
 * @property {{ count: number, at: number, everKnown: boolean }} arrivals Count of what arrived, and
 *   when it last grew.
 */

/**
 * Makes a report from the statistics and the memory of the report before.
 *
 * @param {any[]} stats The values of an RTCStatsReport.
 * @param {object} context
 * @param {number} context.at Time of the statistics, in milliseconds.
 * @param {Memory | null} context.memory Null for the first report of a connection.
 * @param {Pick<RTCPeerConnection, "connectionState" | "currentLocalDescription" |
 *   "currentRemoteDescription">} context.connection
 * @returns {{ report: Omit<Report, "iceErrors">, memory: Memory }}
 */
export function makeReport(stats, { at, memory, connection }) {
  const now = measureTraffic(stats, at);
  const arrivals = noteArrivals(memory?.arrivals ?? null, countReceived(stats), at);
  // Several callers may ask within the same second. They share an interval.
  const isNext = memory && at - memory.last.at >= SHORTEST_INTERVAL_MS;
  const before = isNext ? memory.last : (memory?.before ?? null);
  const report = {
    ...(connection.connectionState === "connected" ? findRoute(stats) : NO_ROUTE),
    ...compareTraffic(before, now),
    remoteLoss: findRemoteLoss(stats),
    ...describeMedia(stats),
    silentMs: arrivals.everKnown ? at - arrivals.at : null,
    fingerprints: findFingerprints(stats, connection),
  };
  return { report, memory: { before, last: isNext || !memory ? now : memory.last, arrivals } };
}

/** Rates of a shorter time say little: a frame more or less would be a large difference. */
const SHORTEST_INTERVAL_MS = 400;

/**
 * @param {Memory["arrivals"] | null} before
 * @param {number} count
 * @param {number} at
 */
function noteArrivals(before, count, at) {
  if (!before) return { count, at, everKnown: false };
  // The count shrinks when the browser drops candidate pairs, with nothing arriving.
  return { count, at: count > before.count ? at : before.at, everKnown: true };
}

// --- The path ---

/**
 * @param {any[]} stats The values of an RTCStatsReport.
 * @returns {Route}
 */
export function findRoute(stats) {
  const { pair, local, remote } = findPair(stats);
  if (!local || !remote) return NO_ROUTE;
  const relays = {
    local: isOwnRelay(local),
    remote: isRelay(remote, stats),
    server: isOwnRelay(local) ? findServer(local, stats) : null,
    protocol: (isOwnRelay(local) && local.relayProtocol) || null,
  };
  return {
    path: relays.local || relays.remote ? "relayed" : "direct",
    protocol: relays.protocol || local.protocol || null,
    // Firefox says 0 before the first answer.
    roundTripMs: pair.responsesReceived === 0 ? null : inMs(pair.currentRoundTripTime),
    localCandidate: local.candidateType,
    remoteCandidate: remote.candidateType,
    relays,
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
 * URL of the relay of a local candidate. A `prflx` has none, but the relay candidate of the same
 * protocol has it, unless there are several servers.
 *
 * @param {any} local
 * @param {any[]} stats
 * @returns {string | null}
 */
function findServer(local, stats) {
  if (local.url) return local.url;
  const urls = stats
    .filter((entry) => entry.type === "local-candidate" && entry.candidateType === "relay")
    .filter((entry) => entry.url && entry.relayProtocol === local.relayProtocol)
    .map((entry) => entry.url);
  return new Set(urls).size === 1 ? urls[0] : null;
}

// --- Traffic ---

/**
 * Counters by the id of their statistics.
 * @typedef {Record<string, number>} Counters
 */

/**
 * Counters at a point in time, in milliseconds.
 * @typedef {{ at: number, bytesReceived: Counters, bytesSent: Counters, packetsReceived: Counters,
 *   packetsLost: Counters, framesDecoded: Counters, framesPerSecond: number | null }} Traffic
 */

/**
 * @param {any[]} stats
 * @param {number} at Time of the statistics, in milliseconds.
 * @returns {Traffic}
 */
export function measureTraffic(stats, at) {
  const count = (/** @type {any[]} */ entries, /** @type {string} */ field, header = "") =>
    Object.fromEntries(
      entries.filter((entry) => isNumber(entry[field])).map((entry) => [entry.id, entry[field] + (entry[header] ?? 0)]),
    );
  const inbound = stats.filter(({ type }) => type === "inbound-rtp");
  const outbound = stats.filter(({ type }) => type === "outbound-rtp");
  const camera = firstOf(stats, "inbound-rtp", "video");
  return {
    at,
    bytesReceived: count(inbound, "bytesReceived", "headerBytesReceived"),
    bytesSent: count(outbound, "bytesSent", "headerBytesSent"),
    packetsReceived: count(inbound, "packetsReceived"),
    packetsLost: count(inbound, "packetsLost"),
    framesDecoded: count(camera ? [camera] : [], "framesDecoded"),
    framesPerSecond: camera?.framesPerSecond ?? null,
  };
}

/**
 * @param {Traffic | null} before
 * @param {Traffic} now
 * @returns {Omit<Rates, "remoteLoss">}
 */
export function compareTraffic(before, now) {
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  const growth = (/** @type {Exclude<keyof Traffic, "at" | "framesPerSecond">} */ field) => {
    if (!before || seconds <= 0) return null;
    const growths = Object.entries(now[field]).map(([id, value]) => value - (before[field][id] ?? 0));
    return growths.length > 0 ? growths : null;
  };
  // Counters of a new connection begin again.
  const total = (/** @type {number[] | null} */ growths) =>
    growths && growths.every((each) => each >= 0) ? sum(growths) : null;
  const perSecond = (/** @type {number | null} */ amount, factor = 1) =>
    amount === null ? null : (amount * factor) / seconds;

  const arrived = total(growth("packetsReceived"));
  const losses = growth("packetsLost");
  // Packets that arrive late, or twice, take back what was counted as lost (RFC 3550 section
  // 6.4.1).
  const lost = losses && Math.max(0, sum(losses));
  return {
    receivingBps: perSecond(total(growth("bytesReceived")), 8),
    sendingBps: perSecond(total(growth("bytesSent")), 8),
    loss: arrived === null || lost === null || arrived + lost === 0 ? null : lost / (arrived + lost),
    frameRate: perSecond(total(growth("framesDecoded"))) ?? now.framesPerSecond,
  };
}

/**
 * Share of this end's packets that the peer lost between its last two receiver reports, weighted by
 * the packets of each stream.
 * @param {any[]} stats
 */
function findRemoteLoss(stats) {
  const latest = Math.max(...stats.map(({ timestamp }) => timestamp ?? 0));
  const streams = stats
    .filter(({ type, fractionLost }) => type === "remote-inbound-rtp" && isNumber(fractionLost))
    .filter(({ timestamp }) => !isNumber(timestamp) || latest - timestamp <= REPORT_EXPIRES_MS)
    .map(({ fractionLost, localId }) => {
      const outbound = stats.find(({ id }) => id === localId);
      return { fractionLost, weight: outbound?.packetsSent ?? 1 };
    });
  const weight = sum(streams.map((stream) => stream.weight));
  return weight > 0 ? sum(streams.map((stream) => stream.fractionLost * stream.weight)) / weight : null;
}

/** Browsers report on sound every five seconds or so (RFC 3550 section 6.2). This is two more. */
const REPORT_EXPIRES_MS = 15_000;

// --- Sound and picture ---

/**
 * @param {any[]} stats
 * @returns {Pictures}
 */
function describeMedia(stats) {
  const sound = firstOf(stats, "inbound-rtp", "audio");
  const picture = firstOf(stats, "inbound-rtp", "video");
  const codecOf = (/** @type {any} */ entry) => {
    const codec = entry && stats.find(({ type, id }) => type === "codec" && id === entry.codecId);
    return codec?.mimeType?.split("/")[1] ?? null;
  };
  const codec = (/** @type {any} */ inbound, /** @type {string} */ kind) =>
    codecOf(inbound) ?? codecOf(firstOf(stats, "outbound-rtp", kind));
  const total = (/** @type {string} */ type, /** @type {string} */ field) =>
    sum(stats.filter((entry) => entry.type === type).map((entry) => entry[field] ?? 0));
  return {
    jitterMs: inMs((sound?.packetsReceived ? sound : picture)?.jitter),
    width: picture?.frameWidth ?? null,
    height: picture?.frameHeight ?? null,
    codecs: { audio: codec(sound, "audio"), video: codec(picture, "video") },
    limitation: findLimitation(stats),
    audioLevel: sound?.audioLevel ?? null,
    freezes: picture?.freezeCount ?? null,
    framesDecoded: total("inbound-rtp", "framesDecoded"),
    framesSent: total("outbound-rtp", "framesSent"),
  };
}

/**
 * The stream of a kind that was negotiated first: that of camera and microphone. Others are of a
 * shared screen.
 *
 * @param {any[]} stats
 * @param {string} wantedType
 * @param {string} wantedKind
 */
function firstOf(stats, wantedType, wantedKind) {
  const entries = stats.filter((entry) => entry.type === wantedType && (entry.kind ?? entry.mediaType) === wantedKind);
  const place = (/** @type {any} */ { mid }) => (Number.isInteger(Number(mid ?? NaN)) ? Number(mid) : Infinity);
  return entries.reduce((first, entry) => (first && place(first) <= place(entry) ? first : entry), null);
}

/**
 * Limit of the pictures that this end sends: of the first one that has a limit.
 * @param {any[]} stats
 */
function findLimitation(stats) {
  const reasons = stats
    .filter(({ type, qualityLimitationReason }) => type === "outbound-rtp" && qualityLimitationReason)
    .map(({ qualityLimitationReason }) => qualityLimitationReason);
  return reasons.find((reason) => reason !== "none") ?? reasons[0] ?? null;
}

// --- Fingerprints ---

/**
 * Certificates that the DTLS transport uses, or those that the descriptions promise, which DTLS
 * enforces (RFC 8122 section 6.2). Firefox has no statistics of certificates.
 *
 * @param {any[]} stats
 * @param {Pick<RTCPeerConnection, "currentLocalDescription" | "currentRemoteDescription">}
 *   connection
 * @returns {Fingerprints | null}
 */
export function findFingerprints(stats, { currentLocalDescription, currentRemoteDescription }) {
  const transport = stats.find(({ type }) => type === "transport");
  const certified = (/** @type {string | undefined} */ wanted) => {
    const certificate = wanted && stats.find(({ type, id }) => type === "certificate" && id === wanted);
    return certificate?.fingerprintAlgorithm?.toLowerCase() === "sha-256" ? certificate.fingerprint : null;
  };
  const local = certified(transport?.localCertificateId) ?? promised(currentLocalDescription?.sdp);
  const remote = certified(transport?.remoteCertificateId) ?? promised(currentRemoteDescription?.sdp);
  return local && remote ? { local: local.toUpperCase(), remote: remote.toUpperCase() } : null;
}

/**
 * The one fingerprint in a description. Null if there are several, because any of them would do.
 * @param {string | undefined} sdp
 */
function promised(sdp = "") {
  const lines = [...sdp.matchAll(/^a=fingerprint:(\S+) ([0-9a-f:]+)\s*$/gim)].map(([, algorithm, value]) => [
    algorithm.toLowerCase(),
    value.toUpperCase(),
  ]);
  const [algorithm, value] = lines[0] ?? [];
  const isOne = lines.every(([otherAlgorithm, other]) => otherAlgorithm === algorithm && other === value);
  return isOne && algorithm === "sha-256" ? value : null;
}

// --- Numbers ---

/** @param {number[]} numbers */
const sum = (numbers) => numbers.reduce((total, each) => total + each, 0);

/** @param {unknown} value */
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** @param {number | undefined} seconds */
const inMs = (seconds) => (seconds === undefined ? null : seconds * 1000);
