import assert from "node:assert/strict";
import { after, test } from "node:test";

import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { longestGaps, watchGaps } from "../gaps.mjs";
import { startFor } from "../server.mjs";
import { call } from "../stage.mjs";

/**
 * A relayed call that outlives its credentials many times. It runs beside the other scenarios, from the first to the last,
 * and costs what is left of its five minutes when they are through.
 */
const RUNNING_MS = 5 * 60_000;
const TTL_S = 60;
const LONGEST_GAP_MS = 300;

/** The server sends fresh credentials to each of the two when half of the last ones' time is over. */
const ROTATIONS = RUNNING_MS / (TTL_S * 1000 / 2);

/** In which order the pages have made their connections. */
const [RELAYED, DIRECT] = [0, 1];

/** Begun by whoever comes first, and the scenario that ends it may come alone. */
let running = null;
const begin = () => (running ??= start());

after(() => running?.then(({ end }) => end(), () => {}));

test("a relayed call on credentials of a minute begins", begin);

/** To be called last. */
export const isEndless = () =>
  test("a relayed call on credentials of a minute runs for five without a gap", async () => {
    const { server, pages, since, allocations, end } = await begin();
    try {
      await new Promise((resolve) => setTimeout(resolve, since + RUNNING_MS - Date.now()));
      await videoFlows(...pages);
      for (const page of pages) {
        const gaps = await longestGaps(page);
        console.log(`longest gaps in ms: ${JSON.stringify(gaps)}`);
        for (const [kind, gap] of Object.entries(gaps)) assert.ok(gap <= LONGEST_GAP_MS, `${kind} was missing for ${gap} ms`);
        const [relayed, direct] = await page.evaluate(() => window.restarts);
        // Both ends' credentials in one restart each time, over one connection; none where no relay is in use.
        assert.ok(Math.abs(relayed - ROTATIONS) <= 1, `${relayed} restarts for ${ROTATIONS} rotations`);
        assert.equal(direct, 0);
        assert.equal(await page.evaluate(() => window.connections.length), 2);
      }
      const now = await server.metric("byway_allocations");
      console.log(`allocations: ${allocations}, then ${now}`);
      assert.ok(now <= 4 * allocations, `${now} allocations where ${allocations} were enough`);
    } finally {
      await end();
    }
  });

async function start() {
  let undo = () => {};
  const life = { after: (all) => (undo = all) };
  const server = await startFor(life, { ttl: `${TTL_S}s` });
  const end = async () => {
    await undo();
    undo = () => {};
  };
  try {
    const pages = await call(life, "endless", { origin: server.origin, relay: true });
    for (const page of pages) await page.evaluate(callDirectly);
    const bothUp = () => window.connections.length === 2 && window.connections.every(({ connectionState }) => connectionState === "connected");
    await Promise.all(pages.map((page) => eventually("both connections", async () => (await page.evaluate(bothUp)) || null)));
    await videoFlows(...pages);
    for (const page of pages) await page.evaluate(countRestarts);
    for (const page of pages) await watchGaps(page, { watched: RELAYED, beside: DIRECT });
    return { server, pages, since: Date.now(), allocations: await server.metric("byway_allocations"), end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Runs in the page: sends the same to the other page over a direct path. */
async function callDirectly() {
  const { join } = await import("/byway.js");
  window.beside = await join({ room: "beside", stream: document.querySelector("#self").srcObject });
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
