/** Calls that cannot connect, and the reasons that the page gives. */
import assert from "node:assert/strict";

import { statistics } from "../../browser/connections.mjs";
import { eventually } from "../../browser/eventually.mjs";
import { addressOf, peers, says } from "../../browser/page.mjs";
import { measured } from "./measured.mjs";

/** Browsers give a path up after some 15 s, and the page says so at once. */
const GIVING_UP_MS = 30_000;

/** @param {import("../lab.mjs").Lab} lab */
export function refusals(lab) {
  const table = "What cannot work";

  measured({ table, name: "STUN alone, symmetric × symmetric" }, async (scenario) => {
    await lab.arrange({ a: { nat: "sym" }, b: { nat: "sym" } });
    const server = await lab.serve(scenario, { offers: ["stun"] });
    const pages = await meet(scenario, server.origin);
    const sentence = /The connection to the other person failed; trying again\. The call server offers no relay/;
    await Promise.all(pages.map((page) => says(page, sentence, GIVING_UP_MS)));
    for (const page of pages) assert.equal(await statistics(page), null);
    assert.equal(await server.metric("byway_allocations_granted_total"), 0);
    return { path: "none; the page says that the server offers no relay" };
  });

  measured({ table, name: "only TCP 443, to a relay whose certificate nobody trusts" }, async (scenario) => {
    await lab.arrange({ a: { nat: "tls443" }, b: { nat: "tls443" } });
    const server = await lab.serve(scenario, { relay: "stranger", offers: ["tls"] });
    const pages = await meet(scenario, server.origin, { relay: true });
    const sentence = /No relay can be used, so the other person cannot be reached through one\. The relay at turns:call\.byway\.test:443\?transport=tcp did not answer\./;
    await Promise.all(pages.map((page) => says(page, sentence, GIVING_UP_MS)));
    for (const page of pages) assert.equal(await statistics(page), null);
    await eventually("refused certificates", async () => (await server.stranger.metric('byway_tls_connections_total{outcome="alert"}')) >= 2 || null);
    return { path: "none; the page names the relay that did not answer" };
  });

  /** Two people in a room, who see each other's name and nothing else yet. */
  async function meet(scenario, origin, options) {
    const address = addressOf(origin, "lab", options);
    const pages = [await lab.join(scenario, "a", address), await lab.join(scenario, "b", address)];
    await Promise.all(pages.map((page) => peers(page, 1)));
    return pages;
  }
}
