/** Stall detection: the browser reports `connected`, but nothing arrives from the peer. */

import { countReceived } from "./report.js";

/**
 * Watches a connection for a stall, from the moment that it is connected. A browser detects a
 * silent path by itself after about five seconds, but not if it was suspended meanwhile, as on a
 * machine that sleeps.
 *
 * @param {RTCPeerConnection} connection
 * @param {object} context
 * @param {import("./peer.js").Peer} context.peer
 * @param {import("./ice-restart.js").Outage} context.outage Shared by all connections to this peer.
 * @param {() => boolean} context.canSignal
 * @param {() => void} context.onStall Called when nothing arrives from the peer.
 * @param {AbortSignal} context.signal Aborted when the connection is closed.
 * @returns {(timeoutMs?: number) => Promise<void>} Checks at once, for when the peer may be lost.
 */
export function watchForStalls(connection, { peer, outage, canSignal, onStall, signal }) {
  let opened = false;
  /**
   * Number of checks. A later check supersedes an earlier one, which may have begun before a sleep.
   */
  let checks = 0;
  let lastCount = -1;
  let silentWatches = 0;

  const count = async () => countReceived([...(await connection.getStats()).values()]);
  const isConnected = () => connection.connectionState === "connected";
  /** Whether nothing arrives within the timeout. */
  const isSilent = async (/** @type {number} */ timeoutMs) => {
    const mine = ++checks;
    const isOver = () => mine !== checks || signal.aborted;
    if (!opened && !isConnected()) return false;
    await pause(SETTLING_MS);
    if (isOver()) return false;
    const before = await count();
    // The peer's browser acknowledges the ping, even if its page is busy.
    peer.ping(timeoutMs).catch(() => {});
    await pause(timeoutMs);
    return !isOver() && (await count()) === before && !isOver();
  };
  const replace = () => {
    if (!canSignal()) return;
    if (!opened) outage.unheard = (outage.unheard ?? 0) + 1;
    onStall();
  };
  const check = async (timeoutMs = ANSWER_MS) => {
    if (await isSilent(timeoutMs)) replace();
  };
  const watch = async () => {
    if (!isConnected()) return;
    const now = await count();
    if (signal.aborted) return;
    silentWatches = now === lastCount ? silentWatches + 1 : 0;
    lastCount = now;
    // A peer without data channels that sends no media is silent by nature in Firefox, which does
    // not count the answers to its checks. So such a peer gets ever more time.
    const needed = opened ? 1 : 2 ** (outage.unheard ?? 0);
    // Once the browser reports the loss, an ICE restart is tried first.
    if (silentWatches >= needed && (await isSilent(ANSWER_MS)) && isConnected()) replace();
  };

  peer.addEventListener("open", () => (opened = true), { signal });
  const watching = setInterval(watch, WATCH_MS);
  signal.addEventListener("abort", () => clearInterval(watching));
  return check;
}

/**
 * Whether a peer counts as heard. The browser's own state is late by five seconds or more, and a
 * picture that stands must not be shown as a path that works.
 *
 * @param {Pick<RTCPeerConnection, "connectionState">} connection
 * @param {number | null} silentMs Milliseconds since anything arrived. Null if that is not known.
 * @param {boolean} sendsMedia Whether the peer sends sound or picture, as far as it said.
 */
export function isHeard({ connectionState }, silentMs, sendsMedia) {
  return connectionState === "connected" && (silentMs ?? 0) <= (sendsMedia ? MEDIA_SILENCE_MS : CONSENT_SILENCE_MS);
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Media arrives continuously, and consent checks every few seconds (RFC 7675). */
const WATCH_MS = 5_000;
/**
 * Time to read the packets that waited in a socket during a sleep. They say nothing about the
 * current path.
 */
const SETTLING_MS = 300;
/** A few round trips of a slow mobile network. Too short a wait costs one new connection. */
const ANSWER_MS = 2_000;
/** A packet of sound comes every 20 ms, and of silence every 400 ms. */
const MEDIA_SILENCE_MS = 3_000;
/** Answers to consent checks: one may be lost. */
const CONSENT_SILENCE_MS = 7_000;
