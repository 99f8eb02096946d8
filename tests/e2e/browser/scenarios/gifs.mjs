import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { findsNothing } from "../axe.mjs";
import { withoutFirefox } from "../browsers.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { peers, says } from "../page.mjs";
import { screenOf } from "../screens.mjs";
import { call, firefox, join, room } from "../stage.mjs";

/** Opens the panel and makes these choices. */
async function openGif(page, label, { when = "next", seconds = 2, size = 160, fps = 5 } = {}) {
  if ((await page.getAttribute("#gif", "aria-expanded")) === "false") await page.click("#gif");
  await page.selectOption("#gif-picture", { label });
  await page.selectOption("#gif-when", when);
  await page.selectOption("#gif-seconds", String(seconds));
  await page.selectOption("#gif-size", String(size));
  await page.selectOption("#gif-fps", String(fps));
}

const count = (page) => page.locator("#gifs li").count();

/** Makes a GIF and reads its file. */
async function make(page) {
  const before = await count(page);
  await page.click("#gif-make:not(:disabled)");
  await eventually("a GIF", async () => (await count(page)) === before + 1 || null, 30_000);
  return newest(page);
}

/** The newest GIF as Chromium decodes it. Times are in milliseconds. */
async function newest(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#gifs .download").first().click()]);
  assert.match(download.suggestedFilename(), /^gif-.*\.gif$/);
  const bytes = await readFile(await download.path());
  return { bytes: bytes.length, ...(await page.evaluate(decode, bytes.toString("base64"))) };
}

/** Runs in the page. */
async function decode(base64) {
  const data = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const decoder = new ImageDecoder({ data, type: "image/gif" });
  await decoder.completed;
  await decoder.tracks.ready;
  const { frameCount, repetitionCount } = decoder.tracks.selectedTrack;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const frames = [];
  for (let frameIndex = 0; frameIndex < frameCount; frameIndex += 1) {
    const { image } = await decoder.decode({ frameIndex });
    canvas.width = image.displayWidth;
    canvas.height = image.displayHeight;
    context.drawImage(image, 0, 0);
    frames.push({ ms: image.duration / 1000, data: context.getImageData(0, 0, canvas.width, canvas.height).data });
    image.close();
  }
  const { width, height } = canvas;
  const differing = (one, other) => one.data.reduce((sum, value, at) => sum + (Math.abs(value - other.data[at]) > 40 ? 1 : 0), 0);
  return {
    width, height, repetitionCount,
    delays: frames.map(({ ms }) => ms),
    still: [...frames.at(-1).data.slice(4 * ((height - 8) * width + 8), 4 * ((height - 8) * width + 8) + 4)],
    moved: Math.max(...frames.slice(1).map((frame) => differing(frame, frames[0]))),
  };
}

/** Workers that a page runs. */
const workers = (page) => page.workers().length;
const noWorkers = (page) => eventually("no worker", () => workers(page) === 0 || null);

test("GIFs of the next and of the last seconds have their frames, size, time and colors", async (scenario) => {
  const [page, other] = await call(scenario, room(scenario), { name: "Ada" });
  await videoFlows(page, other);
  await openGif(page, "Ada");
  const next = await make(page);
  assert.deepEqual([next.width, next.height, next.repetitionCount], [160, 90, Infinity]);
  assert.deepEqual(next.delays, Array(10).fill(200));
  assert.ok(next.moved > 100, `${next.moved} values moved`);
  // The fake camera's background.
  const [red, green, blue] = next.still;
  assert.ok(red < 40 && blue < 40 && green > 110 && green < 160, `green: ${next.still}`);
  await says(page, /The GIF is ready/);
  await noWorkers(page);

  await openGif(page, "You", { when: "last", size: 240, fps: 20 });
  await page.getByText("2.0 of 2 s are kept.").waitFor();
  const last = await make(page);
  assert.deepEqual([last.width, last.height], [240, 135]);
  assert.equal(last.delays.length, 40);
  assert.deepEqual([...new Set(last.delays)], [50]);
  assert.ok(last.moved > 100, `${last.moved} values moved`);
  await eventually("it keeps on", () => workers(page) === 1 || null);
  await page.click("#panel-close");
  await noWorkers(page);
});

test("a GIF is cancelled and its memory freed, or made while the panel is closed", async (scenario) => {
  const page = await join(scenario, room(scenario));
  await openGif(page, "You", { seconds: 10, size: 480, fps: 20 });
  const text = await page.locator(".gif").innerText();
  assert.match(text, /About 7\.8 MB\. Until it is done, the frames take up to 52 MB of memory\./);
  await page.click("#gif-make");
  await eventually("progress", () => page.evaluate(() => document.querySelector("#gif-progress").value > 0.05 || null));
  assert.equal(workers(page), 1);
  await findsNothing(page, "panel GIF at work");
  await page.click("#gif-cancel");
  await says(page, /Cancelled/);
  await noWorkers(page);
  assert.equal(await count(page), 0);
  assert.equal(await page.evaluate(() => document.activeElement.id), "gif-make");

  await openGif(page, "You");
  await page.click("#gif-make");
  await page.click("#panel-close");
  await says(page, /The GIF is ready/);
  await noWorkers(page);
  await page.click("#gif");
  const { delays } = await newest(page);
  assert.equal(delays.length, 10);
  await findsNothing(page, "panel GIF");
});

test("a picture that stops leaves a GIF of what came, and one that never came a sentence", async (scenario) => {
  const page = await join(scenario, room(scenario), { name: "Ada" });
  const name = '<img src=x onerror="window.pwned = 1">';
  const other = await join(scenario, room(scenario), { name });
  await peers(page, 1);
  await screenOf(other);
  await page.click("#gif");
  await eventually("a moving screen", () => page.evaluate(() => document.querySelector(".peer video[data-purpose=screen]")?.videoWidth > 0 || null));
  await openGif(page, `Screen of ${name.slice(0, 30)}…`, { seconds: 10, fps: 10 });
  await page.click("#gif-make");
  await eventually("a second", () => page.evaluate(() => document.querySelector("#gif-progress").value > 0.1 || null));
  await other.locator("[data-notice=share] button").click();
  await says(page, /The picture stopped\. The GIF has what came until then\./);
  const { delays, width, height } = await newest(page);
  assert.ok(delays.length >= 10 && delays.length < 100, `${delays.length} frames`);
  assert.deepEqual([width, height], [160, 60]);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  await noWorkers(page);

  await page.evaluate(() => {
    navigator.mediaDevices.getDisplayMedia = async () => document.createElement("canvas").captureStream(0);
  });
  await page.click("#share");
  await openGif(page, "Your screen");
  await page.click("#gif-make");
  await says(page, /No picture came, so there is no GIF\. Choose another picture\./);
  await noWorkers(page);
  assert.equal(await count(page), 1);
});

test("in Firefox, a GIF is made", { skip: withoutFirefox }, async (scenario) => {
  const page = await join(scenario, room(scenario), { browser: await firefox() });
  await openGif(page, "You");
  await page.click("#gif-make");
  const image = page.locator("#gifs img");
  await image.waitFor();
  assert.equal(await image.evaluate(async (image) => (await image.decode(), image.naturalWidth)), 160);
});
