import assert from "node:assert/strict";
import { test } from "node:test";

import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { joined, peers } from "../page.mjs";
import { join, open, room } from "../stage.mjs";

/** How getUserMedia fails where Chromium's own make-believe camera is not wanted. */
const TROUBLES = {
  "a camera that is not allowed": { error: "NotAllowedError", sentence: /not allowed to use camera/ },
  "no camera at all": { error: "NotFoundError", sentence: /No camera or microphone was found/ },
  "a camera that another program has": { error: "NotReadableError", sentence: /in use by another program/ },
  "a page opened over plain http": { error: null, sentence: /only to pages opened over https/ },
};

for (const [what, { error, sentence }] of Object.entries(TROUBLES)) {
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
      (await seen.locator(".peer .note").innerText()) === "No camera" || null,
    );
  });
}

test("a camera that is switched off is said to be, to both", async (scenario) => {
  const [first, second] = [await join(scenario, room(scenario)), await join(scenario, room(scenario))];
  await videoFlows(first, second);
  await first.click("#camera");
  await eventually("a sentence at the other", async () =>
    (await second.locator(".peer .note").innerText()) === "No camera" || null,
  );
  assert.equal(await first.locator("#self-note").innerText(), "Your camera is off");
  assert.equal(await first.locator("#camera").getAttribute("aria-pressed"), "false");
});

test("going back lets go of the camera, from the lobby and on the way into the call", async (scenario) => {
  const page = await open(scenario, "/");
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

  // Chromium's make-believe permission is granted, so the preview begins by itself.
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
