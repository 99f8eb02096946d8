/**
 * Pages choose the relay of the nearest region. Two callers behind NATs meet over relays alone,
 * while the ways to all nodes but one are long.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { afterwards } from "../browser/afterwards.mjs";
import { eventually } from "../browser/eventually.mjs";
import { visit } from "../browser/visit.mjs";
import { CALL, Cluster, FRA, NODES, NYC, SGP, inPublic } from "./cluster.mjs";

/** Each node has its own. */
const REGIONS = { [FRA]: "eu", [NYC]: "us", [SGP]: "asia" };

/** To the nodes that are far away. */
const FAR = { delayMs: 50 };

/** A measurement that has not ended before a `join` is there for one of these. */
const JOINS = 4;

test("callers get the relay of the nearest region", async (story) => {
  const cluster = new Cluster({ regions: REGIONS });
  await cluster.open(story);

  for (const near of [NYC, SGP]) {
    await story.test(`both are relayed by ${near}, to which the way is short`, async (scenario) => {
      for (const node of NODES) await cluster.network.serverCable(node, node === near ? undefined : FAR);
      await cluster.whole();
      const pages = await Promise.all([measured(scenario, cluster, "client-a"), measured(scenario, cluster, "client-b")]);
      const room = cluster.roomOf(FRA);
      const met = await meet(pages, room);
      assert.deepEqual([cluster.homeOf("client-a"), cluster.homeOf("client-b")], [FRA, NYC]);
      const nearest = { region: REGIONS[near], relay: inPublic(near) };
      assert.deepEqual(met, [nearest, nearest]);
    });
  }

  await story.test("without UDP a page joins without a region, and is relayed by its own node", async (scenario) => {
    afterwards(scenario, () => cluster.network.nat("a", "port"));
    cluster.network.nat("a", "udpblock");
    const pages = [await opened(scenario, cluster, "client-a"), await opened(scenario, cluster, "client-b")];
    const [first] = await meet(pages, cluster.roomOf(FRA));
    assert.equal(cluster.homeOf("client-a"), FRA);
    assert.deepEqual(first, { region: undefined, relay: inPublic(FRA) });
  });
});

/**
 * Opens a developer's page at the service, which notes its `join` messages.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {Cluster} cluster
 * @param {import("./cluster.mjs").Client} client
 */
async function opened(scenario, cluster, client) {
  const page = await visit(scenario, cluster.browser(client), `https://${CALL}/help`);
  await page.evaluate(watch);
  return page;
}

/**
 * Opens a page that has measured. A busy machine may take longer than the page allows, and a page
 * measures once.
 *
 * @param {Parameters<typeof opened>} where
 */
const measured = (...where) =>
  eventually("a page with a region", async () => {
    const page = await opened(...where);
    for (let count = 0; count < JOINS; count += 1) {
      if (await page.evaluate(look)) return page;
    }
    await page.close();
    return null;
  });

/**
 * Lets pages meet in a room. Returns the region that the last `join` of each named, and the relayed
 * address at which the other reaches it.
 *
 * @param {import("playwright-core").Page[]} pages
 * @param {string} room
 */
async function meet(pages, room) {
  for (const page of pages) await page.evaluate(enter, room);
  return Promise.all(pages.map((page) => eventually("a relayed path", () => page.evaluate(path))));
}

/** Runs in a page. */
async function watch() {
  Object.assign(window, await import("/byway.js"));
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (text) {
    const message = JSON.parse(text);
    if (message.type === "join") window.region = message.region;
    return send.call(this, text);
  };
}

/** Runs in a page: joins a room of its own, and leaves. Whether it named a region. */
async function look() {
  const call = await window.join({ room: crypto.randomUUID() });
  call.leave();
  return window.region !== undefined;
}

/** Runs in a page. */
async function enter(room) {
  window.call = await window.join({ room, relayOnly: true });
}

/** Runs in a page. */
async function path() {
  const stats = await window.call.peers[0]?.connection.getStats();
  const pair = [...(stats?.values() ?? [])].find(({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded");
  return pair ? { region: window.region, relay: stats.get(pair.localCandidateId).address } : null;
}
