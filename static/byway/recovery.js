/** ICE restarts, and what is said where no relay answers. */

import { countHeard } from "./report.js";

/**
 * @typedef {object} Context
 * @property {(code: string) => void} fail Says what failed.
 * @property {AbortSignal} signal Aborted when the connection is closed.
 */

/**
 * Restarts ICE when there is no path, with growing pauses and an end. The impolite side goes first; the polite one
 * waits long enough to see that offer, so that a common outage does not make both restart at once.
 *
 * @param {RTCPeerConnection} connection
 * @param {Context & { polite: boolean, canSignal: () => boolean, doubt: () => void }} context `doubt`: called when a path
 *   breaks.
 * @returns {{ serverLost: () => void, serverBack: () => void }} To be called when that happens.
 */
export function restartWhenBroken(connection, { polite, canSignal, doubt, fail, signal }) {
  /** Restarts since it last was connected, by either side. */
  let attempts = 0;
  let told = false;
  let established = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;

  const stop = () => clearTimeout(timer);
  const restartIn = (/** @type {number} */ ms) => {
    stop();
    if (signal.aborted) return; // by who was just told of the failure
    const pause = (polite ? POLITE_WAIT_MS : 0) + (attempts && 1000 * 2 ** attempts);
    timer = setTimeout(restart, ms + pause);
  };
  const restart = () => {
    if (attempts === MAX_RESTARTS) return fail("connection-lost");
    tellOnce();
    if (canSignal() && !signal.aborted) {
      attempts += 1;
      // Asked for while an offer is still unanswered, it would restart once more what that offer has mended.
      if (connection.signalingState === "stable") connection.restartIce();
    }
    restartIn(HEALING_MS);
  };
  const tellOnce = () => {
    if (!told) fail("connection-failed");
    told = true;
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
        established = true;
        attempts = 0;
        told = false;
        return stop();
    }
  }, { signal });
  connection.addEventListener("signalingstatechange", () => {
    const broken = ["disconnected", "failed"].includes(connection.connectionState);
    if (!broken || connection.signalingState !== "have-remote-offer") return;
    // The other side is restarting: see whether that helps.
    attempts = Math.min(MAX_RESTARTS, attempts + 1);
    restartIn(HEALING_MS);
  }, { signal });
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
/** An allocation takes two round trips, over TLS some four. */
const ALLOCATING_MS = 8_000;
