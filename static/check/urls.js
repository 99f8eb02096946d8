/** Tests of single STUN and TURN URLs. */

import { SILENT_AFTER_MS } from "./judge.js";
import { Loop } from "./loop.js";
import { isV6, parse } from "./url.js";

/** @typedef {import("./loop.js").Seen} Seen */

/**
 * @typedef {object} Row
 * @property {string} url
 * @property {boolean} works
 * @property {string | null} relayed Relayed transport address, or the mapped one of STUN.
 * @property {number | null} roundTripMs To the server and back. Null where it was not measured.
 * @property {number} afterMs Time until the address was there, or until it failed.
 * @property {number | null} code Error of STUN and TURN, or of the browser (600 and above).
 * @property {string} text The browser's words for the error.
 * @property {boolean} relays False if it gave an address, through which nothing came.
 */

/** Browsers repeat an unanswered request for about this long. */
const PATIENCE_MS = 9_500;
/** Fields of Row if it failed without a word. */
const SILENCE = { works: false, relayed: null, roundTripMs: null, code: null, text: "", relays: false };

/**
 * Tests a TURN URL by a call of this page to itself, both of whose sides use that URL.
 * @param {RTCIceServer & { urls: string }} server
 * @param {(seen: Seen) => void} note
 * @returns {Promise<Row>}
 */
export async function testTurn(server, note) {
  const url = server.urls;
  /** @type {RTCConfiguration} */
  const relayed = { iceServers: [server], iceTransportPolicy: "relay" };
  /** @type {Loop | null} */
  let loop = null;
  const start = performance.now();
  try {
    // Throws for a URL that the browser does not take.
    loop = new Loop(relayed, relayed, { note: (seen) => seen.side === "a" && note(seen) });
    await loop.open(PATIENCE_MS);
    const first = await loop.first;
    const afterMs = performance.now() - loop.start;
    if (!first) return { ...SILENCE, url, afterMs, ...worst(loop.errors) };
    const connected = await loop.connected;
    // From here to the server, to the other side and all the way back.
    const roundTrip = connected ? await loop.roundTrip() : Infinity;
    const roundTripMs = Number.isFinite(roundTrip) ? roundTrip / 2 : null;
    // The second side may lack an allocation, where a user may have but one.
    const relays = connected || loop.otherCandidates.length === 0;
    return { url, works: relays, relayed: addressOf(first), roundTripMs, afterMs, ...worst(relays ? [] : loop.errors), relays };
  } catch (error) {
    return { ...SILENCE, url, afterMs: performance.now() - start, text: String(error) };
  } finally {
    loop?.close();
  }
}

/**
 * Gathers candidates by STUN. Nobody answers the offer: browsers stop to gather once a connection
 * is up.
 * @param {string[]} urls
 * @param {(seen: Seen) => void} note
 */
export async function gather(urls, note) {
  const connection = new RTCPeerConnection({ iceServers: urls.length ? [{ urls }] : [] });
  const start = performance.now();
  /** @type {RTCIceCandidate[]} */
  const candidates = [];
  /** @type {import("./loop.js").IceError[]} */
  const errors = [];
  connection.onicecandidate = ({ candidate }) => {
    if (!candidate?.candidate) return;
    candidates.push(candidate);
    note({ side: "a", candidate, afterMs: performance.now() - start });
  };
  connection.onicecandidateerror = ({ url, errorCode, errorText }) => errors.push({ url, code: errorCode, text: errorText });
  try {
    connection.createDataChannel("gather");
    const complete = new Promise((resolve) => {
      connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve(true);
      setTimeout(resolve, PATIENCE_MS, false);
    });
    await connection.setLocalDescription(await connection.createOffer());
    return { isComplete: await complete, candidates, errors, afterMs: performance.now() - start };
  } finally {
    connection.close();
  }
}

/**
 * Tests a STUN URL. Without a NAT a browser reports no other address than its own.
 * @param {string} url
 * @param {(seen: Seen) => void} note
 * @returns {Promise<Row>}
 */
export async function testStun(url, note) {
  let mappedAfter = NaN;
  const start = performance.now();
  try {
    const found = await gather([url], (seen) => {
      if (seen.candidate.type === "srflx" && Number.isNaN(mappedAfter)) mappedAfter = seen.afterMs;
      note(seen);
    });
    const mapped = found.candidates.find(({ type }) => type === "srflx");
    const error = worst(found.errors);
    // Without a NAT nothing is mapped. An answer ends the gathering soon, and silence late.
    const works = !!mapped || (found.isComplete && found.afterMs < SILENT_AFTER_MS && error.code === null);
    const afterMs = mapped ? mappedAfter : found.afterMs;
    return { ...SILENCE, url, works, relays: works, relayed: mapped ? addressOf(mapped) : null, afterMs, ...(works ? {} : error) };
  } catch (error) {
    return { ...SILENCE, url, afterMs: performance.now() - start, text: String(error) };
  }
}

/** @param {string} url @param {RTCIceServer} server @param {(seen: Seen) => void} note */
export const test = (url, server, note) =>
  parse(url)?.kind === "stun" ? testStun(url, note) : testTurn({ ...server, urls: url }, note);

/**
 * The error that says most: an answer of the server before the browser's own.
 * @param {import("./loop.js").IceError[]} errors
 */
function worst(errors) {
  const sorted = [...errors].sort((a, b) => a.code - b.code);
  return { code: sorted[0]?.code ?? null, text: sorted[0]?.text ?? "" };
}

/** @param {RTCIceCandidate} candidate */
export const addressOf = ({ address, port }) => (address && isV6(address) && !address.startsWith("[") ? `[${address}]:${port}` : `${address}:${port}`);
