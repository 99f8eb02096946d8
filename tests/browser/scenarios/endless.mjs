import assert from "node:assert/strict";
import { after, test } from "node:test";

import { eventually } from "../eventually.mjs";
import { longestGaps, watchGaps } from "../gaps.mjs";
import { startFor } from "../server.mjs";
import { open } from "../stage.mjs";

/**
 * A relayed call that outlives its credentials many times. It runs beside the other scenarios, from the first to the last,
 * and costs what is left of its five minutes when they are through.
 */
const RUNNING_MS = 5 * 60_000;
const TTL_S = 60;
const LONGEST_GAP_MS = 300;

/** The server sends fresh credentials to each of the two when half of the last ones' time is over. */
const ROTATIONS = RUNNING_MS / (TTL_S * 1000 / 2);

/** Which of a page's connections comes first. */
const [RELAYED, DIRECT] = [0, 1];

/** Begun by whoever comes first, for the scenario that ends it may come alone. */
let running = null;
const begin = () => (running ??= start());

after(() => running?.then(({ end }) => end(), () => {}));

test("a relayed call on credentials of a minute begins", begin);

/** To be called last. */
export const isEndless = () =>
  test("a relayed call on credentials of a minute runs for five without a gap", async (scenario) => {
    const { server, pages, since, allocations, end } = await begin();
    try {
      await new Promise((resolve) => setTimeout(resolve, since + RUNNING_MS - Date.now()));
      for (const page of pages) {
        const gaps = await longestGaps(page);
        scenario.diagnostic(`longest gaps in ms: ${JSON.stringify(gaps)}`);
        for (const [kind, gap] of Object.entries(gaps)) assert.ok(gap <= LONGEST_GAP_MS, `${kind} was missing for ${gap} ms`);
        // Both ends' credentials in one restart each time, over one connection; none where no relay is in use.
        const passed = ((Date.now() - since) / RUNNING_MS) * ROTATIONS;
        const [relayed, direct] = await page.evaluate(() => window.restarts);
        assert.ok(Math.abs(relayed - passed) < 2, `${relayed} restarts for ${passed} rotations`);
        assert.equal(direct, 0);
        assert.deepEqual(await page.evaluate(states), ["connected", "connected"]);
      }
      const now = await server.metric("byway_allocations");
      scenario.diagnostic(`allocations: ${allocations}, then ${now}`);
      assert.ok(now <= 4 * allocations, `${now} allocations where ${allocations} were enough`);
    } finally {
      await end();
    }
  });

async function start() {
  let undo = () => {};
  const life = { after: (all) => (undo = all) };
  const end = async () => {
    await undo();
    undo = () => {};
  };
  try {
    const server = await startFor(life, { ttl: `${TTL_S}s` });
    const pages = [await open(life, server.origin), await open(life, server.origin)];
    for (const page of pages) await page.evaluate(callTwice);
    const up = (page) => eventually("both connections", async () => (await page.evaluate(states)).join() === "connected,connected" || null);
    await Promise.all(pages.map(up));
    for (const page of pages) await page.evaluate(countRestarts);
    for (const page of pages) await watchGaps(page, { watched: RELAYED, beside: DIRECT });
    return { server, pages, since: Date.now(), allocations: await server.metric("byway_allocations"), end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Runs in the page: calls the other one over the relay, and sends it the same over a direct path. Pictures are small, to be light. */
async function callTwice() {
  const { join, openCamera } = await import("/byway.js");
  const stream = await openCamera({ audio: true, video: { width: 160, height: 120, frameRate: 10 } });
  for (const relayOnly of [true, false]) {
    const call = await join({ room: `relayOnly: ${relayOnly}`, stream, relayOnly });
    const play = (peer) => Object.assign(document.createElement("video"), { srcObject: peer.stream, autoplay: true });
    call.addEventListener("peer", ({ peer }) => document.body.append(play(peer)));
  }
}

/** Runs in the page. */
function states() {
  return window.connections.map(({ connectionState }) => connectionState);
}

/** Runs in the page. */
function countRestarts() {
  const fragment = ({ localDescription }) => /a=ice-ufrag:(\S+)/.exec(localDescription.sdp)[1];
  window.restarts = window.connections.map(() => 0);
  window.connections.forEach((connection, number) => {
    let before = fragment(connection);
    connection.addEventListener("signalingstatechange", () => {
      if (fragment(connection) !== before) window.restarts[number] += 1;
      before = fragment(connection);
    });
  });
}
