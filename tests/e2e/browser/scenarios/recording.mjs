/** Recording: of a real call, in every format, in a hidden tab, after a crash; and who is told. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { FAKE_DEVICES, launchChromium, withoutFirefox } from "../browsers.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { openHideable } from "../hidden-tab.mjs";
import { addressOf, enter, peers, says, toggleRelay } from "../page.mjs";
import { MAGIC, download, finished, listen, look, openPanel, recordInAllFormats, sendColor, start, written } from "../recordings.mjs";
import { call, firefox, join, open, room, server } from "../stage.mjs";

const RED = "rgb(220, 20, 20)";
const BLUE = "rgb(20, 20, 220)";
const TONE = 1_000;

/** Measured times differ by a frame, a frame of sound and the click. */
const TOLERANCE_S = 0.5;

/** Recordings at a time, where all formats are tried. */
const AT_ONCE = 6;
const EXTENSIONS = {
  "video/mp4": "mp4", "video/webm": "webm", "video/x-matroska": "mkv",
  "audio/mp4": "m4a", "audio/webm": "weba", "audio/ogg": "ogg", "audio/wav": "wav",
};

const isRed = ([red, green, blue]) => red > 120 && green < 90 && blue < 90;
const isBlue = ([red, green, blue]) => blue > 120 && red < 90 && green < 90;
const isGreen = ([red, green, blue]) => green > 90 && red < 90 && blue < 90;

/** Fails unless a file is what its name says. */
function assertContainer({ name, bytes }, extension) {
  assert.ok(name.endsWith(`.${extension}`), name);
  const [offset, magic] = MAGIC[extension];
  assert.equal(bytes.subarray(offset, offset + magic.length / 2).toString("hex"), magic, name);
}

/** Waits until a page sees the other one's picture in this color. */
const sees = (page, matches, what) =>
  eventually(`the other's picture in ${what}`, async () => {
    const pixel = await page.evaluate(() => {
      const context = new OffscreenCanvas(1, 1).getContext("2d");
      context.drawImage(document.querySelector(".peer video"), 0, 0, 1, 1);
      return [...context.getImageData(0, 0, 1, 1).data];
    });
    return matches(pixel) || null;
  });

/** Clicks, and returns when that was done in the page's own time. */
const clickedAt = async (page, selector) => {
  await page.click(selector);
  return page.evaluate(() => performance.now());
};

