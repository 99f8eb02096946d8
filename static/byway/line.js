/** One connection to a peer, with all that sets it up and keeps it going. */

import { connectionError, relaysOf } from "./errors.js";
import { negotiate, sendStream } from "./negotiation.js";
import { attach } from "./peer.js";
import { reportMissingRelay, restartWhenBroken } from "./recovery.js";
import { rotate } from "./rotation.js";
import { watchForStalls } from "./stall.js";

/** @typedef {import("./negotiation.js").Signal} Signal */

/**
 * What a line has to know of the call that it belongs to.
 * @typedef {object} Surroundings
 * @property {(data: Signal) => void} tell Says something to the other end of the line.
 * @property {() => void} replace Puts another connection in the place of this one, and offers it to the other end.
 * @property {(data: Signal) => void} cede Puts another connection in the place of this one, which answers this offer.
 * @property {(error: import("./errors.js").BywayError) => void} fail
 * @property {() => boolean} canSignal
 * @property {() => void} doubt Called when the path breaks.
 */

/**
 * A connection, and what it is to be told.
 * @typedef {object} Line
 * @property {number} epoch Its number among those to this peer.
 * @property {RTCIceTransportPolicy | undefined} policy
 * @property {(data: Signal) => void} receive
 * @property {(configuration: RTCConfiguration, expires: number) => void} renew Other servers or credentials.
 * @property {() => void} look The other end may be lost, or we may have slept: replaced where nothing comes from there.
 * @property {() => void} serverLost
 * @property {() => void} serverBack We were there all the time, for the server and so for the others.
 * @property {() => void} end
 */

/**
 * Gives a peer a connection, in place of the one before.
 *
 * @param {import("./peer.js").Peer} peer
 * @param {object} terms
 * @param {boolean} terms.polite
 * @param {boolean} terms.offering Whether the first offer is ours to make.
 * @param {number} terms.epoch
 * @param {import("./recovery.js").Outage} terms.outage
 * @param {RTCConfiguration} terms.configuration
 * @param {number} terms.expires When the credentials in it do, as `Date.now()`.
 * @param {MediaStream | null} terms.stream What to send.
 * @param {Surroundings} surroundings
 * @returns {Line}
 */
export function connect(peer, { polite, offering, epoch, outage, configuration, expires, stream }, surroundings) {
  const { canSignal, doubt, replace, cede } = surroundings;
  const over = new AbortController();
  const { signal } = over;
  const connection = new RTCPeerConnection(configuration);
  signal.addEventListener("abort", () => connection.close());

  /** Nothing of a connection that has been replaced: the next one may have its number. */
  const tell = (/** @type {Signal} */ data) => signal.aborted || surroundings.tell({ epoch, ...data });
  /** Relays that were asked for candidates: others may have come into the configuration since. @type {string[]} */
  let asked = [];
  connection.addEventListener("icegatheringstatechange", () => {
    if (connection.iceGatheringState === "gathering") asked = relaysOf(connection);
  }, { signal });
  const fail = (/** @type {string} */ code) => surroundings.fail(connectionError(code, peer, asked));
  const negotiation = negotiate(connection, { polite, offering, tell, cede });
  const rotation = rotate(connection, { polite, canSignal, ask: () => tell({ restart: true }), expires, signal });
  const channel = attach(peer, connection);
  const recovery = restartWhenBroken(connection, { polite, outage, channel, canSignal, doubt, replace, fail, signal });
  const look = watchForStalls(connection, { peer, canSignal, stalled: replace, signal });
  reportMissingRelay(connection, { fail, signal });
  sendStream(connection, stream);

  return {
    epoch,
    policy: configuration.iceTransportPolicy,
    receive: (data) => (data.restart ? rotation.asked() : negotiation(data)),
    renew(fresh, until) {
      if (connection.signalingState === "closed") return;
      connection.setConfiguration(fresh);
      rotation.renewed(until);
    },
    look: () => void look(),
    serverLost: recovery.serverLost,
    serverBack() {
      recovery.serverBack();
      look(RESTARTING_MS);
    },
    end: () => over.abort(),
  };
}

/** Long enough for an ICE restart to bring something, also over a relay in a slow mobile network. */
const RESTARTING_MS = 4_000;
