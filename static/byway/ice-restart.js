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
 * Course of an outage. Shared by all connections to a peer. `attempts`: restarts and replacements
 * that this end has made since the peer was last connected or gave a sign of life. `unheard`:
 * replaced connections that never delivered anything.
 * @typedef {{ attempts: number, reported: boolean, unheard?: number }} Outage
 */

/**
 * Restarts ICE when the path breaks, with growing pauses and a last attempt. The impolite end goes
 * first. The polite end waits for that offer, so that an outage of both does not make both restart
 * at once.
 *
 * A new connection replaces one that a restart cannot help: it never gathered a candidate, its
 * offer remains unanswered, it has a path but no encryption, or its data channels are closed.
 * Firefox closes them when ICE fails. A later restart restores the path, but neither the channels
 * nor the media that Firefox sends (w3c/webrtc-pc issue 3139).
 *
 * A sign of life resets the pauses: a peer that answers after a long time was asleep, and the
 * attempts before say nothing about the path.
 *
 * @param {RTCPeerConnection} connection
 * @param {Context & RestartContext} context
 * @returns {{ serverLost: () => void, serverBack: () => void, retry: () => void }} To be called
 *   when the server is lost or back, and when the network may have changed.
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
    const pause = outage.attempts && Math.min(MAX_PAUSE_MS, 1000 * 2 ** outage.attempts);
    attemptIn(ms + pause + (polite ? POLITE_WAIT_MS : 0));
  };
  // A peer without data channels never opens the channel.
  const lostChannel = () => opened && channel.readyState === "closed";
  // ICE has a path, and the handshake over it does not end.
  const isUnencrypted = () =>
    connection.connectionState === "connecting" && ["connected", "completed"].includes(connection.iceConnectionState);
  const attempt = () => {
    if (outage.attempts >= MAX_RESTARTS) return fail("connection-lost");
    reportOnce();
    const pending = connection.signalingState !== "stable";
    // A pending offer restarts ICE once it is answered: a peer whose machine sleeps answers when it
    // wakes. Neither this wait nor one for the server counts as an attempt.
    const waiting = pending && gathered && !lostChannel() && performance.now() - offeredAt < UNANSWERED_MS;
    if (signal.aborted || waiting || !canSignal()) return attemptIn(RESTART_TIMEOUT_MS);
    outage.attempts += 1;
    if (pending || !gathered || lostChannel() || isUnencrypted()) return replace();
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
  let offers = false;
  connection.addEventListener("signalingstatechange", () => {
    const { signalingState } = connection;
    if (signalingState === "stable" && offers && performance.now() - offeredAt > RESTART_TIMEOUT_MS) outage.attempts = 0;
    offers = signalingState === "have-local-offer";
    if (offers) offeredAt = performance.now();
    // The other end restarts ICE: wait for the result. Its offer is no attempt of this end.
    if (isBroken() && signalingState === "have-remote-offer") restartIn(RESTART_TIMEOUT_MS);
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

  /** Begins again: attempts in another network, or before a sleep, say nothing about this one. */
  const retry = () => {
    const gaveUp = outage.attempts >= MAX_RESTARTS;
    outage.attempts = 0;
    if (gaveUp || connection.connectionState === "failed") restartIn(0);
  };
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
      retry();
      if (!established || (await count()) > ((await countWhenLost) ?? 0)) return;
      if (connection.signalingState === "stable") connection.restartIce();
    },
    retry,
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
/** Longest addition to the time between two attempts. */
const MAX_PAUSE_MS = 8_000;
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
