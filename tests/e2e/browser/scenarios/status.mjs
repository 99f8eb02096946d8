import assert from "node:assert/strict";
import { test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { peers } from "../page.mjs";
import { startFor } from "../server.mjs";
import { firefox, join, room } from "../stage.mjs";

/** Two people who see each other's video, each with the panel of connections open. */
async function watch(scenario, { first, second, ...both } = {}) {
  const pages = [
    await join(scenario, room(scenario), { name: "Ada", ...both, ...first }),
    await join(scenario, room(scenario), { name: "Grace", ...both, ...second }),
  ];
  await Promise.all(pages.map((page) => peers(page, 1)));
  await videoFlows(...pages);
  for (const page of pages) await page.click("#info");
  return pages;
}

/** Waits until a figure of the table reads so. */
const figureReads = (page, name, pattern) =>
  eventually(`${name} like ${pattern}`, async () => {
    const cell = page.locator(`tr[data-figure=${name}] td`);
    return ((await cell.count()) && pattern.test(await cell.innerText())) || null;
  });

/** Names of the emoji, once they are there. */
const emoji = (page) =>
  eventually("seven emoji", async () => {
    const names = await page.locator(".same-emoji li").allInnerTexts();
    return names.length === 7 ? names : null;
  });

/** Waits until the quality of the only connection has a level. */
const qualityIs = (page, levels) =>
  eventually(`a quality of ${levels.join(" or ")}`, async () =>
    levels.includes(await page.locator(".connection").getAttribute("data-quality")) || null);

/** Whether each of the three plots has pixels in the color of a line. */
const plotted = (page) =>
  page.locator(".plot canvas").evaluateAll((canvases) => {
    const isLine = (canvas, property) => {
      const value = getComputedStyle(canvas).getPropertyValue(property).trim();
      const color = [1, 3, 5].map((at) => Number.parseInt(value.slice(at, at + 2), 16));
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let found = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] > 200 && color.every((part, index) => Math.abs(part - data[at + index]) < 16)) found += 1;
      }
      return found > 5;
    };
    const drawn = canvases.filter((canvas) => isLine(canvas, "--accent") || isLine(canvas, "--warm"));
    return canvases.length === 3 && drawn.length === 3;
  });

test("the panel shows path, figures, plots and quality of a relayed call", async (scenario) => {
  const [ada, grace] = await watch(scenario, { first: { relay: true } });
  await figureReads(ada, "path", /^Relayed at your end, over UDP$|^Relayed at both ends, over UDP at yours$/);
  await figureReads(ada, "server", /^turn:\S+$/);
  await figureReads(grace, "path", /^Relayed/);
  for (const page of [ada, grace]) {
    await figureReads(page, "round-trip", /^[\d.]+ ms$/);
    await figureReads(page, "loss", /^[\d.]+ % in, [\d.]+ % out$/);
    await figureReads(page, "jitter", /^[\d.]+ ms$/);
    await figureReads(page, "bitrate", /^[\d.]+ [km]bit\/s in, [\d.]+ [km]bit\/s out$/i);
    await figureReads(page, "picture", /^\d+ × \d+, \d+ per second$/);
    await figureReads(page, "codecs", /^opus, \w+$/);
    await figureReads(page, "limitation", /^(None|Your network|Your computer)$/);
    await qualityIs(page, ["good", "fair", "poor"]);
    await eventually("lines in the plots", async () => (await plotted(page)) || null);
  }
  assert.deepEqual(await emoji(ada), await emoji(grace));
});

test("a new connection has other emoji, alike at both ends again", async (scenario) => {
  const [ada, grace] = await watch(scenario);
  const before = await emoji(ada);
  assert.deepEqual(await emoji(grace), before);
  await ada.locator("#relay + .track").click();
  // The connection may be replaced twice, so what both show now counts.
  await eventually("other emoji, the same at both ends", async () => {
    const [here, there] = await Promise.all([emoji(ada), emoji(grace)]);
    return (here.join() !== before.join() && here.join() === there.join()) || null;
  });
});

test("Chromium and Firefox show the same emoji", { skip: withoutFirefox }, async (scenario) => {
  const [ada, grace] = await watch(scenario, { second: { browser: await firefox() }, relay: true });
  assert.deepEqual(await emoji(ada), await emoji(grace));
  await figureReads(grace, "server", /^This browser does not tell$/);
  await figureReads(grace, "bitrate", /^[\d.]+ [km]bit\/s in/i);
});

test("the switch in the panel forces the relay, and is there when the panel is closed", async (scenario) => {
  const [ada] = await watch(scenario);
  const relay = ada.getByRole("switch", { name: "Force relay" });
  assert.equal(await relay.isChecked(), false);
  await relay.focus();
  await ada.keyboard.press("Space");
  assert.equal(new URL(ada.url()).searchParams.get("relay"), "1");
  await figureReads(ada, "path", /^Relayed/);
  await ada.keyboard.press("Escape");
  assert.equal(await ada.locator(".connection").count(), 0);
  assert.equal(await ada.locator("#relay").isChecked(), true);
  assert.equal(await ada.evaluate(() => document.activeElement.id), "info");
});

test("a path that is cut is told in words, and so is its return", async (scenario) => {
  const server = await startFor(scenario, {});
  const tolerated = /WebSocket|Failed to load|net::/; // the server does not answer meanwhile
  const [ada] = await watch(scenario, { origin: server.origin, relay: true, tolerated });
  await qualityIs(ada, ["good", "fair", "poor"]);
  await server.pause();
  await qualityIs(ada, ["none"]);
  const reason = await ada.locator(".connection .reason").innerText();
  assert.match(reason, /^Nothing arrives from Grace\.$|^The connection is being made\.$/);
  server.resume();
  await qualityIs(ada, ["good", "fair", "poor"]);
});

/** Captures what is copied. */
const capture = (page) =>
  page.evaluate(() => {
    navigator.clipboard.writeText = async (text) => void (window.copied = text);
  });

test("the report for support has the figures, and no name, room or address", async (scenario) => {
  const [ada] = await watch(scenario, { first: { relay: true } });
  await figureReads(ada, "loss", /^[\d.]+ % in/);
  await capture(ada);
  await ada.click("#copy-report");
  const text = await eventually("the report", () => ada.evaluate(() => window.copied ?? null));
  assert.match(text, /^path: relayed, protocol udp/m);
  assert.match(text, /^roundTripMs: now [\d.]+, min/m);
  assert.match(text, /^browser: Mozilla/m);
  for (const secret of ["Ada", "Grace", room(scenario), "127.0.0.1"]) assert.ok(!text.includes(secret), secret);
  await eventually("a sentence", async () => (await ada.locator(".support p.quiet").innerText()) === "Report copied." || null);
});

test("a report that the browser does not copy can be selected", async (scenario) => {
  const page = await join(scenario, room(scenario), { name: "Ada" });
  await page.click("#info");
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException("refused", "NotAllowedError"));
  });
  await page.click("#copy-report");
  assert.match(await page.locator(".support textarea").inputValue(), /^call: signaling open/m);
  assert.match(await page.locator(".info").innerText(), /Nobody else is here yet\./);
});
