import assert from "node:assert/strict";
import { test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { addressOf, enter, joined, peers, says } from "../page.mjs";
import { startServer } from "../server.mjs";
import { screenOf } from "../screens.mjs";
import { call, join, open, room, server } from "../stage.mjs";

/** Waits until a tile shows these states of its person's devices. */
const shows = (page, microphone, camera) =>
  page.locator(`.peer[data-microphone=${microphone}][data-camera=${camera}]`).waitFor({ state: "attached" });

test("muted and camera off are seen at the other side, in words", async (scenario) => {
  const [first, second] = await call(scenario, room(scenario));
  await videoFlows(first, second);
  await shows(second, "on", "on");
  await first.click("#microphone");
  await shows(second, "off", "on");
  assert.equal(await second.locator(".peer .muted .state").textContent(), "Muted");
  await first.click("#camera");
  await shows(second, "off", "off");
  await eventually("a note", async () => (await second.locator(".peer .note").innerText()) === "Camera off" || null);
  await first.click("#microphone");
  await first.click("#camera");
  await shows(second, "on", "on");
  await videoFlows(first, second);
});

test("keys: m and v switch the devices, the space bar talks while it is held", async (scenario) => {
  const [page, other] = await call(scenario, room(scenario));
  await shows(other, "on", "on");
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("m");
  await shows(other, "off", "on");
  await page.keyboard.press("v");
  await shows(other, "off", "off");
  await page.keyboard.down(" ");
  await shows(other, "on", "off");
  await page.keyboard.up(" ");
  await shows(other, "off", "off");
  // In a field they are letters.
  await page.click("#hangup");
  await page.fill("#name", "");
  await page.type("#name", "mvs");
  assert.equal(await page.inputValue("#name"), "mvs");
});

test("a raised hand is seen, also by who comes later", async (scenario) => {
  const first = await join(scenario, room(scenario), { name: "Ada" });
  await first.click("#hand");
  const second = await join(scenario, room(scenario));
  await second.locator(".peer .hand:not([hidden])").waitFor();
  await says(second, /Ada raised the hand|is connected/);
  await first.click("#hand");
  await second.locator(".peer .hand[hidden]").waitFor({ state: "attached" });
});

test("who arrives and who leaves is announced", async (scenario) => {
  const first = await join(scenario, room(scenario));
  const second = await join(scenario, room(scenario), { name: "Grace" });
  await says(first, /Grace is (here|connected)/);
  await second.click("#hangup");
  await says(first, /Grace left/);
});

test("two people: the own picture is an inset; three: tiles; one can be seen large", async (scenario) => {
  const [page] = await call(scenario, room(scenario));
  const layout = (wanted) => eventually(`layout ${wanted}`, async () => (await page.getAttribute("#tiles", "data-layout")) === wanted || null);
  await layout("pair");
  const [own, other] = await Promise.all(["#self-tile", ".peer .tile"].map((each) => page.locator(each).boundingBox()));
  assert.ok(own.width * own.height < other.width * other.height / 4);
  assert.ok(own.x >= other.x && own.x + own.width <= other.x + other.width + 1, "the inset is inside");
  await join(scenario, room(scenario));
  await layout("grid");
  await page.locator(".menu summary").first().click();
  await page.getByRole("button", { name: "Large view" }).first().click();
  await layout("focus");
  const large = await page.locator(".tile.large").boundingBox();
  const strip = await page.locator(".tile:not(.large)").first().boundingBox();
  assert.ok(large.width * large.height > 4 * strip.width * strip.height);
});

test("after a reload the name is kept, and one tap rejoins", async (scenario) => {
  const [page, other] = await call(scenario, room(scenario), { name: "Ada" });
  await page.reload();
  await peers(other, 0);
  await page.locator("#join").waitFor();
  assert.equal(await page.inputValue("#name"), "Ada");
  assert.equal(await page.locator("#join").innerText(), "Rejoin");
  await page.click("#join");
  await joined(page);
  await Promise.all([peers(page, 1), peers(other, 1)]);
  await videoFlows(page, other);
  await page.click("#hangup");
  assert.equal(await page.locator("#join").innerText(), "Join");
});

test("a second tab of the same room is told, and muted until it says otherwise", async (scenario) => {
  const first = await join(scenario, room(scenario));
  const second = await first.context().newPage();
  await second.goto(addressOf(server.origin, room(scenario)));
  await enter(second);
  await second.locator("[data-notice=tab]").waitFor();
  await shows(first, "off", "on");
  await eventually("silent", () => second.evaluate(() => document.querySelector(".peer video")?.muted || null));
  await second.locator("[data-notice=tab] button").click();
  await shows(first, "on", "on");
  assert.equal(await second.evaluate(() => document.querySelector(".peer video").muted), false);
});

test("a shared screen stands beside the camera, large and whole, and goes again", async (scenario) => {
  const [page, other] = await call(scenario, room(scenario), { name: "Ada" });
  await videoFlows(page, other);
  await screenOf(page);
  const screen = other.locator(".peer video[data-purpose=screen]");
  await screen.waitFor();
  assert.equal(await other.locator(".peer video[data-purpose=camera]").count(), 1);
  await eventually("its whole picture", () => screen.evaluate(({ videoWidth, videoHeight }) => Math.abs(videoWidth / videoHeight - 1600 / 600) < 0.05 || null));
  assert.equal(await screen.evaluate((video) => getComputedStyle(video).objectFit), "contain");
  assert.equal(await other.getAttribute("#tiles", "data-layout"), "focus");
  assert.equal(await page.getAttribute("#share", "aria-pressed"), "true");
  await peers(other, 1);
  await page.locator("[data-notice=share] button").click();
  await screen.waitFor({ state: "detached" });
  assert.equal(await page.getAttribute("#share", "aria-pressed"), "false");
  await videoFlows(page, other);
});

test("a tile fills the screen, and leaves it", async (scenario) => {
  const [page] = await call(scenario, room(scenario));
  await page.locator(".menu summary").click();
  await page.getByRole("button", { name: "Full screen" }).click();
  await eventually("full screen", () => page.evaluate(() => document.fullscreenElement?.classList.contains("tile") || null));
  await page.evaluate(() => document.exitFullscreen());
  await eventually("the page again", () => page.evaluate(() => document.fullscreenElement === null || null));
});

test("the screen stays on during a call, and no longer", async (scenario) => {
  const page = await open(scenario, addressOf(server.origin, room(scenario)));
  await page.evaluate(() => {
    // A machine without a screen grants none.
    window.locks = [];
    navigator.wakeLock.request = async (kind) => {
      const lock = { kind, released: false, release: async () => void (lock.released = true) };
      window.locks.push(lock);
      return lock;
    };
  });
  const held = () => page.evaluate(() => window.locks.filter(({ kind, released }) => kind === "screen" && !released).length);
  assert.equal(await held(), 0);
  await enter(page);
  await eventually("one lock", async () => (await held()) === 1 || null);
  await page.click("#hangup");
  await eventually("no lock", async () => (await held()) === 0 || null);
});

test("the volume of one person is set in the tile", async (scenario) => {
  const [page] = await call(scenario, room(scenario));
  await page.locator(".menu summary").click();
  await page.locator(".menu input[type=range]").fill("0.25");
  assert.equal(await page.evaluate(() => document.querySelector(".peer video").volume), 0.25);
});

test("a page whose server is away says so, and keeps saying it", async (scenario) => {
  const own = await startServer({});
  let stopping = null;
  const stop = () => (stopping ??= own.stop());
  afterwards(scenario, stop);
  const page = await open(scenario, addressOf(own.origin, room(scenario)), { tolerated: /Failed to load|WebSocket/ });
  await enter(page);
  await stop();
  await page.locator("[data-notice=server]").waitFor();
  await says(page, /out of reach/);
});
