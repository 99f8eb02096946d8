/** Streams of the module: the camera's, which never negotiate, and further ones with a purpose. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { eventually } from "../eventually.mjs";
import { becomes, happened, openWith, join, pair, pictureMoves } from "../module.mjs";
import { firefox, room } from "../stage.mjs";

const BROWSERS = {
  Chromium: { skip: false, choose: async () => ({}) },
  Firefox: { skip: withoutFirefox, choose: async () => ({ browser: await firefox() }) },
};

/** Kinds of the peer's camera that are there, such as "audio video". */
const kinds = () => window.call.peers[0].stream.getTracks().map(({ kind }) => kind).sort().join(" ");

const hasKinds = (page, wanted) => eventually(`"${wanted}" of the peer`, async () => (await page.evaluate(kinds)) === wanted || null);

/** A picture that moves, without a device. */
const drawing = () => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const context = canvas.getContext("2d");
  setInterval(() => context.fillRect(Math.random() * 64, Math.random() * 64, 4, 4), 50);
  return canvas.captureStream(20);
};

for (const [name, { skip, choose }] of Object.entries(BROWSERS)) {
  test(`${name}: devices come, change and go without any negotiation`, { skip }, async (scenario) => {
    const [first, second] = await pair(scenario, room(scenario), { first: { open: await choose() } });
    assert.equal(await second.evaluate(kinds), "");
    const before = await Promise.all([first, second].map((page) => page.evaluate(() => window.described)));
    assert.ok(before[0] > 0, "no description was counted");

    for (const page of [first, second]) {
      await page.evaluate(async () => {
        window.camera = await window.byway.openCamera();
        await window.call.replaceTrack("audio", window.camera.getAudioTracks()[0]);
      });
    }
    await Promise.all([first, second].map((page) => hasKinds(page, "audio")));
    // Sound alone plays: no picture is waited for.
    await becomes(second, "sound", async () => {
      window.video ??= Object.assign(document.body.appendChild(document.createElement("video")), { muted: true, srcObject: window.call.peers[0].stream });
      window.video.play().catch(() => {});
      return window.video.currentTime > 0 || null;
    });
    for (const page of [first, second]) await page.evaluate(() => window.call.setStream(window.camera));
    await Promise.all([first, second].map((page) => hasKinds(page, "audio video")));
    await Promise.all([pictureMoves(first), pictureMoves(second)]);
    await first.evaluate(() => window.call.replaceTrack("video", null));
    await hasKinds(second, "audio");
    await first.evaluate(() => window.call.setStream(null));
    await hasKinds(second, "");
    await first.evaluate(() => window.call.setStream(window.camera));
    await hasKinds(second, "audio video");
    await pictureMoves(second);

    const after = await Promise.all([first, second].map((page) => page.evaluate(() => window.described)));
    assert.deepEqual(after, before, "descriptions were made");
    for (const page of [first, second]) assert.equal(await page.evaluate(() => window.connections.length), 1);
  });

  test(`${name}: a screen beside the camera arrives with its purpose, and on the relay too`, { skip }, async (scenario) => {
    const [first, second] = await pair(scenario, room(scenario), { first: { camera: true, open: await choose() }, second: { camera: true } });
    for (const [sender, receiver] of [[first, second], [second, first]]) {
      await sender.evaluate(`window.screen2 = (${drawing})(); window.call.addStream(window.screen2, "screen")`);
      await moves(receiver, "screen");
      await moves(receiver, "camera");
    }
    await first.evaluate(() => {
      window.before = window.call.peers[0].streams.get("screen");
      return window.call.setRelayOnly(true);
    });
    await Promise.all([happened(first, "connection"), happened(second, "connection")]);
    for (const page of [first, second]) {
      await moves(page, "screen");
      await moves(page, "camera");
    }
    assert.ok(await first.evaluate(() => window.before === window.call.peers[0].streams.get("screen")), "another stream object");
    assert.ok(await first.evaluate(() => window.call.peers[0].stream === window.call.peers[0].streams.get("camera")));

    await first.evaluate(() => window.call.removeStream("screen"));
    await becomes(second, "no screen", () => !window.call.peers[0].streams.has("screen") || null);
    await moves(first, "screen");
    await first.evaluate(() => window.call.addStream(window.screen2, "screen"));
    await moves(second, "screen");
    // Four transceivers at each end at most: one more for each direction of the screen.
    for (const page of [first, second]) {
      assert.ok((await page.evaluate(() => window.call.peers[0].connection.getTransceivers().length)) <= 4);
    }
  });
}

