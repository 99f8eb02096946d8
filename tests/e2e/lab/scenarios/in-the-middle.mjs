/**
 * Disturbances of running calls. Each part can also run alone.
 */
import { moving } from "./in-the-middle/moving.mjs";
import { rebinding } from "./in-the-middle/rebinding.mjs";
import { unreachablePeer } from "./in-the-middle/unreachable-peer.mjs";
import { killedBrowser, pulledCable } from "./in-the-middle/vanishing.mjs";

export { longCall } from "./in-the-middle/long-call.mjs";
export { killedBrowser, moving, pulledCable, rebinding, unreachablePeer };

/**
 * All of it but the long call, which lasts ten minutes and is to run beside the others, in a
 * laboratory of its own.
 *
 * @param {import("../lab.mjs").Lab} lab
 * @param {{ relays?: ("byway" | "coturn")[] }} [options] Who is to relay.
 */
export function inTheMiddle(lab, { relays = ["byway"] } = {}) {
  rebinding(lab, { relays });
  moving(lab, { relays });
  unreachablePeer(lab, { relays });
  killedBrowser(lab);
  pulledCable(lab);
}
