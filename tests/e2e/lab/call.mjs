/**
 * One call between two networks, looked at from three sides: what the browsers say of their path,
 * what comes through, and what the server counts.
 */
import assert from "node:assert/strict";

import { echoes, statistics, videoFlows } from "../browser/connections.mjs";
import { eventually } from "../browser/eventually.mjs";
import { MEDIA_BYTES, addressOf, enter, peers } from "../browser/page.mjs";
import { longestGap, watchMedia } from "./media.mjs";

/** Longer than browsers try a path before they give it up. */
const PATH_MS = 20_000;

/**
 * @param {import("node:test").TestContext} scenario
 * @param {import("./lab.mjs").Lab} lab
 * @param {import("./matrix.mjs").Call} call
 * @param {"byway" | "coturn"} relay
 * @returns {Promise<Omit<import("./results.mjs").Result, "table" | "scenario" | "relay">>}
 */
export async function makeCall(scenario, lab, { a, b, engine, force, offers, path, over = {} }, relay) {
  await lab.arrange({ a, b });
  const server = await lab.serve(scenario, { relay, offers });
  const address = addressOf(server.origin, "lab", { relay: force });
  // What others' relays refuse is for the table, not for the page to be silent about.
  const tolerated = relay === "byway" ? undefined : /./;
  const pages = await Promise.all([
    lab.open(scenario, "a", address, { tolerated }),
    lab.open(scenario, "b", address, { tolerated, engine }),
  ]);
  for (const page of pages) await enter(page);
  await Promise.all(pages.map((page) => peers(page, 1)));

  const expected = { path, protocols: [over.a ?? "udp", over.b ?? "udp"], force };
  const found = await eventually(`a ${path} path`, () => pathOf(pages, expected), PATH_MS);
  await watchMedia(...pages);
  const before = await relayedBytes(server);
  await videoFlows(...pages);
  const relayed = (await relayedBytes(server)) - before;
  for (const page of pages) await echoes(page);
  assert.ok(await pathOf(pages, expected), `the path is ${path} still`);
  // Another's counters are not ours to read.
  if (relay === "byway") assert.equal(relayed > MEDIA_BYTES, path === "relayed", `the server relayed ${relayed} bytes of media`);

  return {
    path: found,
    connectMs: Math.max(...(await Promise.all(pages.map(connectMs)))),
    gapMs: await longestGap(...pages),
  };
}

/**
 * The path in words, if it is as expected: relayed at one end at least, or at both where that is
 * forced.
 */
async function pathOf(pages, { path, protocols, force }) {
  const ends = await Promise.all(pages.map(statistics));
  if (ends.includes(null)) return null;
  const used = ends.map(({ local, relayProtocol }) => (local === "relay" ? relayProtocol : null));
  if (path === "direct") return used.every((protocol) => protocol === null) ? "direct" : null;
  const asExpected = used.every((protocol, end) => (protocol === null ? !force : protocol === protocols[end]));
  const words = [...new Set(used.filter(Boolean))].map((protocol) => protocol.toUpperCase()).join(" and ");
  return words && asExpected ? `relayed over ${words}, at ${used.includes(null) ? "one end" : "both ends"}` : null;
}

/** Milliseconds until a page's connection was up. */
export const connectMs = (page) => page.evaluate(() => Math.round(window.connections[0].upAt - window.connections[0].madeAt));

const DIRECTIONS = ["to_peer", "to_client", "between_clients"].map((direction) => `byway_relayed_bytes_total{direction="${direction}"}`);

async function relayedBytes(server) {
  const bytes = await server.metrics(...DIRECTIONS);
  return bytes.reduce((sum, count) => sum + count, 0);
}
