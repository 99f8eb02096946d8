/** Connections that stand still: nothing comes from the other end, whatever state the browser gives. */

import { countHeard } from "./report.js";

/**
 * Watches a connection once messages can be sent over it, and calls back where nothing comes from the other end. A browser
 * loses a silent path after some five seconds by itself, but not where it stood still meanwhile, as while a machine sleeps.
 *
 * @param {RTCPeerConnection} connection
 * @param {object} context
 * @param {import("./peer.js").Peer} context.peer
 * @param {() => boolean} context.canSignal
 * @param {() => void} context.stalled
 * @param {AbortSignal} context.signal Aborted when the connection is closed.
 * @returns {(patienceMs?: number) => Promise<void>} To be called when the other end may be lost.
 */
export function watchForStalls(connection, { peer, canSignal, stalled, signal }) {
  let opened = false;
  /** Counts the looks: a later one takes the place of one that is under way, which may have begun before a sleep. */
  let looks = 0;
  let heard = 0;

  const count = async () => countHeard([...(await connection.getStats()).values()]);
  const isConnected = () => connection.connectionState === "connected";
  /** Whether nothing comes for so long. */
  const isSilent = async (/** @type {number} */ patienceMs) => {
    const mine = ++looks;
    const isOver = () => mine !== looks || signal.aborted;
    if (!opened) return false;
    await pause(SETTLING_MS);
    if (isOver()) return false;
    const before = await count();
    peer.ping(patienceMs).catch(() => {}); // the other end's browser acknowledges it, even where its page is busy
    await pause(patienceMs);
    return !isOver() && (await count()) === before && !isOver();
  };
  const look = async (patienceMs = ANSWER_MS) => {
    if ((await isSilent(patienceMs)) && canSignal()) stalled();
  };
  const watch = async () => {
    if (!opened || !isConnected()) return;
    const now = await count();
    const isSuspect = now === heard && !signal.aborted;
    heard = now;
    // Once the browser itself tells of it, ICE is restarted first.
    if (isSuspect && (await isSilent(ANSWER_MS)) && isConnected() && canSignal()) stalled();
  };

  peer.addEventListener("open", () => (opened = true), { signal });
  const watching = setInterval(watch, WATCH_MS);
  signal.addEventListener("abort", () => clearInterval(watching));
  return look;
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Media come all the time, and checks of consent every few seconds (RFC 7675). */
const WATCH_MS = 5_000;
/** Packets that have waited in a socket while we slept are read by then: they tell nothing of now. */
const SETTLING_MS = 300;
/** Some round trips of a slow mobile network. To have been too impatient costs no more than another connection. */
const ANSWER_MS = 2_000;
