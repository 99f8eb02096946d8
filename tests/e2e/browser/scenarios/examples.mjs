/** The programs of `examples/`, as a web developer runs them: on an origin of their own. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { afterwards } from "../afterwards.mjs";
import { pathBecomes, videoFlows } from "../connections.mjs";
import { elsewhere } from "../elsewhere.mjs";
import { eventually } from "../eventually.mjs";
import { BINARY, startFor } from "../server.mjs";
import { open, room } from "../stage.mjs";

/** The address in each example that a developer replaces. */
const SERVER = "http://localhost:8080";

const KEY = "key-of-the-examples";

const MIB = 1024 * 1024;

/** The module waits above one mebibyte, and takes one more message then. */
const BUFFERED = MIB + 64 * 1024;

/** Path of a file of the examples. */
const fileOf = (path) => fileURLToPath(new URL(`../../../../examples/${path}`, import.meta.url));

test("the configuration of the examples is valid, and has the key of the backend", async () => {
  const file = fileOf("turnserver.toml");
  await promisify(execFile)(BINARY, ["--config", file, "check"]);
  for (const place of [file, fileOf("node-backend/README.md")]) assert.ok((await readFile(place, "utf8")).includes(KEY), place);
});

test("one to one: two people see each other, and a third one is turned away", async (scenario) => {
  const site = await publish(scenario, "one-to-one");
  const [first, second] = await visitAll(scenario, site, 2);
  await Promise.all([first, second].map((page) => says(page, "You are connected.")));
  await Promise.all([first, second].flatMap((page) => [moves(page.locator("video").first()), moves(page.locator("video").last())]));
  await videoFlows(first, second);

  const [third] = await visitAll(scenario, site, 1);
  await says(third, "Two people are in this call already.");
  await moves(first.locator("video").last());

  await second.click("button");
  await says(second, "The call has ended.");
  await says(first, "The other person has left.");
  await eventually("no picture", () => first.evaluate(() => document.querySelectorAll("video")[1].srcObject === null || null));
  assert.deepEqual(await second.evaluate(() => document.querySelectorAll("video")[0].srcObject), null);
});

test("room: everyone sees the others, their names, their states and who talks", async (scenario) => {
  const site = await publish(scenario, "room");
  const pages = await visitAll(scenario, site, 3);
  const names = ["Ann", "<b>Bob</b>", "Eve"];
  for (const [index, page] of pages.entries()) {
    await page.fill("input", names[index]);
    await page.click("form button");
    await says(page, "Send the address of this page to the others.");
  }
  for (const page of pages) {
    for (const name of names) {
      const tile = tileOf(page, name);
      await tile.waitFor();
      await moves(tile.locator("video"));
    }
    assert.equal(await page.locator("figure").count(), 3);
  }
  await videoFlows(...pages);

  const [ann, bob] = pages;
  const seen = tileOf(bob, "Ann");
  const captionReads = (text) =>
    eventually(`caption "${text}"`, async () => (await seen.locator("figcaption").innerText()) === text || null);
  await captionReads("Ann");
  // The microphone of the test's browser beeps.
  await eventually("Ann talks", async () => (await isMarked(seen)) || null);
  await ann.click("text=Mute");
  await captionReads("Ann, muted");
  await eventually("Ann is silent", async () => !(await isMarked(seen)) || null);
  await ann.click("text=Camera off");
  await captionReads("Ann, muted, camera off");
  await ann.click("text=Mute");
  await captionReads("Ann, camera off");
  await eventually("Ann talks again", async () => (await isMarked(seen)) || null);

  await ann.close();
  await eventually("one tile less", async () => (await bob.locator("figure").count()) === 2 || null);
});

