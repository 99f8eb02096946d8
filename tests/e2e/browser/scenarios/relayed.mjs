import assert from "node:assert/strict";
import { test } from "node:test";

import { pathBecomes, videoFlows } from "../connections.mjs";
import { lineReads, relaysOver, toggleRelay } from "../page.mjs";
import { call, room, server } from "../stage.mjs";

test("two pages call each other with the relay forced", async (scenario) => {
  const pages = await call(scenario, room(scenario), { relay: true });
  await relaysOver("udp", server, pages);
});

test("the switch moves a running call onto the relay and back", async (scenario) => {
  const pages = await call(scenario, room(scenario));
  await pathBecomes(["host", "prflx"], ...pages);
  await lineReads(/^Direct /, ...pages);
  await videoFlows(...pages);

  await toggleRelay(pages[0]);
  await lineReads(/^Relayed over UDP/, ...pages);
  await videoFlows(...pages);

  await toggleRelay(pages[0]);
  await lineReads(/^Direct /, ...pages);
  await videoFlows(...pages);
});

test("the relay asked for in the address is switched on in the page, and off again", async (scenario) => {
  const [page] = await call(scenario, room(scenario), { relay: true });
  assert.ok(await page.locator("#relay").isChecked());
  await toggleRelay(page);
  assert.equal(new URL(page.url()).searchParams.get("relay"), null);
});
