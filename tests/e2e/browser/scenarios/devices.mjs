import assert from "node:assert/strict";
import { test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { FAKE_DEVICES, launchChromium } from "../browsers.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { joined, peers } from "../page.mjs";
import { join, open, room, server } from "../stage.mjs";

/** Failures of getUserMedia, in place of Chromium's simulated camera. */
const TROUBLES = {
  "a camera that is not allowed": { error: "NotAllowedError", sentence: /not allowed to use the camera/, told: "Camera not allowed" },
  "no camera at all": { error: "NotFoundError", sentence: /No camera was found/, told: "No camera" },
  "a camera that another program has": { error: "NotReadableError", sentence: /in use by another program/, told: "Camera in use elsewhere" },
  "a page opened over plain http": { error: null, sentence: /only to pages opened over https/, told: "Camera not allowed" },
};

for (const [what, { error, sentence, told }] of Object.entries(TROUBLES)) {
  test(`with ${what}, one still sees the others`, async (scenario) => {
    const seen = await join(scenario, room(scenario));
    const page = await open(scenario, "/");
    await page.addInitScript((name) => {
      const getUserMedia = () => Promise.reject(new DOMException("no", name));
      Object.defineProperty(navigator, "mediaDevices", { value: name ? { getUserMedia } : undefined });
    }, error);
    await page.goto(await seen.inputValue("#room-link"));
    await page.click("#join");
    await joined(page);
    await Promise.all([peers(page, 1), peers(seen, 1)]);
    // Where one's own picture would be, and for as long.
    assert.match(await page.locator("#self-note").innerText(), sentence);
    await eventually("the other's picture", () =>
      page.evaluate(() => document.querySelector(".peer video").videoWidth > 0 || null),
    );
    await eventually("a sentence in place of a picture", async () =>
      (await seen.locator(".peer .note").innerText()) === told || null,
    );
  });
}

/**
 * Options of a Chromium that can use but one of two devices: `granted` are the permissions of a
 * page that it asks about. No flag makes a device that is there and does not start, so that `busy`
 * makes the page see one.
 */
const ONE_OF_TWO = {
  "a camera that is refused": {
    devices: [FAKE_DEVICES],
    granted: ["microphone"],
    sent: "audio",
    code: "camera-denied",
  },
  "a microphone that is refused": {
    devices: [FAKE_DEVICES],
    granted: ["camera"],
    sent: "video",
    code: "microphone-denied",
  },
  "a camera that another program has": {
    devices: [FAKE_DEVICES],
    granted: ["camera", "microphone"],
    busy: "video",
    sent: "audio",
    code: "camera-busy",
  },
  "a camera that is not there": {
    devices: [`${FAKE_DEVICES}=device-count=0`],
    granted: ["camera", "microphone"],
    sent: "audio",
    code: "no-camera",
  },
};

for (const [what, { devices, granted, busy, sent, code }] of Object.entries(ONE_OF_TWO)) {
  test(`threat 48: ${what} does not take the other device along`, async (scenario) => {
    // The one without windows takes a refusal for none.
    const browser = await launchChromium({ devices, windows: true });
    afterwards(scenario, () => browser.close());
    const seen = await join(scenario, room(scenario));
    const page = await open(scenario, "/", { browser, permissions: granted });
    await page.addInitScript(occupy, busy);
    await page.goto(await seen.inputValue("#room-link"));
    await page.click("#join");
    await joined(page);
    await Promise.all([peers(page, 1), peers(seen, 1)]);
    await arrives(seen, sent);
    const other = sent === "audio" ? "camera" : "microphone";
    const sentence = await page.evaluate(async (code) => new (await import("/byway.js")).BywayError(code).message, code);
    assert.ok((await page.locator(`#${other}`).getAttribute("title")).startsWith(sentence));
    await eventually("it is told", async () => (await seen.locator(".peer").getAttribute(`data-${other}`)) === "none" || null);
    assert.equal(await page.locator(`#${other}`).getAttribute("aria-pressed"), "false");
    const note = await page.locator("#self-note").innerText();
    assert.ok(other === "camera" ? note.startsWith(sentence) : note === "", note);
    assert.equal(/icon to the left/.test(note), code === "camera-denied", "a refusal says how to undo it");
    if (devices[0] !== FAKE_DEVICES) return;

    // Allowed or free later, it joins what is sent.
    await page.evaluate(() => (window.busy = undefined));
    await page.context().grantPermissions(["camera", "microphone"], { origin: server.origin });
    await page.click(`#${other}`);
    await Promise.all([arrives(seen, "audio"), arrives(seen, "video")]);
    assert.equal(await page.locator(`#${other}`).getAttribute("aria-pressed"), "true");
  });
}

test("threat 48: whoever closes the question is not asked about each device again", async (scenario) => {
  const page = await open(scenario, "/");
  const asked = await page.evaluate(async () => {
    const asked = [];
    navigator.mediaDevices.getUserMedia = (constraints) => {
      asked.push(Object.keys(constraints).join());
      return Promise.reject(new DOMException("Permission dismissed", "NotAllowedError"));
    };
    navigator.permissions.query = async () => ({ state: "prompt" });
    const { openCamera, openDevices } = await import("/byway.js");
    const { stream, errors } = await openDevices();
    const thrown = await openCamera({ audio: true }).catch(({ code }) => code);
    return { asked, stream, codes: errors.map(({ code }) => code), thrown };
  });
  assert.deepEqual(asked, {
    asked: ["audio,video", "audio"],
    stream: null,
    codes: ["camera-denied"],
    thrown: "microphone-denied",
  });
});

/**
 * Runs in the page: fails as Chromium does where the device of this kind is there and does not
 * start, until `busy` is unset.
 */
function occupy(kind) {
  window.busy = kind;
  const { getUserMedia } = MediaDevices.prototype;
  MediaDevices.prototype.getUserMedia = async function (constraints) {
    if (constraints[window.busy]) throw new DOMException("Could not start source", "NotReadableError");
    return getUserMedia.call(this, constraints);
  };
}

/**
 * Waits until more has come of what the other one's device gives.
 * @param {"audio" | "video"} kind
 */
async function arrives(page, kind) {
  const total = () =>
    page.evaluate(async ([kind, field]) => {
      const stats = await document.querySelector("#call").call.peers[0].connection.getStats();
      return [...stats.values()].find((entry) => entry.type === "inbound-rtp" && entry.kind === kind)?.[field] ?? 0;
    }, [kind, kind === "audio" ? "totalAudioEnergy" : "framesDecoded"]);
  const before = await total();
  await eventually(`${kind} of the other one`, async () => (await total()) > before || null);
}

test("a camera that is switched off is said to be, to both", async (scenario) => {
  const [first, second] = [await join(scenario, room(scenario)), await join(scenario, room(scenario))];
  await videoFlows(first, second);
  await first.click("#camera");
  await eventually("a sentence at the other", async () =>
    (await second.locator(".peer .note").innerText()) === "Camera off" || null,
  );
  assert.equal(await first.locator("#self-note").innerText(), "Your camera is off");
  assert.equal(await first.locator("#camera").getAttribute("aria-pressed"), "false");
});

test("going back lets go of the camera, from the lobby and on the way into the call", async (scenario) => {
  const page = await open(scenario, "/", { permissions: ["camera", "microphone"] });
  await page.evaluate(() => {
    const { mediaDevices } = navigator;
    const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
    window.tracks = [];
    window.answer = Promise.resolve();
    mediaDevices.getUserMedia = async (constraints) => {
      await window.answer;
      const stream = await getUserMedia(constraints);
      window.tracks.push(...stream.getTracks());
      return stream;
    };
  });
  const opened = (count) => eventually(`${count} tracks`, () => page.evaluate((n) => window.tracks.length === n || null, count));
  const allEnded = () =>
    eventually("no live track", () => page.evaluate(() => window.tracks.every(({ readyState }) => readyState === "ended") || null));

  // Permission is granted, so the preview begins by itself.
  await page.click("#new-call");
  await opened(2);
  await page.goBack();
  await allEnded();

  // Asked, and answered only after the person has gone back.
  await page.evaluate(() => {
    window.answer = new Promise((resolve) => (window.allow = resolve));
  });
  await page.goForward();
  await page.click("#join");
  await page.goBack();
  await page.evaluate(() => window.allow());
  await opened(4);
  await allEnded();
  await page.locator("#landing").waitFor();
  assert.equal(await page.evaluate(() => window.connections.length + Number(Boolean(document.querySelector("#call").call))), 0);
});
