import assert from "node:assert/strict";
import { test } from "node:test";

import { findsNothing } from "../axe.mjs";
import { FACE, SCREEN, withGreenScreen } from "../camera-file.mjs";
import { withoutFirefox } from "../browsers.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { addressOf, enter, peers } from "../page.mjs";
import { firefox, join, open, room, server } from "../stage.mjs";

/** Video that the others receive. */
const RECEIVED = ".peer video[data-purpose=camera]";

/** Opens a room's page that keeps its tracks. The lobby opens devices as soon as it is there. */
async function openKept(scenario, { name = room(scenario), ...options } = {}) {
  const page = await open(scenario, "about:blank", options);
  await page.addInitScript(keepTracks);
  await page.goto(addressOf(server.origin, name));
  return page;
}

/** Keeps the tracks of devices, and those that the page makes. Runs in the page. */
function keepTracks() {
  window.tracks = [];
  const { mediaDevices } = navigator;
  const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (constraints) => {
    const stream = await getUserMedia(constraints);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
  const Generator = window.MediaStreamTrackGenerator;
  if (Generator) {
    window.MediaStreamTrackGenerator = class extends Generator {
      constructor(...parameters) {
        super(...parameters);
        window.tracks.push(this);
      }
    };
  }
  window.liveTracks = () => window.tracks.filter(({ readyState }) => readyState === "live").map(({ label }) => label);
}

/** Colour of a video's picture at a place, or null before the first one. */
const colorAt = (page, selector, place) =>
  page.evaluate(([selector, { x, y }]) => {
    const video = document.querySelector(selector);
    if (!video?.videoWidth) return null;
    const context = new OffscreenCanvas(1, 1).getContext("2d");
    context.drawImage(video, x * video.videoWidth - 3, y * video.videoHeight - 3, 6, 6, 0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  }, [selector, place]);

/** Hues that the scenarios tell apart. */
const isGreen = ([r, g, b]) => g > r + 60 && g > b + 40;
const isBlue = ([r, g, b]) => b > r + 100 && b > g + 100;
const isSkin = ([r, g, b]) => r > g + 15 && g > b && r > 90;
const isBlack = (color) => color.every((value) => value < 24);

const shows = (page, what, is, place = SCREEN, selector = RECEIVED) =>
  eventually(what, async () => {
    const color = await colorAt(page, selector, place);
    return color && is(color) ? color : null;
  });

/** Counts the pictures that arrive from now on, and those with the green. Runs in the page. */
function countGreen([selector, { x, y }]) {
  const video = document.querySelector(selector);
  window.seen = { pictures: 0, green: 0 };
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const look = () => {
    video.requestVideoFrameCallback(look);
    if (!video.videoWidth) return;
    context.drawImage(video, x * video.videoWidth, y * video.videoHeight, 4, 4, 0, 0, 1, 1);
    const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
    window.seen.pictures += 1;
    if (green > red + 60 && green > blue + 40) window.seen.green += 1;
  };
  look();
}

/** State of the page's connection: how many, and the version of its description. */
const negotiation = (page) =>
  page.evaluate(() => [window.connections.length, window.connections.at(-1).localDescription.sdp.split("\n")[1]].join());

const choose = (page, settings) => page.evaluate((change) => {
  for (const [id, value] of Object.entries(change)) {
    const input = document.getElementById(id);
    input.value = value;
    input.dispatchEvent(new Event(input.localName === "select" ? "change" : "input"));
  }
}, settings);

/** Waits until no worker and this number of tracks is left: the microphone has one. */
async function freed(page, tracks) {
  let left = [];
  await eventually("no worker and no other track", async () => {
    left = [...(await page.evaluate(() => window.liveTracks())), ...page.workers().map((worker) => worker.url())];
    return left.length === tracks || null;
  }).catch((error) => assert.fail(`${error.message}: ${left.join(", ")} are left`));
}

/** Breaks the background's worker. */
const breakWorker = (page) => page.workers()[0].evaluate(() => setTimeout(() => {
  throw new Error("the worker breaks");
}));

/** Takes WebGL away from the background's worker at its next picture, as a driver that restarts. */
const loseWebGL = (page) => page.workers()[0].evaluate(() => {
  const { drawArrays } = WebGL2RenderingContext.prototype;
  WebGL2RenderingContext.prototype.drawArrays = function (...parameters) {
    WebGL2RenderingContext.prototype.drawArrays = drawArrays;
    this.getExtension("WEBGL_lose_context").loseContext();
    return drawArrays.apply(this, parameters);
  };
});

/** Waits for a worker that is not the earlier one. */
const anotherWorker = (page, earlier) => eventually("another worker", () => {
  const [worker, ...more] = page.workers();
  return (worker && worker !== earlier && !more.length) || null;
});

/** A picture of one colour, as the file of a person. */
const blueFile = (page) =>
  page.evaluate(async () => {
    const canvas = new OffscreenCanvas(64, 36);
    const context = canvas.getContext("2d");
    context.fillStyle = "#1020f0";
    context.fillRect(0, 0, 64, 36);
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
    return [...bytes];
  }).then((bytes) => ({ name: "blue.png", mimeType: "image/png", buffer: Buffer.from(bytes) }));

test("the others see another background, and never the room behind it", async (scenario) => {
  const name = room(scenario);
  const other = await join(scenario, name);
  const browser = await withGreenScreen(scenario, other);
  const page = await openKept(scenario, { name, browser });
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  await enter(page);
  await Promise.all([peers(page, 1), peers(other, 1)]);
  await videoFlows(other);
  await shows(other, "the green screen as it is", isGreen);
  const negotiated = await negotiation(page);

  await page.click("#settings");
  await page.selectOption("#background", "chroma");
  await shows(other, "another color in place of the green screen", (color) => !isGreen(color) && !isBlack(color));
  await shows(other, "the face in front of it", isSkin, FACE);

  // A darker green than the screen's is not keyed, unless the tolerance is high.
  await choose(page, { "chroma-color": "#3c6e46", "chroma-tolerance": 0, "chroma-softness": 5, "chroma-spill": 0 });
  await shows(other, "the green screen past the tolerance", isGreen);
  await choose(page, { "chroma-spill": 100 });
  await shows(other, "its reflection removed", (color) => !isGreen(color));
  await choose(page, { "chroma-spill": 0 });
  await shows(other, "its reflection", isGreen);
  await choose(page, { "chroma-tolerance": 100 });
  await shows(other, "the green screen within the tolerance", (color) => !isGreen(color));
  await choose(page, { "chroma-tolerance": 40, "chroma-softness": 20, "chroma-color": "#ff00ff" });
  await shows(other, "the green screen of another color", isGreen);
  const { width, height } = await page.locator("#chroma-picture").boundingBox();
  await page.locator("#chroma-picture").click({ position: { x: width * (1 - SCREEN.x), y: height * SCREEN.y } });
  await shows(other, "the color that was taken from the mirrored picture", (color) => !isGreen(color));
  assert.match(await page.inputValue("#chroma-color"), /^#[0-4]\w[9a-d]\w[2-6]\w$/);

  const unreadable = { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no picture") };
  await page.setInputFiles("#background-file", unreadable);
  await eventually("a broken file is refused", async () =>
    /cannot read this file/.test(await page.innerText("#background-file-state")) || null);
  await page.setInputFiles("#background-file", { name: "a.zip", mimeType: "application/zip", buffer: Buffer.from("PK") });
  await eventually("another file is refused", async () =>
    /neither a picture nor a video/.test(await page.innerText("#background-file-state")) || null);
  await page.setInputFiles("#background-file", await blueFile(page));
  await shows(other, "the person's own picture", isBlue);

  // From here on no picture shows the room, also while the model loads or the camera comes back.
  await other.evaluate(countGreen, [RECEIVED, SCREEN]);
  await page.selectOption("#background", "person");
  await choose(page, { "background-color": "#c02020" });
  await shows(other, "a plain color behind the person", ([r, g, b]) => r > g + 80 && r > b + 80);
  await shows(other, "the face in front of it", isSkin, FACE);
  await page.selectOption("#background", "image");
  await shows(other, "the picture behind the person", isBlue);
  await page.click("#camera");
  await shows(other, "black in place of the camera", isBlack);
  await freed(page, 1);
  await page.click("#camera");
  await shows(other, "the picture behind, of the camera that is on again", isBlue);
  await shows(other, "the face in front of it", isSkin, FACE);

  const [broken] = page.workers();
  await loseWebGL(page);
  await anotherWorker(page, broken);
  await shows(page, "the background after WebGL was lost", isBlue, SCREEN, "#self");
  await videoFlows(other);
  await shows(other, "the same at the other side", isBlue);
  assert.equal(await page.locator("[data-notice=background]").count(), 0);
  assert.deepEqual([await page.evaluate(() => window.liveTracks().length), page.workers().length], [3, 1]);
  const { pictures, green } = await other.evaluate(() => window.seen);
  assert.ok(pictures > 10, `only ${pictures} pictures came`);
  assert.equal(green, 0, `${green} of ${pictures} pictures showed the room`);

  assert.equal(await negotiation(page), negotiated, "no further offer or answer");
  assert.deepEqual(requests.filter((url) => !url.startsWith(server.origin) && !url.startsWith("blob:")), []);

  await page.click("#hangup");
  await page.locator("#call[data-state=lobby]").waitFor();
  await freed(page, 0);
});

test("a background that fails is told, and stays told until it works", async (scenario) => {
  // What the browser itself logs about a request that failed.
  const tolerated = /^console: Failed to load resource/;
  const page = await openKept(scenario, { tolerated });
  await page.route("**/*.wasm", (route) => route.abort());
  await enter(page);
  await page.click("#settings");
  await page.selectOption("#background", "image");
  const notice = page.locator("[data-notice=background]");
  await notice.waitFor();
  assert.match(await notice.innerText(), /^The others see your room: /);
  assert.match(await page.innerText("#background-state"), /^The others see your room: /);
  assert.equal(page.workers().length, 0);

  await page.unroute("**/*.wasm");
  await page.click("#background-retry");
  await eventually("the notice ends", async () => (await notice.count()) === 0 || null);
  await shows(page, "the background at the second attempt", (color) => !isBlack(color), SCREEN, "#self");
  assert.match(await page.innerText("#background-state"), /^The others see you in front of/);

  // It is started once more, and breaks again.
  const [first] = page.workers();
  await breakWorker(page);
  await anotherWorker(page, first);
  await shows(page, "the background of the new worker", (color) => !isBlack(color), SCREEN, "#self");
  assert.equal(await notice.count(), 0);
  await breakWorker(page);
  await notice.waitFor();
  await notice.locator("button").click();
  await eventually("the camera is off", async () => (await page.getAttribute("#camera", "aria-pressed")) === "false" || null);
  await freed(page, 1);
  assert.equal(await notice.count(), 0);
});

/** Code before that of a worker, which takes away what some browsers lack. */
const LACKS = {
  "WebGL 2": "OffscreenCanvas.prototype.getContext = () => null;",
  SIMD: "WebAssembly.validate = () => false;",
};

test("a browser that cannot replace the background says so, and sends no picture", async (scenario) => {
  const page = await openKept(scenario);
  let lack = LACKS["WebGL 2"];
  await page.route("**/background/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: lack + (await response.text()) });
  });
  await enter(page);
  await page.click("#settings");
  const notice = page.locator("[data-notice=background]");
  for (lack of Object.values(LACKS)) {
    await page.selectOption("#background", "person");
    await notice.waitFor();
    for (const place of [notice, page.locator("#background-state"), page.locator("#self-note")]) {
      assert.match(await place.innerText(), /^This browser cannot replace your background, so the others see no picture\. Update/);
    }
    assert.deepEqual(await page.evaluate(() => document.querySelector("#self").srcObject.getVideoTracks()), []);
    assert.equal(page.workers().length, 0);
    await page.selectOption("#background", "none");
    await eventually("the notice ends", async () => (await notice.count()) === 0 || null);
  }
});

test("the green screen needs no SIMD, and keeps its worker over another size", async (scenario) => {
  const page = await openKept(scenario);
  await page.route("**/background/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: LACKS.SIMD + (await response.text()) });
  });
  await enter(page);
  await page.click("#settings");
  await page.selectOption("#background", "chroma");
  await shows(page, "a picture", (color) => !isBlack(color), SCREEN, "#self");
  assert.match(await page.innerText("#background-state"), /^Replaces one color/);
  await findsNothing(page, "controls of the green screen");
  const cutOff = await page.evaluate(() => [...document.querySelectorAll("#panel :is(input, select, button)")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1).map(({ id }) => id));
  assert.deepEqual(cutOff, []);

  const [worker] = page.workers();
  const before = await page.evaluate(() => window.liveTracks());
  await page.selectOption("#camera-resolution", "640x360");
  await eventually("the larger picture", () => page.evaluate(() => document.querySelector("#self").videoWidth === 640 || null));
  assert.deepEqual([await page.evaluate(() => window.liveTracks()), page.workers()], [before, [worker]]);
});

test("a browser that lends no streams to a worker gives it copies of the pictures", async (scenario) => {
  const page = await open(scenario, addressOf(server.origin, room(scenario)));
  await page.evaluate(() => {
    // As Firefox and Safari are.
    delete window.MediaStreamTrackProcessor;
  });
  await enter(page);
  await page.click("#settings");
  await page.selectOption("#background", "person");
  await choose(page, { "background-color": "#1020f0" });
  // The camera of the browser's own making shows no person.
  await shows(page, "the plain color alone", isBlue, SCREEN, "#self");
});

test("Firefox replaces the background where it has WebGL, and says so where it has none", { skip: withoutFirefox }, async (scenario) => {
  const page = await open(scenario, addressOf(server.origin, room(scenario)), { browser: await firefox() });
  const hasWebGL = await page.evaluate(() => Boolean(document.createElement("canvas").getContext("webgl2")));
  await enter(page);
  await page.click("#settings");
  await page.selectOption("#background", "person");
  await choose(page, { "background-color": "#1020f0" });
  if (hasWebGL) await shows(page, "the plain color alone", isBlue, SCREEN, "#self");
  else assert.match(await page.locator("[data-notice=background]").innerText(), /^This browser cannot replace your background/);
});