test("who shares a screen before anybody comes shows it to all who do", async (scenario) => {
  const name = room(scenario);
  const [first, second] = [await openWith(scenario), await openWith(scenario)];
  await join(first, name, { camera: true });
  await first.evaluate(`window.call.addStream((${drawing})(), "screen")`);
  await join(second, name);
  await moves(second, "screen");
  await moves(second, "camera");
});

/**
 * Runs in the page: changes whether a screen is sent three times. The second time the browser has
 * just made the offer of the first one, and the third time that offer has just left. On a busy
 * machine a person is as fast.
 */
const changeWhileNegotiating = async (shownAtFirst) => {
  let shown = shownAtFirst;
  const change = () => ((shown = !shown) ? window.call.addStream(window.screen2, "screen") : window.call.removeStream("screen"));
  const { setLocalDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setLocalDescription = async function () {
    RTCPeerConnection.prototype.setLocalDescription = setLocalDescription;
    await this.setLocalDescription();
    await change();
  };
  const { send } = WebSocket.prototype;
  const left = new Promise((resolve) => {
    WebSocket.prototype.send = function (text) {
      send.call(this, text);
      if (!text.includes(`"description"`)) return;
      WebSocket.prototype.send = send;
      resolve(change());
    };
  });
  await change();
  await left;
};

test("a screen that is taken back, shown and taken back during a negotiation leaves no stream behind", async (scenario) => {
  const [first, second] = await pair(scenario, room(scenario));
  await first.evaluate(`window.screen2 = (${drawing})(); window.call.addStream(window.screen2, "screen")`);
  await moves(second, "screen");
  await first.evaluate(changeWhileNegotiating, true);
  await becomes(second, "no screen", () => !window.call.peers[0].streams.has("screen") || null);
});

test("a screen that is shown, taken back and shown during a negotiation arrives", async (scenario) => {
  const [first, second] = await pair(scenario, room(scenario));
  await first.evaluate(`window.screen2 = (${drawing})()`);
  await first.evaluate(changeWhileNegotiating, false);
  await moves(second, "screen");
});

test("purposes are short words, few, and not the camera's", async (scenario) => {
  const page = await openWith(scenario);
  await join(page, room(scenario));
  const codes = await page.evaluate(async () => {
    const attempt = (purpose) => window.call.addStream(new MediaStream(), purpose).then(() => "", ({ code }) => code);
    const codes = [];
    for (const purpose of ["", "x".repeat(33), "camera", 1]) codes.push(await attempt(purpose));
    for (let count = 0; count < 8; count += 1) codes.push(await attempt(`screen ${count}`));
    return codes;
  });
  assert.deepEqual(codes, [...Array(4).fill("bad-purpose"), ...Array(7).fill(""), "too-many-streams"]);
});

/** Waits until the peer's stream of a purpose has a picture that moves. */
async function moves(page, purpose) {
  await becomes(page, `a moving ${purpose}`, async (purpose) => {
    const [track] = window.call.peers[0]?.streams.get(purpose)?.getVideoTracks() ?? [];
    if (!track) return null;
    const receiver = window.call.peers[0].connection.getReceivers().find((candidate) => candidate.track === track);
    const decoded = async () => [...(await receiver.getStats()).values()].find(({ type }) => type === "inbound-rtp")?.framesDecoded ?? 0;
    const before = await decoded();
    const until = performance.now() + 2_000;
    while (performance.now() < until) if ((await decoded()) > before + 5) return true;
    return null;
  }, purpose, 20_000);
}
