/** One of the two machines sleeps during a call, or both do. */
import { describe, test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { withoutFirefox } from "../browsers.mjs";
import { layCable } from "../cable.mjs";
import { assertBack, attend, backAfter, flows } from "../continuity.mjs";
import { eventually } from "../eventually.mjs";
import { launchFreezable } from "../freezing.mjs";
import { startFor, startServer } from "../server.mjs";
import { firefox, open, room, server } from "../stage.mjs";

/**
 * For how long it sleeps, in seconds. The path survives a short sleep, but packets of the picture
 * are lost. After 30 s the other end's consent to be sent to has expired (RFC 7675 section 5.1).
 */
const ASLEEP_S = (process.env.ASLEEP ?? "8,45").split(",").map(Number);

/** For sleeps in which something else ends: a membership, or the server. */
const SHORT_S = 10;

/** Rounds of each of these. */
const TIMES = Number(process.env.TIMES ?? 1);

/**
 * From waking until both see and hear each other, without the time for which the machine let the
 * pages wait.
 */
const LIMIT_MS = 5_000;

/** Errors that browsers log of lost connections. */
const LOST = /WebRTC: ICE failed|WebSocket|net::ERR_|NS_ERROR/;

/** A connection is watched every 5 s, and then asked for 2 s whether anything comes. */
const WATCHING_MS = 20_000;

const seconds = (count) => new Promise((resolve) => setTimeout(resolve, count * 1000));

// One waits while another does. More at a time would be late for each other.
describe("where nothing comes any more", { concurrency: 2 }, () => {
  test("threat 47: sound and picture are back soon after one of the two has slept", { skip: withoutFirefox }, async (scenario) => {
    const sleeper = await launchFreezable(scenario);
    const pages = await attendAll(scenario, [
      { browser: sleeper.browser },
      { browser: await firefox() },
    ]);
    for (const asleep of ASLEEP_S) {
      for (let round = 0; round < TIMES; round += 1) {
        await flows(...pages);
        await sleeper.freeze();
        await seconds(asleep);
        const since = Date.now();
        sleeper.thaw();
        assertBack(scenario, `${asleep} s`, await backAfter(pages, since), LIMIT_MS);
      }
    }
  });

  test("threat 47: a relayed call is back soon after a sleep in which the membership ended", async (scenario) => {
    const { origin } = await startFor(scenario, { resumeWindow: "1s" });
    const sleeper = await launchFreezable(scenario);
    const cable = await layCable(scenario, new URL(origin).host);
    const pages = await attendAll(scenario, [
      { browser: sleeper.browser, origin: cable.origin, relayOnly: true },
      { origin, relayOnly: true },
    ]);
    await flows(...pages);
    await sleeper.freeze();
    cable.cut();
    await eventually("the sleeper gone", () => pages[1].evaluate(() => window.call.peers.length === 0));
    cable.mend();
    const since = Date.now();
    sleeper.thaw();
    assertBack(scenario, "a membership that ended", await backAfter(pages, since), LIMIT_MS);
  });

  test("threat 47: two that slept at once, and lost their connections to the server, are back soon", async (scenario) => {
    const sleepers = await Promise.all([launchFreezable(scenario), launchFreezable(scenario)]);
    const cable = await layCable(scenario, new URL(server.origin).host);
    const pages = await attendAll(scenario, sleepers.map(({ browser }) => ({ browser, origin: cable.origin })));
    await flows(...pages);
    await Promise.all(sleepers.map(({ freeze }) => freeze()));
    cable.strand();
    await seconds(SHORT_S);
    const since = Date.now();
    for (const { thaw } of sleepers) thaw();
    assertBack(scenario, "both asleep", await backAfter(pages, since), LIMIT_MS);
  });

  test("threat 47: a call is back soon after a sleep in which the server restarted", async (scenario) => {
    const first = await startServer();
    afterwards(scenario, () => first.stop().catch(() => {}));
    const sleeper = await launchFreezable(scenario);
    const { origin } = first;
    const pages = await attendAll(scenario, [{ browser: sleeper.browser, origin }, { origin }]);
    await flows(...pages);
    await sleeper.freeze();
    await first.stop();
    const second = await startServer(first.listen);
    afterwards(scenario, () => second.stop());
    await seconds(SHORT_S);
    const since = Date.now();
    sleeper.thaw();
    assertBack(scenario, "another server", await backAfter(pages, since), LIMIT_MS);
  });

  test("threat 47: a connection over which nothing comes is replaced, though the browser calls it connected", async (scenario) => {
    const pages = [await open(scenario, "/"), await open(scenario, "/")];
    for (const page of pages) {
      await page.evaluate(async (room) => {
        const { join } = await import("/byway.js");
        window.call = await join({ room });
      }, room(scenario));
    }
    const up = (page, count) =>
      eventually(`connection ${count} up`, () =>
        page.evaluate((n) => (window.connections.length === n && window.connections.at(-1).connectionState === "connected") || null, count),
      WATCHING_MS);
    await Promise.all(pages.map((page) => up(page, 1)));
    // Not before messages can be sent.
    await eventually("an echo", () => pages[0].evaluate(() => window.call.peers[0].ping(500).then(() => true, () => null)));
    await pages[0].evaluate(async () => {
      const [connection] = window.connections;
      const stats = await connection.getStats();
      connection.getStats = async () => stats;
    });
    await Promise.all(pages.map((page) => up(page, 2)));
    // And what replaced it stays.
    await eventually("an echo", () => pages[0].evaluate(() => window.call.peers[0].ping(500).then(() => true, () => null)));
  });
});

/**
 * Opens a page for each member, and has it join the scenario's room.
 *
 * @param {{ browser?: import("playwright-core").Browser, origin?: string, relayOnly?: boolean }[]}
 *   members
 */
async function attendAll(scenario, members) {
  const pages = [];
  for (const { browser, origin = server.origin, relayOnly = false } of members) {
    const page = await open(scenario, `${origin}/`, { ...(browser && { browser }), tolerated: LOST });
    await attend(page, { room: room(scenario), relayOnly });
    pages.push(page);
  }
  return pages;
}
