/**
 * A peer's candidate to which the relay knows no way, beside a good one: its sends fail with ENETUNREACH.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { echoes, videoFlows } from "../../../browser/connections.mjs";
import { addressOf, peers } from "../../../browser/page.mjs";
import { longestGap, watchMedia } from "../../media.mjs";
import { goesOn, report } from "./call.mjs";

const UNSENT = 'byway_dropped_packets_total{reason="send_failed"}';

/** @param {import("../../lab.mjs").Lab} lab @param {{ relays?: ("byway" | "coturn")[] }} [options] */
export function unreachablePeer(lab, { relays = ["byway"] } = {}) {
  for (const relay of relays) {
    test(`a relay knows no way to a candidate beside a good one, ${relay}`, async (scenario) => {
      await lab.arrange({});
      const node = relay === "coturn" ? "other" : "server";
      lab.network.route(node, false);
      scenario.after(() => lab.network.route(node, true));
      // As an operator allows who serves a company's own network, too.
      const server = await lab.serve(scenario, { relay, offers: ["udp"], peers: ["192.168.0.0/16"] });
      const what = "no way to one of the candidates";
      try {
        const { path, gapMs } = await survives(lab, scenario, server.origin);
        report(scenario, { scenario: what, relay, path, gapMs });
      } catch (error) {
        if (relay === "byway") throw error;
        return report(scenario, { scenario: what, relay, path: "none", failure: error.message });
      }
      if (relay !== "byway") return;
      assert.ok((await server.metric(UNSENT)) > 0, "some candidate was out of reach");
      const granted = await server.metric("byway_allocations_granted_total");
      assert.equal(await server.metric("byway_allocations"), granted, "no allocation ended");
    });
  }
}

/** One uses the relay alone, the other tells all its candidates: those of its home are the unreachable ones. */
async function survives(lab, scenario, origin) {
  const pages = [
    await lab.join(scenario, "a", addressOf(origin, "tea", { relay: true })),
    await lab.join(scenario, "b", addressOf(origin, "tea")),
  ];
  await Promise.all(pages.map((page) => peers(page, 1)));
  await videoFlows(...pages);
  await Promise.all(pages.map(watchMedia));
  await videoFlows(...pages);
  for (const page of pages) await echoes(page);
  const path = await goesOn(pages);
  return { path, gapMs: Math.max(...(await Promise.all(pages.map(longestGap)))) };
}
