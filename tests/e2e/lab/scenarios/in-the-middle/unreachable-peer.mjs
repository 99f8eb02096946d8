/**
 * A peer's candidate to which the relay knows no way, beside a good one: its sends fail with
 * ENETUNREACH.
 */
import assert from "node:assert/strict";

import { afterwards } from "../../../browser/afterwards.mjs";
import { videoFlows } from "../../../browser/connections.mjs";
import { addressOf, peers } from "../../../browser/page.mjs";
import { UNREACHABLE } from "../../../browser/visit.mjs";
import { longestGap, watchMedia } from "../../media.mjs";
import { measured } from "../measured.mjs";
import { TABLE, goesOn } from "./call.mjs";

const NAME = "the relay knows no way to one of the candidates";
const UNSENT = 'byway_dropped_packets_total{reason="send_failed"}';

/**
 * @param {import("../../lab.mjs").Lab} lab
 * @param {{ relays?: import("./call.mjs").Relay[] }} [options]
 */
export function unreachablePeer(lab, { relays = ["byway"] } = {}) {
  measured({ table: TABLE, name: NAME, relays }, async (scenario, relay) => {
    await lab.arrange({});
    const node = relay === "coturn" ? "other" : "server";
    lab.network.route(node, false);
    afterwards(scenario, () => lab.network.route(node, true));
    // As an operator has it who serves a company's own network, too.
    const server = await lab.serve(scenario, { relay, offers: ["udp"], peers: ["192.168.0.0/16"] });

    // One uses the relay alone, the other tells all its candidates: those of its home are the ones
    // out of reach.
    const pages = [];
    for (const side of ["a", "b"]) {
      pages.push(await lab.join(scenario, side, addressOf(server.origin, "tea", { relay: side === "a" }), { tolerated: UNREACHABLE }));
    }
    await Promise.all(pages.map((page) => peers(page, 1)));
    await videoFlows(...pages);
    await watchMedia(...pages);
    await videoFlows(...pages);
    const path = await goesOn(pages);
    const gapMs = await longestGap(...pages);
    // The other's counters are not ours to read.
    if (relay === "byway") {
      assert.ok((await server.metric(UNSENT)) > 0, "a candidate was out of reach");
      // The one that is not used may have been given back by its browser by now.
      assert.ok((await server.metric("byway_allocations")) > 0, "the allocation that is used goes on");
      assert.ok((await server.metric("byway_allocations_granted_total")) <= pages.length, "nobody had to begin anew");
    }
    return { path, gapMs };
  });
}
