/** ICE restarts, and what is said where no relay answers. */

import { countHeard } from "./report.js";

/**
 * @typedef {object} Context
 * @property {(code: string) => void} fail Says what failed.
 * @property {AbortSignal} signal Aborted when the connection is closed.
 */

/**
 * Attempts to get a peer's path back since there last was one. It outlives each connection that takes part in them.
 * @typedef {{ attempts: number, told: boolean }} Outage
 */

/**
 * Restarts ICE when there is no path, with growing pauses and an end. The impolite side goes first; the polite one
 * waits long enough to see that offer, so that a common outage does not make both restart at once.
 *
 * Another connection takes the place of one that a restart cannot help: it has never gathered a candidate, its offer stays
 * without an answer, or its data channels are closed. Firefox closes them when ICE fails. A restart then brings a path, but
 * neither the channels nor what Firefox sends (w3c/webrtc-pc issue 3139).
 *
 * @param {RTCPeerConnection} connection
 * @param {Context & { polite: boolean, outage: Outage, channel: RTCDataChannel, canSignal: () => boolean, doubt: () => void,
 *   replace: () => void }} context `channel`: one that is open as long as the connection. `doubt`: called when a path breaks.
 * @returns {{ serverLost: () => void, serverBack: () => void }} To be called when that happens.
 */
export function restartWhenBroken(connection, { polite, outage, channel, canSignal, doubt, replace, fail, signal }) {
  let established = false;
  let gathered = false;
  let opened = false;
  /** Start of the exchange of descriptions that is not over yet, as `performance.now()`. */
  let offeredAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;

  const stop = () => clearTimeout(timer);
  const actIn = (/** @type {number} */ ms) => {
    stop();
    if (!signal.aborted) timer = setTimeout(act, ms); // it is by who was just told of the failure
  };
  const restartIn = (/** @type {number} */ ms) => {
    const pause = outage.attempts && 1000 * 2 ** outage.attempts;
    actIn(ms + pause + (polite ? POLITE_WAIT_MS : 0));
  };
  // A peer that does not speak of data channels never opens it.
  const isSpent = () => opened && channel.readyState === "closed";
  const act = () => {
    if (outage.attempts === MAX_RESTARTS) return fail("connection-lost");
    tellOnce();
    const pending = connection.signalingState !== "stable";
    // An offer that has no answer yet would, once answered, restart what a second one restarts again. A peer whose machine
    // sleeps answers when it wakes. Neither that wait nor one for the server is an attempt, nor makes the next one later.
    const waiting = pending && !isSpent() && performance.now() - offeredAt < UNANSWERED_MS;
    if (signal.aborted || waiting || !canSignal()) return actIn(HEALING_MS);
    outage.attempts += 1;
    if (pending || !gathered || isSpent()) return replace();
    connection.restartIce();
    restartIn(HEALING_MS);
  };
  const isBroken = () => ["disconnected", "failed"].includes(connection.connectionState);
  const tellOnce = () => {
    if (!outage.told) fail("connection-failed");
    outage.told = true;
  };

  connection.addEventListener("connectionstatechange", () => {
    switch (connection.connectionState) {
      case "connecting": // ends by itself, unless what was told got lost
        return restartIn(CONNECTING_MS);
      case "disconnected":
        doubt();
        return restartIn(LAST_CHANCE_MS);
      case "failed":
        doubt();
        tellOnce();
        return restartIn(0);
      case "connected":
        if (isSpent()) return actIn(0);
        established = true;
        outage.attempts = 0;
        outage.told = false;
        return stop();
    }
  }, { signal });
  connection.addEventListener("signalingstatechange", () => {
    if (connection.signalingState === "have-local-offer") offeredAt = performance.now();
    if (!isBroken() || connection.signalingState !== "have-remote-offer") return;
    // The other side is restarting: see whether that helps.
    outage.attempts = Math.min(MAX_RESTARTS, outage.attempts + 1);
    restartIn(HEALING_MS);
  }, { signal });
  channel.addEventListener("open", () => (opened = true), { signal });
  channel.addEventListener("close", () => {
    // A peer that leaves or replaces the connection closes it, too, and tells by signaling.
    if (opened) actIn(isBroken() ? (polite ? POLITE_WAIT_MS : 0) : HEALING_MS);
  }, { signal });
  const gathers = () => (gathered ||= connection.iceGatheringState === "complete");
  connection.addEventListener("icegatheringstatechange", gathers, { signal });
  connection.addEventListener("icecandidate", ({ candidate }) => (gathered ||= candidate !== null), { signal });
  connection.addEventListener("icecandidateerror", () => (gathered = true), { signal });
  signal.addEventListener("abort", stop);
  restartIn(CONNECTING_MS);

  /** What had come from the other end when the server was lost. @type {Promise<number> | undefined} */
  let heard;
  const count = async () => countHeard([...(await connection.getStats()).values()]);
  return {
    serverLost: () => (heard = count()),
    // Another network parts us from the server and from the others alike. Browsers take seconds to notice: where nothing has
    // come since, we do not wait for that.
    serverBack: async () => {
      if (!established || (await count()) > ((await heard) ?? 0)) return;
      if (connection.signalingState === "stable") connection.restartIce();
    },
  };
}

/**
 * Under the relay policy a relay that cannot be used means that nothing will ever come: say so, once per gathering.
 *
 * @param {RTCPeerConnection} connection
 * @param {Context} context
 */
export function reportMissingRelay(connection, { fail, signal }) {
  let waiting = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
  const missing = () => {
    if (waiting && connection.getConfiguration().iceTransportPolicy === "relay") fail("relay-unreachable");
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
/** Browsers give a first path up after some 15 s: by then they have said so, or nothing came to try. */
const CONNECTING_MS = 20_000;
/** By then the browser has waited some 5 s by itself, and a restart takes nothing from a path that heals meanwhile. */
const LAST_CHANCE_MS = 500;
/** Long enough for a restart to be seen to work. */
const HEALING_MS = 4_000;
/** The impolite side notices up to a check later, and its offer takes its time; where both meet, one is taken back. */
const POLITE_WAIT_MS = 1_000;
/** Signals arrive or are said again: by then the other end sleeps, or what it was told got lost. */
const UNANSWERED_MS = 30_000;
/** An allocation takes two round trips, over TLS some four. */
const ALLOCATING_MS = 8_000;