test("data channel: a file arrives whole, with progress and without filling the memory", async (scenario) => {
  const site = await publish(scenario, "data-channel");
  const [from, to] = await visitAll(scenario, site, 2, followTransfers);
  const files = [
    { name: "<img src=x>.bin", mimeType: "application/octet-stream", buffer: randomBytes(16 * MIB + 7) },
    { name: "empty", mimeType: "text/plain", buffer: Buffer.alloc(0) },
  ];
  for (const page of [from, to]) await says(page, "Connected: choose a file.");
  for (const [index, file] of files.entries()) {
    await from.setInputFiles("input", file);
    const item = to.locator("li").nth(index);
    await item.locator("a").waitFor({ timeout: 60_000 });
    assert.equal((await item.innerText()).replace(/\s+/g, " "), `${file.name}, ${file.buffer.length} bytes Save`);
    assert.equal(await item.locator("a").getAttribute("download"), file.name);
    const arrived = await item.locator("a").evaluate(async ({ href }) => {
      const digest = await crypto.subtle.digest("SHA-256", await (await fetch(href)).arrayBuffer());
      return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    });
    assert.equal(arrived, createHash("sha256").update(file.buffer).digest("hex"));
    await eventually("ready for the next", () => from.evaluate(() => !document.querySelector("input").disabled || null));
  }
  const size = files[0].buffer.length;
  for (const page of [from, to]) {
    const values = await page.evaluate(() => window.progressed);
    assert.ok(values.filter((value) => value > 0 && value < size).length > 10, `progress: ${values.slice(0, 20)}`);
    assert.ok(values.includes(size), "progress never reached the end");
  }
  const most = await from.evaluate(() => window.mostBuffered);
  assert.ok(most > 0 && most <= BUFFERED, `${most} bytes were buffered`);

  await to.close();
  await says(from, "The other person has left.");
});

test("screen share: the screen comes beside the camera with its purpose, and goes", async (scenario) => {
  const site = await publish(scenario, "screen-share");
  const [from, to] = await visitAll(scenario, site, 2, keepScreen);
  const purposes = (page, ...wanted) =>
    eventually(`pictures ${wanted}`, async () => {
      const found = await page.locator("video").evaluateAll((videos) => videos.map(({ dataset }) => dataset.purpose));
      return found.join() === wanted.join() || null;
    });
  for (const page of [from, to]) {
    await purposes(page, "camera");
    await moves(page.locator("video"));
  }

  // Once ended by the button, and once in the browser's bar.
  const endings = [() => from.click("button"), () => from.evaluate(() => window.screenShown.dispatchEvent(new Event("ended")))];
  for (const end of endings) {
    await from.click("button[aria-pressed=false]");
    await purposes(to, "camera", "screen");
    await Promise.all([moves(to.locator("[data-purpose=camera]")), moves(to.locator("[data-purpose=screen]"))]);
    await purposes(from, "camera");
    const [ours, theirs] = [await from.evaluate(() => window.screenShown.getSettings()), await sizeOf(to.locator("[data-purpose=screen]"))];
    // Chromium may scale a picture down, but keeps its shape.
    assert.ok(Math.abs(ours.width / ours.height - theirs.width / theirs.height) < 0.05, JSON.stringify({ ours, theirs }));
    await end();
    await purposes(to, "camera");
    await from.locator("button[aria-pressed=false]").waitFor();
    assert.equal(await from.evaluate(() => window.screenShown.readyState), "ended");
  }

  await from.evaluate(() => (navigator.mediaDevices.getDisplayMedia = () => Promise.reject(new DOMException("", "NotAllowedError"))));
  await from.click("button");
  await says(from, "The screen is not shared. Press the button and choose a screen or window.");
});

