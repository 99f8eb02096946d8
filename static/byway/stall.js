/** Stall detection: the browser reports `connected`, but nothing arrives from the peer. */

import { countReceived } from "./report.js";

/**
 * Watches an open connection for a stall. A browser detects a silent path by itself after about
 * five seconds, but not if it was suspended meanwhile, as on a machine that sleeps.
 *
 * @param {RTCPeerConnection} connection
 * @param {object} context
 * @param {import("./peer.js").Peer} context.peer
 * @param {() => boolean} context.canSignal
 * @param {() => void} context.onStall Called when nothing arrives from the peer.
 * @param {AbortSignal} context.signal Aborted when the connection is closed.
 * @returns {(timeoutMs?: number) => Promise<void>} Checks at once, for when the peer may be lost.
 */
export function watchForStalls(connection, { peer, canSignal, onStall, signal }) {
  let opened = false;
  /**
   * Number of checks. A later check supersedes an earlier one, which may have begun before a sleep.
   */
  let checks = 0;
  let lastCount = 0;

  const count = async () => countReceived([...(await connection.getStats()).values()]);
  const isConnected = () => connection.connectionState === "connected";
  /** Whether nothing arrives within the timeout. */
  const isSilent = async (/** @type {number} */ timeoutMs) => {
    const mine = ++checks;
    const isOver = () => mine !== checks || signal.aborted;
    if (!opened) return false;
    await pause(SETTLING_MS);
    if (isOver()) return false;
    const before = await count();
    // The peer's browser acknowledges the ping, even if its page is busy.
    peer.ping(timeoutMs).catch(() => {});
    await pause(timeoutMs);
    return !isOver() && (await count()) === before && !isOver();
  };
  const check = async (timeoutMs = ANSWER_MS) => {
    if ((await isSilent(timeoutMs)) && canSignal()) onStall();
  };
  const watch = async () => {
    if (!opened || !isConnected()) return;
    const now = await count();
    const isSuspect = now === lastCount && !signal.aborted;
    lastCount = now;
    // Once the browser reports the loss, an ICE restart is tried first.
    if (isSuspect && (await isSilent(ANSWER_MS)) && isConnected() && canSignal()) onStall();
  };

  peer.addEventListener("open", () => (opened = true), { signal });
  const watching = setInterval(watch, WATCH_MS);
  signal.addEventListener("abort", () => clearInterval(watching));
  return check;
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
