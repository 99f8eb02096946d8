/**
 * Credential refresh: an ICE restart moves a relayed path to new allocations before the credentials
 * of the old ones expire.
 */

import { usesOwnRelay } from "./report.js";

/**
 * Restarts ICE before the credentials of this end's relay candidates expire. The old path carries
 * media until ICE has selected the new one, so nothing is lost.
 *
 * A restart gathers candidates at both ends, so one restart serves both. The impolite end makes it.
 * The polite end requests it, and restarts ICE itself if the other end does not.
 *
 * @param {RTCPeerConnection} connection
 * @param {object} context
 * @param {boolean} context.polite
 * @param {() => boolean} context.canSignal
 * @param {() => void} context.requestRestart Requests a restart from the other end.
 * @param {number} context.expires When the credentials in the connection's configuration expire, as
 *   `Date.now()`.
 * @param {AbortSignal} context.signal Aborted when the connection is closed.
 * @returns {{ refreshed: (expires: number) => void, restartRequested: () => void }} To be called
 *   when the connection has fresh credentials, and when the other end requests a restart.
 */
export function refreshCredentials(connection, { polite, canSignal, requestRestart, expires: newest, signal }) {
  /** When the credentials of the candidates in use expire. */
  let inUse = newest;
  /**
   * ICE username fragment of the candidates in use. Each restart changes it.
   * @type {string | undefined}
   */
  let fragment;
  let due = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;

  const cancel = () => {
    clearTimeout(timer);
    timer = undefined;
    due = false;
  };
  const refreshed = (/** @type {number} */ expires) => {
    newest = expires;
    if (newest <= inUse || timer !== undefined || signal.aborted) return;
    const wait = Math.max(0, inUse - Date.now()) * (polite ? POLITE_SHARE : IMPOLITE_SHARE) * (1 + SPREAD * Math.random());
    timer = setTimeout(() => {
      timer = undefined;
      due = true;
      restartIfDue();
    }, Math.min(wait, LONGEST_WAIT_MS));
  };
  /** Restarts ICE if that is due and possible. Otherwise a later event tries again. */
  const restartIfDue = async () => {
    if (!due || !canSignal() || connection.connectionState !== "connected") return;
    const relayed = usesOwnRelay([...(await connection.getStats()).values()]);
    if (!due || !relayed || signal.aborted) return;
    due = false;
    if (!polite) return connection.restartIce();
    requestRestart();
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
    cancel();
  }, { signal });
  // A direct path needs no restart; the path that follows it may.
  connection.addEventListener("connectionstatechange", restartIfDue, { signal });
  connection.addEventListener("signalingstatechange", () => {
    connection.sctp?.transport?.iceTransport?.addEventListener("selectedcandidatepairchange", restartIfDue, { signal });
  }, { signal });
  signal.addEventListener("abort", cancel);

  return {
    refreshed,
    // A pending offer of this end already restarts ICE.
    restartRequested: () => connection.signalingState === "stable" && connection.restartIce(),
  };
}

/**
 * Share of the remaining lifetime to wait. It leaves time for a second restart if the first one
 * fails.
 */
const IMPOLITE_SHARE = 0.4;
/** Later than the impolite end, whose restart makes this one needless. */
const POLITE_SHARE = 0.5;
/** Random extra share, which spreads the restarts of one server's calls. */
const SPREAD = 0.2;
/** Longest delay of setTimeout: 2^31 ms. */
const LONGEST_WAIT_MS = 2_147_483_647;
/** Long enough for an offer to arrive from anywhere. */
const ANSWER_MS = 5_000;
