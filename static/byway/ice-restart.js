/** ICE restarts, and the report of relays that do not answer. */

import { countReceived } from "./report.js";

/**
 * @typedef {object} Context
 * @property {(code: string) => void} fail Reports a failure.
 * @property {AbortSignal} signal Aborted when the connection is closed.
 */

/**
 * @typedef {object} RestartContext
 * @property {boolean} polite The role in perfect negotiation.
 * @property {Outage} outage Shared by all connections to this peer.
 * @property {RTCDataChannel} channel A data channel that is open while the connection works.
 * @property {() => boolean} canSignal Whether the server can be reached.
 * @property {() => void} pathLost Called when the path breaks.
 * @property {() => void} replace Replaces the connection by a new one.
 */

/**
 * Attempts to restore the path to a peer since it was last connected. Shared by all connections to
 * that peer.
 * @typedef {{ attempts: number, reported: boolean }} Outage
 */

/**
 * Restarts ICE when the path breaks, with growing pauses and a last attempt. The impolite end goes
 * first. The polite end waits for that offer, so that an outage of both does not make both restart
 * at once.
 *
 * A new connection replaces one that a restart cannot help: it never gathered a candidate, its
 * offer remains unanswered, or its data channels are closed. Firefox closes them when ICE fails. A
 * later restart restores the path, but neither the channels nor the media that Firefox sends
 * (w3c/webrtc-pc issue 3139).
 *
 * @param {RTCPeerConnection} connection
 * @param {Context & RestartContext} context
 * @returns {{ serverLost: () => void, serverBack: () => void }} To be called when that happens.
 */
export function restartWhenBroken(connection, { polite, outage, channel, canSignal, pathLost, replace, fail, signal }) {
  let established = false;
  let gathered = false;
  let opened = false;
  /** Time of the latest local offer, as `performance.now()`. */
  let offeredAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;

  const stop = () => clearTimeout(timer);
  const attemptIn = (/** @type {number} */ ms) => {
    stop();
    // A listener to the failure may have closed the connection.
    if (!signal.aborted) timer = setTimeout(attempt, ms);
  };
  const restartIn = (/** @type {number} */ ms) => {
    const pause = outage.attempts && 1000 * 2 ** outage.attempts;
    attemptIn(ms + pause + (polite ? POLITE_WAIT_MS : 0));
  };
  // A peer without data channels never opens the channel.
  const lostChannel = () => opened && channel.readyState === "closed";
  const attempt = () => {
    if (outage.attempts === MAX_RESTARTS) return fail("connection-lost");
    reportOnce();
    const pending = connection.signalingState !== "stable";
    // A pending offer restarts ICE once it is answered: a peer whose machine sleeps answers when it
    // wakes. Neither this wait nor one for the server counts as an attempt.
    const waiting = pending && !lostChannel() && performance.now() - offeredAt < UNANSWERED_MS;
    if (signal.aborted || waiting || !canSignal()) return attemptIn(RESTART_TIMEOUT_MS);
    outage.attempts += 1;
    if (pending || !gathered || lostChannel()) return replace();
    connection.restartIce();
    restartIn(RESTART_TIMEOUT_MS);
  };
  const isBroken = () => ["disconnected", "failed"].includes(connection.connectionState);
  const reportOnce = () => {
    if (!outage.reported) fail("connection-failed");
    outage.reported = true;
  };

  connection.addEventListener("connectionstatechange", () => {
    switch (connection.connectionState) {
      case "connecting": // ends by itself, unless a signal was lost
        return restartIn(CONNECTING_MS);
      case "disconnected":
        pathLost();
        return restartIn(DISCONNECTED_MS);
      case "failed":
        pathLost();
        reportOnce();
        return restartIn(0);
      case "connected":
        if (lostChannel()) return attemptIn(0);
        established = true;
        outage.attempts = 0;
        outage.reported = false;
        return stop();
    }
  }, { signal });
  connection.addEventListener("signalingstatechange", () => {
    if (connection.signalingState === "have-local-offer") offeredAt = performance.now();
    if (!isBroken() || connection.signalingState !== "have-remote-offer") return;
    // The other end restarts ICE: wait for the result.
    outage.attempts = Math.min(MAX_RESTARTS, outage.attempts + 1);
    restartIn(RESTART_TIMEOUT_MS);
  }, { signal });
  channel.addEventListener("open", () => (opened = true), { signal });
  channel.addEventListener("close", () => {
    // A peer that leaves or replaces the connection closes the channel, too. Its signal arrives
    // meanwhile.
    if (opened) attemptIn(isBroken() ? (polite ? POLITE_WAIT_MS : 0) : RESTART_TIMEOUT_MS);
  }, { signal });
  const gathers = () => (gathered ||= connection.iceGatheringState === "complete");
  connection.addEventListener("icegatheringstatechange", gathers, { signal });
  connection.addEventListener("icecandidate", ({ candidate }) => (gathered ||= candidate !== null), { signal });
  connection.addEventListener("icecandidateerror", () => (gathered = true), { signal });
  signal.addEventListener("abort", stop);
  restartIn(CONNECTING_MS);

  /**
   * Counter of arrivals from the peer at the time when the server was lost.
   * @type {Promise<number> | undefined}
   */
  let countWhenLost;
  const count = async () => countReceived([...(await connection.getStats()).values()]);
  return {
    serverLost: () => (countWhenLost = count()),
    // A change of network cuts off the server and the peers alike, and browsers take seconds to
    // notice. So restart at once if nothing has arrived since.
    serverBack: async () => {
      if (!established || (await count()) > ((await countWhenLost) ?? 0)) return;
      if (connection.signalingState === "stable") connection.restartIce();
    },
  };
}

/**
 * Reports, once per gathering, that no relay answered although only the relay may be used. No
 * connection is possible then.
 *
 * @param {RTCPeerConnection} connection
 * @param {Context} context
 */
export function reportMissingRelay(connection, { fail, signal }) {
  let waiting = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
  const missing = () => {
    const isRelayOnly = connection.getConfiguration().iceTransportPolicy === "relay";
    // A change of network makes the browser gather again, and a candidate that it has is not
    // reported again.
    if (waiting && isRelayOnly && connection.connectionState !== "connected") fail("relay-unreachable");
    waiting = false;
  };
  connection.addEventListener("icecandidate", ({ candidate }) => {
    if (candidate?.type === "relay") waiting = false;
  }, { signal });
  connection.addEventListener("icegatheringstatechange", () => {
    clearTimeout(timer);
    if (connection.iceGatheringState === "complete") return missing();
    waiting = true;
    timer = setTimeout(missing, ALLOCATING_MS);
  }, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
}

const MAX_RESTARTS = 6;
/** Browsers give up on a first path after about 15 s. */
const CONNECTING_MS = 20_000;
/**
 * The browser has waited about 5 s by itself. A restart does no harm to a path that recovers
 * meanwhile.
 */
const DISCONNECTED_MS = 500;
/** Long enough for a restart to succeed. */
const RESTART_TIMEOUT_MS = 4_000;
/** The impolite end may notice one check later, and its offer takes time to arrive. */
const POLITE_WAIT_MS = 1_000;
/** Signals arrive or are sent again. After this time the peer sleeps, or a signal was lost. */
const UNANSWERED_MS = 30_000;
/** An allocation takes two round trips, over TLS about four. */
const ALLOCATING_MS = 8_000;
