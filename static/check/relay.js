/** Calls of this page to itself through the relay. */

import { Loop } from "./loop.js";

/** @typedef {import("./loop.js").Seen} Seen */
/** @typedef {import("./loop.js").Flow} Flow */

/**
 * Result of a call: null if it did not connect.
 * @typedef {{ flow: Flow, roundTripMs: number } | null} Measured
 */

/** Time for a connection, and for the second one after the first. */
const PATIENCE_MS = 7_000;
const BEHIND_MS = 4_000;
/** Time for one that is not expected. */
const SHORT_MS = 3_000;
/** Port at which nobody listens, most likely. */
const [DECOY_PORT, OTHER_DECOY_PORT] = [64_999, 64_997];

/** @param {RTCIceServer} server @returns {RTCConfiguration} */
const through = (server) => ({ iceServers: [server], iceTransportPolicy: "relay" });

/**
 * Calls from relay to relay. A Byway shortens this path in memory, so it shows the network of this
 * device, and neither blocked relay ports nor a wrong public address.
 * @param {RTCIceServer} server
 * @returns {Promise<Measured>}
 */
export async function relayToRelay(server) {
  const loop = new Loop(through(server), through(server));
  try {
    await loop.open(PATIENCE_MS);
    return (await loop.connected) ? await measured(loop) : null;
  } finally {
    loop.close();
  }
}

/**
 * Calls from a connection without a relay to a relayed address, twice at once. In one call the
 * relayed side learns the address of the other with a wrong port. Then the first packet to the
 * relay port comes from outside, as from behind a strict NAT.
 *
 * @param {RTCIceServer} server
 * @param {string[]} stun
 * @param {(seen: Seen) => void} note
 * @param {boolean} isLikely Whether UDP passes at all.
 */
export async function relayToHost(server, stun, note, isLikely) {
  /** @type {RTCConfiguration} */
  const bare = { iceServers: stun.length ? [{ urls: stun }] : [] };
  const isUdp = (/** @type {RTCIceCandidate} */ { protocol }) => protocol?.toLowerCase() !== "tcp";
  const fromOutside = () => new Loop(through(server), bare, { fromB: (candidate) => (isUdp(candidate) ? decoyOf(candidate) : null), note });
  const unannounced = fromOutside();
  const announced = new Loop(through(server), bare, { fromB: (candidate) => (isUdp(candidate) ? candidate.toJSON() : null) });
  const loops = [unannounced, announced];
  try {
    await Promise.all(loops.map((loop) => loop.open(isLikely ? PATIENCE_MS : SHORT_MS)));
    const states = loops.map((loop) => loop.connected);
    const isUp = [false, false];
    states.forEach((state, index) => state.then((up) => (isUp[index] = up)));
    await Promise.any(states.map((state) => state.then((up) => up || Promise.reject()))).catch(() => {});
    if (isUp.includes(true)) await Promise.race([Promise.all(states), new Promise((resolve) => setTimeout(resolve, BEHIND_MS))]);
    // A packet may be lost, and a busy device late. So this failure counts if it repeats.
    if (isUp[1] && !isUp[0]) {
      const again = fromOutside();
      loops.push(again);
      await again.open(PATIENCE_MS);
      isUp[2] = await again.connected;
    }
    const relayed = unannounced.candidates[0] ?? announced.candidates[0];
    const connected = loops.filter((_, index) => isUp[index]);
    const elsewhere = await Promise.all(connected.map((loop) => isElsewhere(loop)));
    const own = loops.flatMap(({ otherCandidates }) => otherCandidates).filter(isUdp);
    const mapped = own.filter(({ type }) => type === "srflx");
    return {
      loops: {
        unannounced: Boolean(isUp[0] || isUp[2]),
        announced: isUp[1],
        relayed: addressesOf(relayed ? [relayed] : [])[0] ?? "",
        isElsewhere: elsewhere.includes(true),
        own: addressesOf(own),
        mapped: addressesOf(mapped),
      },
      measured: connected.length ? await measured(connected[0]) : null,
    };
  } finally {
    for (const loop of loops) loop.close();
  }
}

/**
 * Whether packets of the relay come from another address than it announced. The side without a
 * relay knows every announced one, so any other is new to it.
 * @param {Loop} loop
 */
async function isElsewhere(loop) {
  const seen = await loop.seenByOther();
  return seen?.type === "prflx" && !(seen.address && loop.candidates.some(({ address }) => address === seen.address));
}

/** Addresses without brackets, each once. @param {RTCIceCandidate[]} candidates */
const addressesOf = (candidates) =>
  [...new Set(candidates.map(({ address }) => (address ?? "").replace(/^\[|\]$/g, "")))].filter(Boolean);

/** The candidate at a port that nobody uses. @param {RTCIceCandidate} candidate */
export function decoyOf(candidate) {
  const init = candidate.toJSON();
  const fields = (init.candidate ?? "").split(" ");
  fields[5] = String(Number(fields[5]) === DECOY_PORT ? OTHER_DECOY_PORT : DECOY_PORT);
  return { ...init, candidate: fields.join(" ") };
}

/** @param {Loop} loop @returns {Promise<Measured>} */
async function measured(loop) {
  const roundTripMs = await loop.roundTrip();
  if (!Number.isFinite(roundTripMs)) return null;
  return { flow: await loop.measure(), roundTripMs };
}
