/** Fresh credentials in time: a relayed path moves to new allocations before those it uses lose theirs. */

import { usesOwnRelay } from "./report.js";

/**
 * Restarts ICE once this end's relay candidates are about to outlive the credentials that they were gathered with. The
 * old path carries the media until the new one is chosen, so that nothing is lost.
 *
 * Each end looks after its own candidates, and any restart gathers anew at both. To keep it to one, the impolite end makes
 * them all: the polite one asks for them, and acts itself only where nothing comes of that. Either leaves the other time
 * to be first, so that configurations that come close together share a restart.
 *
 * @param {RTCPeerConnection} connection
 * @param {object} context
 * @param {boolean} context.polite
 * @param {() => boolean} context.canSignal
 * @param {() => void} context.ask Asks the other end for a restart.
 * @param {number} context.expires When the credentials in the connection's configuration do, as `Date.now()`.
 * @param {AbortSignal} context.signal Aborted when the connection is closed.
 * @returns {{ renewed: (expires: number) => void, asked: () => void }} To be called when the connection was given other
 *   credentials, and when the other end asks for a restart.
 */
export function rotate(connection, { polite, canSignal, ask, expires: newest, signal }) {
  /** When the credentials of the candidates in use expire. */
  let inUse = newest;
  /** Names the candidates in use: another one after each restart. @type {string | undefined} */ let fragment;
  let due = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;

  const settle = () => {
    clearTimeout(timer);
    timer = undefined;
    due = false;
  };
  const renewed = (/** @type {number} */ expires) => {
    newest = expires;
    if (newest <= inUse || timer !== undefined || signal.aborted) return;
    const wait = Math.max(0, inUse - Date.now()) * (polite ? POLITE_SHARE : IMPOLITE_SHARE) * (1 + SPREAD * Math.random());
    timer = setTimeout(() => {
      timer = undefined;
      due = true;
      act();
    }, Math.min(wait, LONGEST_WAIT_MS));
  };
  /** Now, or as soon as it matters and something can be done about it. */
  const act = async () => {
    if (!due || !canSignal() || connection.connectionState !== "connected") return;
    const relayed = usesOwnRelay([...(await connection.getStats()).values()]);
    if (!due || !relayed || signal.aborted) return;
    due = false;
    if (!polite) return connection.restartIce();
    ask();
    timer = setTimeout(() => {
      timer = undefined;
      connection.restartIce();
    }, ANSWER_MS);
  };

  connection.addEventListener("signalingstatechange", () => {
    const [, now] = /a=ice-ufrag:(\S+)/.exec(connection.localDescription?.sdp ?? "") ?? [];
    if (now === undefined || now === fragment) return;
    fragment = now;
    inUse = newest;
    settle();
  }, { signal });
  // What was not needed on a direct path may be on another one.
  connection.addEventListener("connectionstatechange", act, { signal });
  connection.addEventListener("signalingstatechange", () => {
    connection.sctp?.transport?.iceTransport?.addEventListener("selectedcandidatepairchange", act, { signal });
  }, { signal });
  signal.addEventListener("abort", settle);

  return {
    renewed,
    // An offer of ours that is not answered yet already does what they ask for.
    asked: () => connection.signalingState === "stable" && connection.restartIce(),
  };
}

/** Of the time that is left: so much before its end a restart may even fail and be made again. */
const IMPOLITE_SHARE = 0.4;
/** Later than the other end, which then may have acted already. */
const POLITE_SHARE = 0.5;
/** A part more, at random: the connections of a large call, and those of a server's calls, are not to restart all at once. */
const SPREAD = 0.2;
/** What a timer can wait for: 2^31 ms. */
const LONGEST_WAIT_MS = 2_147_483_647;
/** Long enough for an offer to come across the world. */
const ANSWER_MS = 5_000;
