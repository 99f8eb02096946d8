/** Stall detection: a connection is called connected, but nothing arrives from the peer. */

import { countHeard } from "./report.js";

/**
 * Watches an open connection, and calls back when nothing arrives from the peer. A browser notices
 * a silent path after about five seconds by itself, but not if it was suspended meanwhile, as on a
 * machine that sleeps.
 *
 * @param {RTCPeerConnection} connection
 * @param {object} context
 * @param {import("./peer.js").Peer} context.peer
 * @param {() => boolean} context.canSignal
 * @param {() => void} context.stalled
 * @param {AbortSignal} context.signal Aborted when the connection is closed.
 * @returns {(patienceMs?: number) => Promise<void>} Checks at once, for when the peer may be lost.
 */
export function watchForStalls(connection, { peer, canSignal, stalled, signal }) {
  let opened = false;
  /**
   * Number of checks. A later check supersedes an earlier one, which may have begun before a sleep.
   */
  let checks = 0;
  let heard = 0;

  const count = async () => countHeard([...(await connection.getStats()).values()]);
  const isConnected = () => connection.connectionState === "connected";
  /** Whether nothing arrives for this long. */
  const isSilent = async (/** @type {number} */ patienceMs) => {
    const mine = ++checks;
    const isOver = () => mine !== checks || signal.aborted;
    if (!opened) return false;
    await pause(SETTLING_MS);
    if (isOver()) return false;
    const before = await count();
    peer.ping(patienceMs).catch(() => {}); // the peer's browser acknowledges it, even if its page is busy
    await pause(patienceMs);
    return !isOver() && (await count()) === before && !isOver();
  };
  const check = async (patienceMs = ANSWER_MS) => {
    if ((await isSilent(patienceMs)) && canSignal()) stalled();
  };
  const watch = async () => {
    if (!opened || !isConnected()) return;
    const now = await count();
    const isSuspect = now === heard && !signal.aborted;
    heard = now;
    // Once the browser reports the loss, an ICE restart is tried first.
    if (isSuspect && (await isSilent(ANSWER_MS)) && isConnected() && canSignal()) stalled();
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
 * Packets that waited in a socket during a sleep are read by then. They say nothing about the path
 * now.
 */
const SETTLING_MS = 300;
/** A few round trips of a slow mobile network. Too short a wait costs one new connection. */
const ANSWER_MS = 2_000;