test("a recording of a call has both people, their sound, its duration, and no gap where it paused", async (scenario) => {
  const [page, other] = await call(scenario, room(scenario));
  await sendColor(other, RED, TONE);
  await videoFlows(page, other);
  await sees(page, isRed, "red");
  await openPanel(page);
  const started = await clickedAt(page, "#record-start");
  await page.locator("#record[data-recording]").waitFor();
  // The other side is told, in a sentence that stays and beside the name.
  await other.locator(".peer[data-recording] .badge.recording:not([hidden])").waitFor();
  assert.match(await other.locator("[data-notice=recorded]").innerText(), /is recording this call/);
  await written(page, 20);
  const paused = await clickedAt(page, "#record-pause");
  await other.evaluate((color) => (window.color = color), BLUE);
  await sees(page, isBlue, "blue");
  await page.waitForFunction((until) => performance.now() > until, paused + 2_500);
  const resumed = await clickedAt(page, "#record-pause");
  await page.waitForFunction((until) => performance.now() > until, resumed + (paused - started));
  const stopped = await clickedAt(page, "#record-start");
  await finished(page);
  await other.locator(".peer:not([data-recording])").waitFor();
  await other.locator("[data-notice=recorded]").waitFor({ state: "detached" });
  await says(other, /has stopped recording/);

  const measured = (paused - started + stopped - resumed) / 1_000;
  const { duration, frames, width } = await look(page, [0.25, 0.8, 0.1], [[0.4, 0.4], [0.85, 0.8]]);
  assert.ok(Math.abs(duration - measured) < TOLERANCE_S, `${duration} s of ${measured} s`);
  assert.equal(width, 1280);
  // The other one fills the picture, and the own one is an inset, as in the call.
  assert.ok(isRed(frames[0][0]) && isBlue(frames[1][0]) && isRed(frames[2][0]), `seeks: ${JSON.stringify(frames)}`);
  assert.ok(frames.every(([, own]) => isGreen(own)), `own picture: ${JSON.stringify(frames)}`);
  const file = await download(page);
  assertContainer(file, "webm");
  const sound = await listen(page, file.bytes, [TONE, 700]);
  assert.ok(Math.abs(sound.seconds - measured) < TOLERANCE_S, `${sound.seconds} s of sound in ${measured} s`);
  assert.ok(sound.loudness[0] > 0.1 && sound.loudness[1] < 0.05, `tones: ${sound.loudness}`);

  await page.click("#recordings .send");
  await says(page, /Offered to everyone in the chat/);
  await other.click("#chat");
  const sent = other.locator("#chat-log li.file", { hasText: file.name });
  await sent.locator(".accept").click();
  await other.locator("#chat-log li.file[data-state=done]").waitFor();

  // The picture of one person, who leaves.
  const person = await page.locator("#record-what option[value^=camera-]").getAttribute("value");
  await start(page, { what: person });
  await other.click("#hangup");
  await peers(page, 0);
  const leftAt = await page.evaluate(() => performance.now());
  await page.waitForFunction((until) => performance.now() > until, leftAt + 1_500);
  await page.click("#record-start");
  await finished(page, 2);
  const alone = await look(page, [0.05, 0.95], [[0.05, 0.05]]);
  assert.ok(alone.duration > 2, `it goes on: ${alone.duration} s`);
  assert.ok(isBlue(alone.frames[0][0]) && !isBlue(alone.frames[1][0]), `no picture that stands still: ${JSON.stringify(alone.frames)}`);
  assert.equal(await page.locator("#recordings .send").first().isVisible(), true);
  await page.locator("#recordings .send").first().click();
  await says(page, /Nobody|nobody/);
});

