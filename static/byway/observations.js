/**
 * Observations of a connection for the timeline of its call: candidates, states, paths, figures.
 * Numbers and words of a closed set: no address leaves the page.
 */

import { makeReport } from "./report.js";

/**
 * Entry of a report, as docs/signaling.md specifies it.
 * @typedef {{ kind: string, detail: Record<string, string | number | boolean> }} Observation
 */

/**
 * Observes a connection until it is closed.
 *
 * @param {RTCPeerConnection} connection
 * @param {(observation: Observation) => void} note
 * @returns {(withFigures: boolean) => Promise<void>} Looks at the path, and notes it if it
 *   changed.
 */
export function observe(connection, note) {
  /** Start of the gathering, as `performance.now()`. 0 before the first. */ let began = 0;
  let gathering = false;
  /** @type {{ [type: string]: number }} */ let found = {};
  /** @type {Set<string>} */ let failed = new Set();
  /** @type {import("./report.js").Memory | null} */ let memory = null;
  /** The last path, as JSON. */ let lastPath = "";

  const gathered = () => {
    if (!gathering) return;
    gathering = false;
    const { host = 0, srflx = 0, relay = 0 } = found;
    note({ kind: "gathered", detail: { host, srflx, relay, ms: whole(performance.now() - began) } });
  };
  const look = async (withFigures = false) => {
    const stats = [...(await connection.getStats()).values()];
    if (connection.connectionState !== "connected") return;
    const made = makeReport(stats, { at: performance.now(), memory, connection });
    const { report } = made;
    if (report.path !== "connecting") {
      const detail = describePath(report, stats);
      const path = JSON.stringify(detail);
      if (path !== lastPath) note({ kind: "path", detail });
      lastPath = path;
    }
    if (!withFigures) return;
    memory = made.memory;
    note({ kind: "stats", detail: figuresOf(report) });
  };

  connection.addEventListener("icegatheringstatechange", () => {
    if (connection.iceGatheringState === "complete") return gathered();
    if (connection.iceGatheringState !== "gathering") return;
    if (began) note({ kind: "restarted", detail: {} });
    [began, gathering, found, failed] = [performance.now(), true, {}, new Set()];
  });
  connection.addEventListener("icecandidate", ({ candidate }) => {
    if (candidate?.type) found[candidate.type] = (found[candidate.type] ?? 0) + 1;
  });
  connection.addEventListener("icecandidateerror", ({ url, errorCode }) => {
    const server = serverOf(url);
    // Browsers report the same error for every network interface.
    if (!server || failed.has(`${server.scheme} ${server.protocol} ${errorCode}`)) return;
    failed.add(`${server.scheme} ${server.protocol} ${errorCode}`);
    note({ kind: "server-failed", detail: { ...server, code: whole(errorCode, MAX_CODE) } });
  });
  connection.addEventListener("connectionstatechange", () => {
    const state = connection.connectionState;
    if (!["connecting", "connected", "disconnected", "failed"].includes(state)) return;
    // A server that never answers keeps the browser gathering for longer than the page waits.
    if (state === "failed") gathered();
    note({ kind: "connection", detail: { state } });
    if (state === "connected") look().catch(() => {});
  });
  // A connection that was closed meanwhile has no statistics.
  return (withFigures) => look(withFigures).catch(() => {});
}

/**
 * Scheme and transport of a STUN or TURN URL, without the host.
 * @param {string} url
 */
export function serverOf(url) {
  const [, scheme, transport] = /^(stun|turn|turns):[^?]*(?:\?transport=(udp|tcp))?$/.exec(url) ?? [];
  if (!scheme) return null;
  return { scheme, protocol: scheme === "turns" ? "tls" : (transport ?? "udp") };
}

/**
 * @param {import("./report.js").Route} route
 * @param {any[]} stats The values of an RTCStatsReport.
 */
function describePath({ localCandidate, remoteCandidate, protocol, relays }, stats) {
  const pair = stats.find(({ type, selectedCandidatePairId: id }) => type === "transport" && id)?.selectedCandidatePairId;
  const { localCandidateId } = stats.find((entry) => (pair ? entry.id === pair : entry.selected)) ?? {};
  const local = stats.find(({ id }) => id === localCandidateId);
  return withoutNull({
    local: candidateType(localCandidate),
    remote: candidateType(remoteCandidate),
    relayed: relays.local,
    protocol,
    address: addressKind(local?.address),
  });
}

/** @param {string | null} type */
const candidateType = (type) => (type && ["host", "srflx", "prflx", "relay"].includes(type) ? type : "prflx");

/**
 * Kind of an address. Browsers leave out those that a page must not know.
 * @param {unknown} address
 */
export function addressKind(address) {
  if (typeof address !== "string" || !address) return null;
  if (address.includes(":")) return "ipv6";
  return /^[\d.]+$/.test(address) ? "ipv4" : "name";
}

/** @param {Omit<import("./report.js").Report, "iceErrors">} report */
function figuresOf(report) {
  const perMille = (/** @type {number | null} */ share) => (share === null ? null : whole(share * 1000, 1000));
  const number = (/** @type {number | null} */ value) => (value === null ? null : whole(value));
  return withoutNull({
    round_trip_ms: number(report.roundTripMs),
    loss: perMille(report.loss),
    remote_loss: perMille(report.remoteLoss),
    jitter_ms: number(report.jitterMs),
    receiving_bps: number(report.receivingBps),
    sending_bps: number(report.sendingBps),
    silent_ms: number(report.silentMs),
  });
}

/** @param {Record<string, string | number | boolean | null>} fields */
const withoutNull = (fields) =>
  /** @type {Observation["detail"]} */ (
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
  );

/** A whole number that the server takes. @param {number} value */
const whole = (value, most = 0xffff_ffff) => Math.min(most, Math.max(0, Math.round(value) || 0));

/** Largest error code that a report has a place for. */
const MAX_CODE = 0xffff;
