import assert from "node:assert/strict";
import { test } from "node:test";

import { echoes, pathBecomes, videoFlows } from "../connections.mjs";
import { lineReads, peers } from "../page.mjs";
import { call, join, room } from "../stage.mjs";

test("two pages call each other directly where nothing is in the way", async (scenario) => {
  const pages = await call(scenario, room(scenario));
  await videoFlows(...pages);
  await pathBecomes(["host", "prflx"], ...pages);
  await echoes(pages[0]);
  await lineReads(/^Direct over UDP · \d+ ms/, ...pages);
});

test("three people see one another", async (scenario) => {
  const name = room(scenario);
  const pages = [];
  for (let count = 0; count < 3; count += 1) pages.push(await join(scenario, name));
  await Promise.all(pages.map((page) => peers(page, 2)));
  for (const page of pages) {
    await page.waitForFunction(() => [...document.querySelectorAll(".peer video")].every((video) => video.videoWidth > 0));
  }
});

test("people in different rooms do not meet", async (scenario) => {
  const [first, second] = [await join(scenario, `${room(scenario)}-1`), await join(scenario, `${room(scenario)}-2`)];
  // The third proves that the server has told the first of everyone it will.
  const third = await join(scenario, `${room(scenario)}-1`);
  await Promise.all([peers(first, 1), peers(third, 1)]);
  assert.equal(await second.locator(".peer").count(), 0);
});
