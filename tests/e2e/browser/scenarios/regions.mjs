import assert from "node:assert/strict";
import { test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { eventually } from "../eventually.mjs";
import { join, openWith } from "../module.mjs";
import { firefox, room, server } from "../stage.mjs";

/** Address for documentation: nobody answers. */
const SILENT = "stun:192.0.2.1:3478";

/** Server that answers, and one that does not. */
const CLUSTER = [{ region: "far", stun: SILENT }, { region: "near", stun: `stun:${server.listen.udp}` }];

/**
 * Opens a developer's page that notes requests for regions and `join` messages, as if the server
 * listed these regions. Without any, the server itself answers.
 */
async function watched(scenario, regions, options) {
  const page = await openWith(scenario, options);
  await page.evaluate((listed) => {
    [window.asked, window.joins] = [[], []];
    const { fetch } = window;
    window.fetch = (url, ...rest) => {
      window.asked.push(new URL(url).pathname);
      return listed ? Promise.resolve(Response.json({ regions: listed })) : fetch(url, ...rest);
    };
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (text) {
      const message = JSON.parse(text);
      if (message.type === "join") window.joins.push(message);
      return send.call(this, text);
    };
  }, regions);
  return page;
}

/** Requests for regions, the region of each `join`, and how often the race was loaded. */
const seen = (page) =>
  page.evaluate(() => ({
    asked: window.asked,
    joins: window.joins.map(({ region }) => region),
    loaded: performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/region-race.js")).length,
  }));

/** Joins and leaves. */
async function visitRoom(page, ...options) {
  await join(page, ...options);
  await page.evaluate(() => window.call.leave());
}

const BROWSERS = { Chromium: { skip: false, browser: () => undefined }, Firefox: { skip: withoutFirefox, browser: firefox } };
for (const [name, { skip, browser }] of Object.entries(BROWSERS)) {
  test(`${name} joins with the region that answers, and measures once`, { skip }, async (scenario) => {
    const page = await watched(scenario, CLUSTER, { browser: await browser() });
    // On a busy machine a join goes out before the result is there.
    await eventually("a region", async () => {
      await visitRoom(page, room(scenario));
      return (await seen(page)).joins.at(-1) ?? null;
    });
    await visitRoom(page, room(scenario));
    const { asked, joins, loaded } = await seen(page);
    scenario.diagnostic(`${joins.length - 1} joins until the result`);
    assert.deepEqual({ asked, loaded, joins: joins.slice(-2) }, { asked: ["/regions"], loaded: 1, joins: ["near", "near"] });
  });
}

test("a page of a single server asks once, and joins without a region", async (scenario) => {
  const page = await watched(scenario, null);
  await join(page, room(scenario));
  assert.deepEqual(await seen(page), { asked: ["/regions"], joins: [undefined], loaded: 0 });
});

test("where nobody answers, a page joins without a region", async (scenario) => {
  const page = await watched(scenario, CLUSTER.map(({ region }) => ({ region, stun: SILENT })));
  await join(page, room(scenario));
  assert.deepEqual((await seen(page)).joins, [undefined]);
});

test("a page that names a region, or none, does not measure", async (scenario) => {
  const page = await watched(scenario, CLUSTER);
  await visitRoom(page, room(scenario), { region: "oslo" });
  await visitRoom(page, room(scenario), { region: null });
  assert.deepEqual(await seen(page), { asked: [], joins: ["oslo", undefined], loaded: 0 });
});
