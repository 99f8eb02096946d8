import assert from "node:assert/strict";
import { test } from "node:test";

import { echoes, pathBecomes, statistics, videoFlows } from "../connections.mjs";
import { room, server } from "../lab.mjs";
import { call, lineReads } from "../page.mjs";

const BETWEEN_CLIENTS = 'byway_relayed_bytes_total{direction="between_clients"}';

test("two pages call each other with the relay forced", async (scenario) => {
  const before = await server.metric(BETWEEN_CLIENTS);
  const pages = await call(scenario, room(scenario), { relay: true });

  await videoFlows(...pages);
  const during = await server.metric(BETWEEN_CLIENTS);
  await videoFlows(...pages);
  const later = await server.metric(BETWEEN_CLIENTS);
  // 20 frames each way of the fake camera are tens of kilobytes; connectivity checks alone stay below this.
  assert.ok(during - before > 10_000, `the server relayed ${during - before} bytes of the first frames`);
  assert.ok(later - during > 10_000, `and ${later - during} bytes of those after`);

  await echoes(pages[0]);
  await echoes(pages[1]);
  for (const page of pages) {
    const { local, remote, relayProtocol } = await statistics(page);
    assert.deepEqual({ local, remote, relayProtocol }, { local: "relay", remote: "relay", relayProtocol: "udp" });
  }
  await lineReads(/^Relayed over UDP · \d+ ms · [\d.]+ [km]bit\/s$/i, ...pages);
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

/** As a person does: by its label, for the box itself is drawn over. */
const toggleRelay = (page) => page.locator("label:has(#relay)").click();