test("every offered format is what it says, has its duration and sound, and seeks", async (scenario) => {
  const [page, other] = await call(scenario, room(scenario));
  await sendColor(other, RED, TONE);
  await videoFlows(page, other);
  await sees(page, isRed, "red");
  await openPanel(page);
  const formats = await page.evaluate(() => [...document.querySelectorAll("#record-format option")].map(({ value }) => value));
  assert.ok(formats.length >= 6 && formats.every((value) => /^(convert:)?(video|audio)\//.test(value)), formats.join());
  const isRecorded = await page.evaluate((formats) => formats.filter((value) => !value.startsWith("convert:") && !MediaRecorder.isTypeSupported(value)), formats);
  assert.deepEqual(isRecorded, []);
  const person = await page.locator("#record-what option[value^=camera-]").getAttribute("value");
  const made = await recordInAllFormats(page, { picture: person, atOnce: AT_ONCE });
  assert.deepEqual([...made].sort(), [...formats].sort(), "every format of the menu is recorded");
  await finished(page, formats.length);
  for (const [index, format] of made.entries()) {
    const [, container] = /(?:convert:)?([^;]+)/.exec(format);
    const file = await download(page, index);
    assertContainer(file, EXTENSIONS[container]);
    const { duration, frames, width, height } = await look(page, [0.5], [[0.5, 0.5]], index);
    assert.ok(Number.isFinite(duration) && duration > 0.5 && duration < 8, `${format}: ${duration} s`);
    if (container.startsWith("video/")) {
      assert.deepEqual([width, height], [320, 180], format);
      assert.ok(isRed(frames[0][0]), `${format}: ${frames}`);
    }
    const { loudness, seconds } = await listen(page, file.bytes, [TONE]);
    assert.ok(loudness[0] > 0.1, `${format}: the tone is ${loudness}`);
    assert.ok(Math.abs(seconds - duration) < TOLERANCE_S, `${format}: ${seconds} s of sound in ${duration} s`);
  }
  scenario.diagnostic(formats.join("\n"));
});

test("a recording outlives its panel, people who come and go, a relay switch and the call; viewers record nothing", async (scenario) => {
  const name = room(scenario);
  const lobby = await open(scenario, addressOf(server.origin, name));
  assert.equal(await lobby.locator("#record").isVisible(), false, "no button in the lobby");
  await enter(lobby, "Ada");
  const page = lobby;
  const other = await join(scenario, name, { name: "Bob" });
  await sendColor(other, RED, TONE);
  await sees(page, isRed, "red");
  await start(page);
  await page.click("#panel-close");
  const late = await join(scenario, name, { name: "Eve" });
  await late.locator("[data-notice=recorded]").waitFor();
  assert.equal(await late.locator("[data-notice=recorded]").innerText(), "Ada is recording this call.");
  await toggleRelay(page);
  await late.locator(".peer[data-recording]").waitFor();
  await page.click("#camera");
  await late.click("#hangup");
  await peers(page, 1);
  await page.click("#camera");
  await videoFlows(page, other);
  await sees(page, isRed, "red");
  await other.evaluate((color) => (window.color = color), BLUE);
  await sees(page, isBlue, "blue");
  const shown = () => page.evaluate(() => document.querySelector(".peer video").getVideoPlaybackQuality().totalVideoFrames);
  const before = await shown();
  await eventually("a last second of blue", async () => (await shown()) >= before + 15 || null);
  const dialog = await page.evaluate(() => {
    const event = new Event("beforeunload", { cancelable: true });
    dispatchEvent(event);
    return event.defaultPrevented;
  });
  assert.equal(dialog, true, "closing the page asks");
  await page.click("#hangup");
  await page.click("#record");
  await finished(page);
  assert.equal(await page.locator("#record[data-recording], [data-notice=recording]").count(), 0);
  const { duration, frames } = await look(page, [0.02, 0.97], [[0.4, 0.4]]);
  assert.ok(duration > 5, `${duration} s`);
  // After the relay switch the picture comes over another connection.
  assert.ok(isRed(frames[0][0]) && isBlue(frames[1][0]), JSON.stringify(frames));
});

/** Runs in a page: label of its device, once that is live. */
async function labelOf(kind) {
  const { recorderOf } = await import("/page/panels/record/recorder.js");
  const { source } = recorderOf(null).page.media[kind];
  return source?.readyState === "live" ? source.label : null;
}

test("a changed camera and microphone go on in a recording; a screen is recorded until the browser stops it", async (scenario) => {
  const browser = await launchChromium({ devices: [`${FAKE_DEVICES}=device-count=3`, "--use-fake-ui-for-media-stream"] });
  afterwards(scenario, () => browser.close());
  const page = await join(scenario, room(scenario), { browser });
  await start(page);
  await page.click("#settings");
  for (const kind of ["camera", "microphone"]) {
    const select = page.locator(`#${kind}-device`);
    const options = select.locator("option", { hasText: /^fake/i });
    await options.nth(2).waitFor({ state: "attached" });
    const before = await page.evaluate(labelOf, kind);
    const label = (await options.allInnerTexts()).findLast((text) => text !== before);
    await select.selectOption({ label });
    await eventually(`${label} in place of ${before}`, async () => (await page.evaluate(labelOf, kind)) === label || null);
  }
  const changedAt = await page.evaluate(() => performance.now());
  await page.waitForFunction((until) => performance.now() > until, changedAt + 2_000);
  await page.click("#record");
  await page.click("#record-start");
  await finished(page);
  const { frames } = await look(page, [0.1, 0.95], [[0.3, 0.9]]);
  assert.ok(frames.every(([pixel]) => isGreen(pixel)), `the camera's background: ${JSON.stringify(frames)}`);
  const sound = await listen(page, (await download(page)).bytes);
  assert.ok(sound.lastPeak > 0.05, `the other microphone beeps: ${sound.lastPeak}`);

  // The screen that Chromium simulates.
  await page.evaluate(() => {
    const devices = navigator.mediaDevices;
    const choose = devices.getDisplayMedia.bind(devices);
    devices.getDisplayMedia = async (options) => {
      window.screenStream = await choose(options);
      return window.screenStream;
    };
  });
  await start(page, { what: "screen" });
  assert.equal(await page.locator("[data-notice=share]").count(), 0, "nobody else sees it");
  // As the browser's own bar does it.
  await page.evaluate(() => {
    const [track] = window.screenStream.getVideoTracks();
    track.stop();
    track.dispatchEvent(new Event("ended"));
  });
  await finished(page, 2);
  assert.equal(await page.locator("#record[data-recording], [data-notice=recording]").count(), 0);
  const seen = await look(page);
  assert.ok(seen.duration > 0.5 && seen.width >= 640, JSON.stringify(seen));
  assert.ok(Math.max(...seen.frames[0][0]) > 100, `a picture, not the dark stage: ${seen.frames}`);
  assert.equal(await page.evaluate(() => window.screenStream.getTracks().some(({ readyState }) => readyState === "live")), false);

  await page.evaluate(() => (navigator.mediaDevices.getDisplayMedia = () => Promise.reject(new DOMException("", "NotAllowedError"))));
  await page.click("#record-start");
  await page.locator("#record-trouble:not([hidden])").waitFor();
  assert.match(await page.locator("#record-trouble").innerText(), /not allowed to record this\. Allow it/);
});

test("a viewer of a live room is told of a recording, and makes none", async (scenario) => {
  const speaker = await open(scenario, "/");
  await speaker.click("#new-live");
  await enter(speaker, "Ada");
  const viewer = await open(scenario, await speaker.inputValue("#room-link"));
  await enter(viewer);
  await peers(viewer, 1);
  await start(speaker);
  await viewer.locator("[data-notice=recorded]").waitFor();
  assert.equal(await viewer.locator("[data-notice=recorded] span").first().innerText(), "Ada is recording this call.");
  await viewer.locator(".peer[data-recording]").waitFor();
  assert.equal(await viewer.locator("#record").isVisible(), false);
  await speaker.click("#record-start");
  await viewer.locator("[data-notice=recorded]").waitFor({ state: "detached" });
});

test("threat 25: a page that says all the time that it records is announced rarely", async (scenario) => {
  const [page, attacker] = await call(scenario, room(scenario));
  await page.evaluate(() => {
    window.told = [];
    const status = document.querySelector("#status");
    new MutationObserver(() => window.told.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
  });
  await attacker.evaluate(() => {
    const [peer] = document.querySelector("#call").call.peers;
    const channel = peer.openChannel("byway.page");
    for (let index = 0; index < 5_000; index += 1) channel.send(`{"recording":${index % 2 === 0}}`);
    for (const text of [`{"recording":1}`, `{"recording":{"on":true}}`, `{"recording":"true"}`]) channel.send(text);
    channel.send(`{"recording":true}`);
  });
  await page.locator(".peer[data-recording]").waitFor();
  await page.locator("[data-notice=recorded]").waitFor();
  const told = (await page.evaluate(() => window.told)).filter((text) => /record/.test(text));
  assert.ok(told.length <= 2, told.join("\n"));
});

test("a recording goes on in a hidden tab", async (scenario) => {
  const name = room(scenario);
  const tab = await openHideable(scenario);
  await tab.goto(server.origin);
  await tab.shows("#new-call");
  await tab.evaluate(() => localStorage.setItem("byway.resolution", JSON.stringify({ width: 320, height: 180, frameRate: 15 })));
  await tab.goto(addressOf(server.origin, name));
  await tab.click("#call:not([hidden]) #join");
  await tab.shows("#call[data-state=joined]");
  const other = await join(scenario, name);
  await sendColor(other, RED, TONE);
  await tab.shows(".peer[data-camera=on]");
  await tab.click("#record");
  await tab.shows("#record-format option[value='convert:audio/wav']");
  await tab.evaluate(() => (document.querySelector("#record-format").value = "video/webm;codecs=vp8,opus"));
  await tab.click("#record-start");
  await tab.shows("#record[data-recording]");
  await tab.hide();
  await tab.evaluate(() => {
    window.drawn = 0;
    const count = () => ((window.drawn += 1), requestAnimationFrame(count));
    requestAnimationFrame(count);
  });
  const hiddenAt = Date.now();
  await eventually("seven seconds are over", () => Date.now() - hiddenAt > 7_000 || null);
  const drawn = await tab.evaluate(() => window.drawn);
  await tab.click("#record-start");
  await tab.shows("#recordings a[download]");
  const pictures = await tab.evaluate(async () => {
    const { recorderOf } = await import("/page/panels/record/recorder.js");
    const { ALL_FORMATS, BlobSource, EncodedPacketSink, Input } = await import("/vendor/mediabunny/mediabunny.js");
    const input = new Input({ source: new BlobSource(recorderOf(null).items[0].blob), formats: ALL_FORMATS });
    const track = await input.getPrimaryVideoTrack();
    const times = [];
    for await (const packet of new EncodedPacketSink(track).packets()) times.push(packet.timestamp);
    const end = times.at(-1) - 1;
    return times.filter((time) => time > end - 5 && time <= end).length;
  });
  scenario.diagnostic(`hidden: ${drawn} animation frames, ${pictures} pictures in five seconds of the recording`);
  assert.ok(drawn <= 2, `${drawn} animation frames: the tab was not hidden`);
  // A throttled timer gives five. A busy machine gives fewer than the camera.
  assert.ok(pictures >= 15, `${pictures} pictures in five seconds`);
});

test("a recording goes into the chosen file, and survives a crash of the page", async (scenario) => {
  const name = room(scenario);
  const page = await join(scenario, name);
  // A file of the browser's private storage in place of the one that a person picks.
  await page.evaluate(() => {
    window.showSaveFilePicker = async ({ suggestedName }) => {
      window.suggested = suggestedName;
      return (await navigator.storage.getDirectory()).getFileHandle("chosen", { create: true });
    };
  });
  await openPanel(page);
  await page.locator("label:has(#record-to-file)").click();
  await start(page);
  await page.click("#record-start");
  await finished(page);
  const chosen = await page.evaluate(async () => {
    const file = await (await (await navigator.storage.getDirectory()).getFileHandle("chosen")).getFile();
    const left = [];
    for await (const entry of (await (await navigator.storage.getDirectory()).getDirectoryHandle("recordings")).keys()) left.push(entry);
    return { head: [...new Uint8Array(await file.slice(0, 4).arrayBuffer())], size: file.size, left, suggested: window.suggested };
  });
  assert.deepEqual(chosen.head, [0x1a, 0x45, 0xdf, 0xa3]);
  assert.ok(chosen.size > 1_000 && /^recording-Everybody-.*\d{4}(-\d\d){5}\.webm$/.test(chosen.suggested), JSON.stringify(chosen));
  assert.deepEqual(chosen.left, [], "nothing is left of it in the page's storage");
  assert.ok((await look(page)).duration > 0.5);

  // A file that cannot be written, since its folder is gone.
  await page.evaluate(() => {
    window.showSaveFilePicker = async () => {
      const root = await navigator.storage.getDirectory();
      const handle = await (await root.getDirectoryHandle("gone", { create: true })).getFileHandle("chosen", { create: true });
      await root.removeEntry("gone", { recursive: true });
      return handle;
    };
  });
  await start(page);
  await page.click("#record-start");
  await finished(page, 2);
  assert.equal(await page.locator("#recordings .recording-note").first().innerText(), "The chosen file could not be written. Download the recording here instead.");
  assert.ok((await look(page)).duration > 0.5);
  await page.locator("#recordings .remove").first().click();
  await finished(page, 1);

  // The page ends without a chance to stop.
  await page.locator("label:has(#record-to-file)").click();
  await start(page);
  await written(page, 30);
  const session = await page.context().newCDPSession(page);
  const second = await page.context().newPage();
  // A page that has crashed answers nothing.
  session.send("Page.crash").catch(() => {});
  await page.waitForEvent("crash");
  await second.goto(addressOf(server.origin, name));
  await enter(second);
  await openPanel(second);
  await finished(second);
  assert.match(await second.locator("#recordings li").first().innerText(), /closed during this recording/);
  const recovered = await look(second);
  assert.ok(Number.isFinite(recovered.duration) && recovered.duration > 0.5, `${recovered.duration} s`);
});

test("a full disk ends a recording, and what was written is kept", async (scenario) => {
  const tab = await openHideable(scenario, { hasDisk: true });
  await tab.goto(addressOf(server.origin, room(scenario)));
  await tab.click("#call:not([hidden]) #join");
  await tab.shows("#call[data-state=joined]");
  await tab.evaluate(() => {
    window.showSaveFilePicker = async () => (await navigator.storage.getDirectory()).getFileHandle("chosen", { create: true });
  });
  await tab.click("#record");
  await tab.shows("#record-format option[value='convert:audio/wav']");
  // Sound that is not compressed: 384 kB a second.
  await tab.evaluate(() => (document.querySelector("#record-format").value = "video/x-matroska;codecs=vp8,pcm"));
  await tab.click("#record-to-file");
  const { usage } = await tab.evaluate(() => navigator.storage.estimate());
  await tab.send("Storage.overrideQuotaForOrigin", { origin: server.origin, quotaSize: usage + 1_500_000 });
  await tab.click("#record-start");
  await tab.shows("#record[data-recording]");
  await tab.shows("[data-notice=recording-trouble]");
  await tab.shows("#recordings li[data-state=done] a[download]");
  const told = await tab.evaluate(() => ({
    trouble: document.querySelector("#record-trouble").innerText,
    notice: document.querySelector("[data-notice=recording-trouble]").innerText,
    note: document.querySelector("#recordings .recording-note").innerText,
    recording: document.querySelector("#record").hasAttribute("data-recording"),
  }));
  assert.match(told.trouble, /The disk is full, so the recording has ended\. What was written is kept/);
  assert.match(told.notice, /The disk is full/);
  // The finished file may be smaller than what was written, and then fits.
  assert.match(told.note, /^$|in memory\. Download it before you close the page/);
  assert.equal(told.recording, false);
  const kept = await tab.evaluate(async () => {
    const { recorderOf } = await import("/page/panels/record/recorder.js");
    const [{ blob, meta }] = recorderOf(null).items;
    const player = document.querySelector("#recordings video");
    if (player.readyState < 1) await new Promise((resolve) => player.addEventListener("loadedmetadata", resolve, { once: true }));
    return { size: blob.size, seconds: meta.duration, plays: player.duration };
  });
  // How much fits depends on when the writer comes to its turn.
  assert.ok(kept.size > 100_000 && kept.seconds > 0.25 && Math.abs(kept.plays - kept.seconds) < TOLERANCE_S, JSON.stringify(kept));
});

test("Firefox records a call, and makes what it does not record", { skip: withoutFirefox }, async (scenario) => {
  const name = room(scenario);
  const page = await join(scenario, name, { browser: await firefox() });
  const other = await join(scenario, name);
  await sendColor(other, RED, TONE);
  await sees(page, isRed, "red");
  await openPanel(page);
  const formats = await page.evaluate(() => [...document.querySelectorAll("#record-format option")].map(({ value }) => value));
  scenario.diagnostic(formats.join("\n"));
  // Sound may be written before the first picture.
  const hasPictures = () => eventually("two seconds", async () =>
    Number(/ 0:(\d\d) /.exec(await page.locator("#record-state").innerText())?.[1]) >= 2 || null);
  const started = await start(page, { format: formats[0] });
  await hasPictures();
  await page.click("#record-start");
  const measured = (Date.now() - started) / 1_000;
  await finished(page);
  const { duration, frames } = await look(page, [0.5], [[0.4, 0.4]]);
  assert.ok(Math.abs(duration - measured) < 1 && isRed(frames[0][0]), `${duration} s of ${measured} s: ${frames}`);
  const converted = formats.find((value) => value.startsWith("convert:video/mp4"));
  assert.ok(converted, formats.join());
  await start(page, { format: converted });
  await hasPictures();
  await page.click("#record-start");
  await finished(page, 2);
  const seen = await look(page, [0.5], [[0.4, 0.4]]);
  assert.ok(seen.duration > 0.5 && isRed(seen.frames[0][0]), JSON.stringify(seen));
});
