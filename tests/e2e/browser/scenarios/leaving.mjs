import assert from "node:assert/strict";
import { test } from "node:test";

import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { joined, peers, says } from "../page.mjs";
import { call, room, server } from "../stage.mjs";

test("who hangs up is gone for the other, and can come back", async (scenario) => {
  const [first, second] = await call(scenario, room(scenario), { relay: true, name: "Ada" });
  await second.click("#hangup");
  await peers(first, 0);
  await says(first, /Ada left/);
  await says(second, /You left/);
  assert.equal(await second.evaluate(() => document.querySelector("video#self").srcObject), null, "the camera is off");

  await second.click("#join");
  await joined(second);
  await Promise.all([peers(first, 1), peers(second, 1)]);
  await videoFlows(first, second);
});

test("who closes the page is gone for the other", async (scenario) => {
  const [first, second] = await call(scenario, room(scenario));
  await second.close();
  await peers(first, 0);
});

test("who reloads the page is shown once", async (scenario) => {
  const [first, second] = await call(scenario, room(scenario));
  await second.reload();
  await peers(first, 0);
  await second.click("#join");
  await Promise.all([peers(first, 1), peers(second, 1)]);
});

test("coming and going again and again leaves nothing behind", async (scenario) => {
  const [first, second] = await call(scenario, room(scenario), { relay: true });
  for (let round = 0; round < 4; round += 1) {
    await videoFlows(first, second);
    if (round % 2) {
      await second.reload();
    } else {
      await second.click("#hangup");
    }
    await peers(first, 0);
    await second.click("#join");
    await Promise.all([peers(first, 1), peers(second, 1)]);
  }
  // Who leaves before an allocation is granted cannot give it back: it lasts until it expires.
  await videoFlows(first, second);
  await first.click("#hangup");
  await second.click("#hangup");
  for (const page of [first, second]) {
    const states = await page.evaluate(() => window.connections.map(({ connectionState }) => connectionState));
    assert.ok(states.every((state) => state === "closed"), String(states));
  }
  await eventually("no allocation left", async () => (await server.metric("byway_allocations")) === 0 || null);
});
