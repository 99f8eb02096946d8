import assert from "node:assert/strict";
import { test } from "node:test";

import { videoFlows } from "../connections.mjs";
import { joined, lineReads, peers } from "../page.mjs";
import { open, room } from "../stage.mjs";

test("a call from the first page to hanging up by keyboard alone", async (scenario) => {
  const first = await open(scenario, "/");
  await tabTo(first, "#new-call");
  await first.keyboard.press("Enter");
  await tabTo(first, "#name");
  await first.keyboard.type("Ada");
  await first.keyboard.press("Enter");
  await joined(first);

  const second = await open(scenario, await first.inputValue("#room-link"));
  await tabTo(second, "#info");
  await second.keyboard.press("Enter");
  await second.locator("#panel #relay").waitFor({ state: "attached" });
  await tabTo(second, "#relay");
  await second.keyboard.press("Space");
  await second.keyboard.press("Escape");
  await tabTo(second, "#join");
  await second.keyboard.press("Enter");
  await Promise.all([peers(first, 1), peers(second, 1)]);
  await videoFlows(first, second);
  await lineReads(/^Relayed over UDP/, second);

  await tabTo(first, "#hangup");
  await first.keyboard.press("Enter");
  await peers(second, 0);
});

test("a room opened by its name, by keyboard alone", async (scenario) => {
  const page = await open(scenario, "/");
  await tabTo(page, "#room-name");
  await page.keyboard.type(room(scenario));
  await page.keyboard.press("Enter");
  await page.locator("#join").waitFor();
  assert.equal(new URL(page.url()).searchParams.get("room"), room(scenario));
});

test("what has the focus is seen to have it", async (scenario) => {
  const page = await open(scenario, `/?${new URLSearchParams({ room: room(scenario) })}`);
  for (const selector of ["#name", "#join", "#copy"]) {
    await tabTo(page, selector);
    const drawn = await page.locator(selector).evaluate((element) => {
      const { outlineStyle, boxShadow } = getComputedStyle(element);
      return outlineStyle !== "none" || boxShadow !== "none";
    });
    assert.ok(drawn, `${selector} shows no focus`);
  }
});

/** Presses Tab until `selector` has the focus, once around the page at most. */
async function tabTo(page, selector) {
  const focused = () => page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector);
  for (let presses = 0; presses < 40; presses += 1) {
    if (await focused()) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`${selector} is not reached by Tab`);
}