test("node backend: its own signaling and credentials of Byway carry a call over the relay alone", async (scenario) => {
  const byway = await startFor(scenario, { apiKeys: [KEY] });
  const site = await startBackend(scenario, { BYWAY: byway.origin, BYWAY_API_KEY: KEY });
  const [first, second] = await visitAll(scenario, site, 2, relayAlone);
  await Promise.all([first, second].map((page) => says(page, "You are connected.")));
  await Promise.all([first, second].map((page) => moves(page.locator("video").last())));
  await videoFlows(first, second);
  await pathBecomes(["relay"], first, second);
  assert.ok((await byway.metric('byway_relayed_bytes_total{direction="between_clients"}')) > 10_000);

  // Only a program with a key chooses the name in a credential.
  const names = await Promise.all([first, second].map(nameInCredential));
  for (const name of names) assert.match(name, /^\d+:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.notEqual(names[0], names[1]);

  const [third] = await visitAll(scenario, site, 1);
  await says(third, "Two people are in this room already.");

  await second.goto("about:blank");
  await says(first, "The other person has left.");
  await second.goto(`${site}#${room(scenario)}`);
  await Promise.all([first, second].map((page) => says(page, "You are connected.")));
  await videoFlows(first, second);
  assert.equal(await first.evaluate(() => window.connections.length), 2);

  assert.equal((await fetch(`${site}ice`)).status, 403, "ICE servers for everyone");
  assert.equal((await fetch(`${site}signal`, { method: "POST", body: "x" })).status, 400);
  assert.equal((await fetch(`${site}signal`, { method: "POST", body: `"${"x".repeat(MIB)}"` })).status, 400);
  assert.equal((await fetch(`${site}server.mjs`)).status, 404);
});

test("node backend: a key that Byway refuses is told, and the page says so", async (scenario) => {
  const byway = await startFor(scenario, { apiKeys: [KEY] });
  const site = await startBackend(scenario, { BYWAY: byway.origin, BYWAY_API_KEY: "another-key" });
  const pages = await visitAll(scenario, site, 2, undefined, { tolerated: /502/ });
  await Promise.all(pages.map((page) => says(page, "No ICE servers: the log of the backend has the reason.")));

  const failure = await promisify(execFile)(process.execPath, [fileOf("node-backend/server.mjs")], { env: {} }).catch((error) => error);
  assert.match(failure.stderr, /Set BYWAY_API_KEY/);
});

/** Serves an example to the browsers, with a Byway server that lists its origin. */
async function publish(scenario, name) {
  const files = {};
  const site = await elsewhere(scenario, files);
  const byway = await startFor(scenario, { allowedOrigins: [site] });
  files["/index.html"] = await readFile(fileOf(`${name}/index.html`), "utf8");
  const program = await readFile(fileOf(`${name}/main.js`), "utf8");
  assert.ok(program.includes(`"${SERVER}/byway.js"`), `${name} imports the module from elsewhere`);
  files["/main.js"] = program.replace(SERVER, byway.origin);
  return `${site}/`;
}

/** Starts the example's backend, and returns the address that it prints. */
async function startBackend(scenario, environment) {
  const backend = spawn(process.execPath, [fileOf("node-backend/server.mjs")], {
    env: { ...environment, PORT: "0" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = once(backend, "close");
  afterwards(scenario, async () => {
    backend.kill();
    await ended;
  });
  const [line] = await Promise.race([
    once(createInterface(backend.stdout), "line"),
    ended.then(([status]) => assert.fail(`the backend ended with ${status}`)),
  ]);
  return line;
}

/** Opens the example's page for several people, one after the other, in the scenario's room. */
async function visitAll(scenario, site, count, prepare, options) {
  const pages = [];
  while (pages.length < count) {
    const page = await open(scenario, "about:blank", options);
    if (prepare) await page.addInitScript(prepare);
    await page.goto(`${site}#${room(scenario)}`);
    pages.push(page);
  }
  return pages;
}

const says = (page, sentence) =>
  eventually(`"${sentence}"`, async () => (await page.locator("[role=status]").innerText()) === sentence || null);

/** Waits until a video element has shown ten more frames. */
async function moves(video) {
  const frames = () => video.evaluate((element) => element.getVideoPlaybackQuality().totalVideoFrames);
  const before = await frames();
  await eventually("a picture that moves", async () => (await frames()) >= before + 10 || null);
}

const sizeOf = (video) => video.evaluate(({ videoWidth: width, videoHeight: height }) => ({ width, height }));

const tileOf = (page, name) => page.locator("figure").filter({ hasText: name });

/** Whether a tile shows that its person talks. */
const isMarked = (tile) => tile.evaluate((element) => element.classList.contains("talks"));

/** User name of the credential that a page's last connection uses. */
const nameInCredential = (page) =>
  page.evaluate(() => window.connections.at(-1).getConfiguration().iceServers.find(({ username }) => username).username);

/** Runs in a page: keeps the values of progress bars, and the most bytes buffered by a channel. */
function followTransfers() {
  window.progressed = [];
  const { prototype } = HTMLProgressElement;
  const { get, set } = Object.getOwnPropertyDescriptor(prototype, "value");
  Object.defineProperty(prototype, "value", {
    get,
    set(value) {
      set.call(this, value);
      window.progressed.push(this.value);
    },
  });
  window.mostBuffered = 0;
  const { send } = RTCDataChannel.prototype;
  RTCDataChannel.prototype.send = function (data) {
    send.call(this, data);
    window.mostBuffered = Math.max(window.mostBuffered, this.bufferedAmount);
  };
}

/** Runs in a page: keeps the track of the screen that is shared. */
function keepScreen() {
  const devices = navigator.mediaDevices;
  const choose = devices.getDisplayMedia.bind(devices);
  devices.getDisplayMedia = async (options) => {
    const stream = await choose(options);
    [window.screenShown] = stream.getVideoTracks();
    return stream;
  };
}

/** Runs in a page: its connections use nothing but the relay. */
function relayAlone() {
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(configuration) {
      super({ ...configuration, iceTransportPolicy: "relay" });
    }
  };
}
