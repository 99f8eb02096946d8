import assert from "node:assert/strict";
import { test } from "node:test";

import { findsNothing } from "../axe.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { addressOf, enter } from "../page.mjs";
import { call, join, open, room, server } from "../stage.mjs";

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing in any state of the page, in ${colorScheme}`, async (scenario) => {
    const look = { colorScheme, reducedMotion: "reduce" };
    const landing = await open(scenario, "/", look);
    await findsNothing(landing, "landing page");

    const lobby = await open(scenario, addressOf(server.origin, room(scenario)), look);
    await findsNothing(lobby, "lobby");
    await enter(lobby, "Ada");
    await findsNothing(lobby, "alone in a call");

    const [first, second] = await call(scenario, `${room(scenario)}-2`, look);
    await videoFlows(first, second);
    await findsNothing(first, "two people");
    await second.click("#hand");
    await second.click("#camera");
    await second.click("#microphone");
    await first.locator(".peer[data-microphone=off][data-camera=off] .hand:not([hidden])").waitFor();
    await findsNothing(first, "muted, camera off, hand raised");
    await findsNothing(second, "the same, oneself");
    await first.locator(".menu summary").click();
    await findsNothing(first, "menu of a tile");
    await first.keyboard.press("Escape");
    for (const panel of ["people", "info", "settings"]) {
      await first.click(`#${panel}`);
      await first.locator("#panel-body section > :not([hidden])").first().waitFor();
      await findsNothing(first, `panel ${panel}`);
      await first.click("#panel-close");
    }
  });
}

test("axe finds nothing where a room refuses", async (scenario) => {
  const page = await open(scenario, addressOf(server.origin, "x".repeat(200)));
  await page.click("#join");
  await page.locator("[data-notice=ended]").waitFor();
  await findsNothing(page, "refused");
});

test("in Chinese, the page speaks Chinese and axe finds nothing", async (scenario) => {
  const page = await join(scenario, room(scenario), { locale: "zh-CN" });
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  assert.equal(await page.locator("#hangup span").innerText(), "挂断");
  await page.click("#people");
  await page.locator("#panel-body section > :not([hidden])").first().waitFor();
  assert.match(await page.locator("#panel-title").innerText(), /成员/);
  await findsNothing(page, "panel in Chinese");
  await page.click("#hangup");
  assert.equal(await page.locator("#status").innerText(), "你已离开通话。");
});

const VIEWPORTS = {
  "a phone of 390 pixels": { viewport: { width: 390, height: 780 } },
  "a zoom of 200 %": { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 },
};
for (const direction of ["ltr", "rtl"]) {
  for (const [what, size] of Object.entries(VIEWPORTS)) {
    test(`on ${what}, ${direction}, nothing is cut off`, async (scenario) => {
      const [page, other] = await call(scenario, room(scenario), size);
      await videoFlows(page, other);
      await page.evaluate((dir) => (document.documentElement.dir = dir), direction);
      for (const panel of [null, "people", "info", "settings"]) {
        if (panel) await page.click(`#${panel}`);
        if (panel) await page.locator("#panel-body section > :not([hidden])").first().waitFor();
        const outside = await page.evaluate(cutOff);
        assert.deepEqual(outside, [], `with ${panel ?? "no"} panel`);
        if (panel) await page.click("#panel-close");
      }
    });
  }
}

/** Runs in the page: visible controls that reach out of the window sideways. */
function cutOff() {
  const controls = [...document.querySelectorAll("button, input, select, summary")];
  return controls
    .filter((each) => each.checkVisibility() && each.getBoundingClientRect().width > 1)
    .filter((each) => {
      const { left, right } = each.getBoundingClientRect();
      return left < -1 || right > innerWidth + 1;
    })
    .map((each) => each.id || each.outerHTML.slice(0, 80));
}

test("the panels are opened, used and closed by keyboard alone", async (scenario) => {
  const page = await join(scenario, room(scenario));
  for (const panel of ["people", "info", "settings"]) {
    await page.focus(`#${panel}`);
    await page.keyboard.press("Enter");
    await eventually("the title has the focus", () => page.evaluate(() => document.activeElement?.id === "panel-title" || null));
    assert.equal(await page.getAttribute(`#${panel}`, "aria-expanded"), "true");
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() => document.activeElement.id), panel);
    assert.equal(await page.getAttribute(`#${panel}`, "aria-expanded"), "false");
  }
});
