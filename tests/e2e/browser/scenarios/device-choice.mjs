import assert from "node:assert/strict";
import { test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { FAKE_DEVICES, launchChromium, withoutFirefox } from "../browsers.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { joined, peers } from "../page.mjs";
import { firefox, join, open, room } from "../stage.mjs";

/**
 * A Chromium with cameras, which are allowed. Its second one has a format that no encoder takes.
 */
async function withCameras(scenario) {
  const browser = await launchChromium({ devices: [`${FAKE_DEVICES}=device-count=3`, "--use-fake-ui-for-media-stream"] });
  afterwards(scenario, () => browser.close());
  return browser;
}

/** Opens a page where `window.media` is a LocalMedia of its own; its events and tracks are kept. */
async function media(scenario, browser) {
  const page = await open(scenario, "/", { browser, tolerated: /^console: .*getUserMedia/ });
  await page.evaluate(async () => {
    const { mediaDevices } = navigator;
    const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
    window.tracks = [];
    window.fails = () => null; // name of the error for these constraints
    mediaDevices.getUserMedia = async (constraints) => {
      const name = window.fails(constraints);
      if (name === "OverconstrainedError") throw Object.assign(new Error("unmet"), { name });
      if (name) throw new DOMException("no", name);
      const stream = await getUserMedia(constraints);
      window.tracks.push(...stream.getTracks());
      return stream;
    };
    window.live = () => window.tracks.filter(({ readyState }) => readyState === "live").map(({ kind }) => kind).sort();
    const { LocalMedia } = await import("/page/media.js");
    const kept = new Map();
    const remember = { get: (key) => kept.get(key) ?? null, set: (key, value) => kept.set(key, value) };
    window.newMedia = () => new LocalMedia({ remember });
    window.media = window.newMedia();
    window.notices = [];
    window.media.addEventListener("change", ({ detail }) => detail.notice && window.notices.push(detail.notice.key));
  });
  return page;
}

/**
 * The same scenario in each browser. Those that make a track end are for Chromium alone: Firefox
 * dispatches no event of a test's own to the listeners of a track.
 */
const both = (what, run) => {
  test(`${what}, in Chromium`, async (scenario) => run(await media(scenario, await withCameras(scenario))));
  test(`${what}, in Firefox`, { skip: withoutFirefox }, async (scenario) => run(await media(scenario, await firefox())));
};

test("a camera that is chosen in mid-call replaces the track alone, and is remembered", async (scenario) => {
  const browser = await withCameras(scenario);
  const name = room(scenario);
  const [seen, page] = [await join(scenario, name), await join(scenario, name, { browser })];
  await Promise.all([peers(page, 1), peers(seen, 1)]);
  await videoFlows(seen);
  const sent = () =>
    page.evaluate(() => {
      const [{ connection }] = document.querySelector("#call").call.peers;
      const labels = connection.getSenders().map(({ track }) => track?.label);
      return { labels, count: window.connections.length, description: connection.localDescription.sdp.split("\n")[1] };
    });
  const before = await sent();
  assert.ok(before.labels.includes("fake_device_0"), before.labels.join());

  await page.click("#settings");
  await page.selectOption("#camera-device", { label: "fake_device_2" });
  const after = await eventually("the other camera is sent", async () => {
    const now = await sent();
    return now.labels.includes("fake_device_2") ? now : null;
  });
  assert.equal(after.count, before.count);
  assert.equal(after.description, before.description, "no further offer or answer");
  await videoFlows(seen);
  assert.match(await page.locator("#camera-came").innerText(), /^The camera gives \d+ × \d+ at \d+ pictures per second\.$/);

  // A virtual background goes on with another camera, and lets go of the earlier one.
  const isProcessed = async () => (await sent()).labels.some((label) => /^[\da-f-]{36}$/.test(label)) || null;
  await page.selectOption("#background", "chroma");
  await eventually("another background is sent", isProcessed);
  const [worker] = page.workers();
  await page.selectOption("#camera-device", { label: "fake_device_0" });
  await eventually("the camera changes", () => page.evaluate(() => /_0$/.test(document.querySelector("#chroma-picture video").srcObject.getTracks()[0].label) || null));
  assert.ok(await isProcessed());
  await videoFlows(seen);
  assert.deepEqual(page.workers(), [worker]);
  assert.equal((await sent()).description, before.description, "no further offer or answer");
  await page.selectOption("#background", "none");
  await page.selectOption("#camera-device", { label: "fake_device_2" });
  await eventually("the camera itself is sent", async () => (await sent()).labels.includes("fake_device_2") || null);

  await page.reload();
  await page.click("#join");
  await joined(page);
  await peers(page, 1);
  await eventually("the remembered camera is sent", async () => (await sent()).labels.includes("fake_device_2") || null);
});

both("requests that overlap leave no camera on, and `close` leaves nothing", async (page) => {
  const live = await page.evaluate(async () => {
    const { media } = window;
    await Promise.all([media.open(), media.open()]);
    const ids = media.lists.camera.map(({ deviceId }) => deviceId);
    await Promise.all([...ids, ...ids].map((id) => media.choose("camera", id)));
    await Promise.all([false, true, false, true].map((on) => media.setEnabled("camera", on)));
    await Promise.all([media.flip(), media.setResolution({ width: 640, height: 360, frameRate: 15 }), media.flip()]);
    return window.live();
  });
  assert.deepEqual(live, ["audio", "video"]);

  await page.evaluate(async () => {
    const { media } = window;
    const ids = media.lists.camera.map(({ deviceId }) => deviceId);
    const late = [media.choose("camera", ids.at(-1)), media.choose("camera", ids[0])];
    media.close();
    const again = media.open();
    media.close();
    await Promise.all([...late, again]);
  });
  await eventually("no live track", () => page.evaluate(() => window.live().length === 0 || null));
  assert.deepEqual(await page.evaluate(() => window.media.stream.getTracks().length), 0);
});

both("a camera that is switched off goes dark, and comes back as the same one", async (page) => {
  await page.evaluate(async () => {
    const { media } = window;
    await media.open();
    await media.choose("camera", media.lists.camera.at(-1).deviceId);
    window.chosen = media.camera.label;
    window.stream = media.stream;
    media.setEnabled("camera", false);
  });
  assert.deepEqual(await page.evaluate(() => window.media.states), { microphone: "on", camera: "off" });
  await eventually("the camera is released", () => page.evaluate(() => window.live().join() === "audio" || null));
  assert.ok(await page.evaluate(() => window.media.setEnabled("camera", true).then(() => window.media.camera.label === window.chosen)));
  assert.ok(await page.evaluate(() => window.media.stream === window.stream && window.stream.getVideoTracks().length === 1));
});

both("a camera that cannot be opened keeps the earlier one, or the microphone", async (page) => {
  const told = await page.evaluate(async () => {
    const { media } = window;
    await media.open();
    const before = media.camera.label;
    window.fails = ({ video }) => (video?.deviceId?.exact === "busy" ? "NotReadableError" : null);
    await media.choose("camera", "busy");
    const kept = [media.camera.status, media.camera.error?.code, media.camera.label === before, window.live().join()];
    window.fails = ({ video }) => (video?.facingMode ? "OverconstrainedError" : null);
    await media.flip();
    const flipped = [media.camera.status, /^no-(front|back)-camera$/.test(media.camera.error?.code)];
    media.close();
    window.fails = ({ video }) => (video ? "NotReadableError" : null);
    await media.open();
    return { kept, flipped, alone: [media.states, media.camera.error?.code, window.live().join()], notices: window.notices };
  });
  assert.deepEqual(told, {
    kept: ["on", "camera-busy", true, "audio,video"],
    flipped: ["on", true],
    alone: [{ microphone: "on", camera: "busy" }, "camera-busy", "audio"],
    notices: ["devices.kept-camera", "devices.kept-camera"],
  });
});

test("a device that is unplugged is told, and replaced by the default one", async (scenario) => {
  const page = await media(scenario, await withCameras(scenario));
  const told = await page.evaluate(async () => {
    const { media } = window;
    await media.open();
    const lost = media.camera.source;
    media.camera.openedAt = -Infinity;
    // As when the device goes.
    lost.dispatchEvent(new Event("ended"));
    lost.stop();
    await new Promise((resolve) => media.addEventListener("change", ({ detail }) => detail.notice && resolve()));
    return { status: media.camera.status, isOther: media.camera.source !== lost, notices: window.notices };
  });
  assert.deepEqual(told, { status: "on", isOther: true, notices: ["devices.replaced"] });
});

test("noise suppression replaces the track that is sent, and mute silences it", async (scenario) => {
  const page = await media(scenario, await withCameras(scenario));
  const seen = await page.evaluate(async () => {
    const { media } = window;
    await media.open();
    const [raw] = media.stream.getAudioTracks();
    await media.setNoiseSuppression(true);
    const [clean] = media.stream.getAudioTracks();
    const seen = { isOther: raw !== clean, one: media.stream.getAudioTracks().length, live: raw.readyState, on: media.noiseSuppressed };
    await media.setEnabled("microphone", false);
    seen.muted = [raw.enabled, clean.enabled];
    await media.setNoiseSuppression(false);
    seen.back = media.stream.getAudioTracks()[0] === raw && !raw.enabled;
    return seen;
  });
  assert.deepEqual(seen, { isOther: true, one: 1, live: "live", on: true, muted: [false, false], back: true });
});

test("a shared screen is ended from the browser's own bar, and a closed picker is no error", async (scenario) => {
  const page = await media(scenario, await withCameras(scenario));
  const seen = await page.evaluate(async () => {
    const { media } = window;
    const asked = [];
    const events = [];
    media.addEventListener("screen", ({ detail }) => events.push(`${Boolean(media.screen)} ${detail.error?.code ?? ""}`.trim()));
    const picture = () => {
      const canvas = document.createElement("canvas");
      canvas.getContext("2d");
      return canvas.captureStream(5);
    };
    navigator.mediaDevices.getDisplayMedia = async (options) => (asked.push(options), picture());
    const [first, second] = await Promise.all([media.shareScreen(), media.shareScreen()]);
    first.getVideoTracks()[0].dispatchEvent(new Event("ended"));
    navigator.mediaDevices.getDisplayMedia = () => Promise.reject(new DOMException("Permission denied", "NotAllowedError"));
    const closed = await media.shareScreen();
    navigator.mediaDevices.getDisplayMedia = () => Promise.reject(new DOMException("x", "NotReadableError"));
    await media.shareScreen();
    const [{ systemAudio, surfaceSwitching, selfBrowserSurface }] = asked;
    return { same: first === second, times: asked.length, systemAudio, surfaceSwitching, selfBrowserSurface, closed, events };
  });
  assert.deepEqual(seen, {
    same: true,
    times: 1,
    systemAudio: "include",
    surfaceSwitching: "include",
    selfBrowserSurface: "exclude",
    closed: null,
    events: ["true", "false", "false screen-failed"],
  });
});
