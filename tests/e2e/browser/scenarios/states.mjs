/** States of a call: of devices, of the connection once a second, and of its end. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { eventually } from "../eventually.mjs";
import { becomes, happened, join, openWith, pair } from "../module.mjs";
import { firefox, room, server } from "../stage.mjs";

const BROWSERS = {
  Chromium: { skip: false, choose: async () => ({}) },
  Firefox: { skip: withoutFirefox, choose: async () => ({ browser: await firefox() }) },
};

/** Waits until a page knows these states of its peer. */
const knows = (page, microphone, camera) =>
  becomes(page, `${microphone} and ${camera}`, ([microphone, camera]) => {
    const { media } = window.call.peers[0];
    return (media.microphone === microphone && media.camera === camera) || null;
  }, [microphone, camera]);

for (const [name, { skip, choose }] of Object.entries(BROWSERS)) {
  test(`${name}: peers know the state of one's devices`, { skip }, async (scenario) => {
    const [first, second] = await pair(scenario, room(scenario), { first: { open: await choose() }, second: { camera: true } });
    // Until a page sets states, they are those of its tracks.
    await knows(first, "on", "on");
    assert.deepEqual(await second.evaluate(() => window.call.peers[0].media), { microphone: "none", camera: "none" });
    for (const [microphone, camera] of [["on", "busy"], ["refused", "off"], ["off", "none"]]) {
      await first.evaluate((states) => window.call.setMedia(states), { microphone, camera });
      await knows(second, microphone, camera);
    }
    await second.evaluate(() => window.call.setMedia({ microphone: "off" }));
    await knows(first, "off", "on");
    // They outlive the connection, and are told to who comes later.
    await first.evaluate(() => window.call.setRelayOnly(true));
    await happened(second, "connection");
    await happened(second, "open", 2);
    await knows(second, "off", "none");
    assert.equal(await second.evaluate(() => window.events.filter((it) => it === "media").length), 3);
    const third = await openWith(scenario);
    await join(third, room(scenario));
    await becomes(third, "two peers whose states are known", () =>
      window.call.peers.filter(({ media }) => media.microphone === "off").length === 2 || null,
    );
    const refused = await first.evaluate(() => {
      try {
        window.call.setMedia({ camera: "loud" });
      } catch (error) {
        return error.name;
      }
    });
    assert.equal(refused, "TypeError");
  });
}

test("reports come once a second while something listens", async (scenario) => {
  const [first] = await pair(scenario, room(scenario), { first: { camera: true }, second: { camera: true } });
  const times = await first.evaluate(
    () =>
      new Promise((resolve) => {
        const [peer] = window.call.peers;
        const times = [];
        const listen = ({ report }) => {
          times.push([performance.now(), report.path, report.receivingBps]);
          if (times.length < 4) return;
          peer.removeEventListener("stats", listen);
          resolve(times);
        };
        peer.addEventListener("stats", listen);
        peer.addEventListener("stats", () => {}, { once: true });
        const ended = new AbortController();
        peer.addEventListener("stats", () => ended.abort(), ended);
      }),
  );
  for (const [, path] of times) assert.equal(path, "direct");
  assert.ok(times.at(-1)[2] > 0, "nothing was received");
  const seconds = (times[3][0] - times[0][0]) / 1000;
  assert.ok(seconds > 2.5 && seconds < 6, `four reports took ${seconds} s`);
  const { isListenedTo } = await first.evaluate(async () => {
    const { isListenedTo } = await import("/byway/events.js");
    return { isListenedTo: isListenedTo(window.call.peers[0], "stats") };
  });
  assert.equal(isListenedTo, false);
});

test("joining can be given up, and so can a ping", async (scenario) => {
  const page = await openWith(scenario);
  const reasons = await page.evaluate(async (room) => {
    const { Call, join } = window.byway;
    const outcome = (attempt) => attempt.then(() => "joined", (error) => `${error.name ?? error}`);
    const before = await outcome(join({ room, signal: AbortSignal.abort("no") }));
    const early = new AbortController();
    const attempt = join({ room, signal: early.signal });
    early.abort();
    const call = new Call({ room, signal: AbortSignal.abort("no") });
    return [before, await outcome(attempt), await outcome(call.ready), call.signaling];
  }, room(scenario));
  assert.deepEqual(reasons, ["no", "AbortError", "no", "closed"]);
  await eventually("no member", async () => (await server.metric("byway_members")) === 0 || null);

  const [first] = await pair(scenario, room(scenario));
  const pinged = await first.evaluate(async () => {
    const [peer] = window.call.peers;
    const ended = new AbortController();
    const ping = peer.ping(5000, { signal: ended.signal }).catch((error) => error);
    ended.abort("enough");
    return [await ping, await peer.ping(5000, { signal: ended.signal }).catch((error) => error), (await peer.ping(5000)) > 0];
  });
  assert.deepEqual(pinged, ["enough", "enough", true]);
});

test("a signal that is aborted later changes nothing", async (scenario) => {
  const page = await openWith(scenario);
  const state = await page.evaluate(async (room) => {
    const ended = new AbortController();
    const call = await window.byway.join({ room, signal: ended.signal });
    ended.abort();
    return call.signaling;
  }, room(scenario));
  assert.equal(state, "open");
});

test("the end of a call has its reason", async (scenario) => {
  const page = await openWith(scenario);
  const ends = await page.evaluate(async (room) => {
    const { join } = window.byway;
    const reasonOf = (call) => new Promise((resolve) => call.addEventListener("closed", ({ reason }) => resolve(reason)));
    const left = await join({ room });
    const leaving = reasonOf(left);
    left.leave();

    let deliver;
    window.WebSocket = class extends window.WebSocket {
      set onmessage(hear) {
        deliver = (message) => hear(new MessageEvent("message", { data: JSON.stringify(message) }));
        super.onmessage = hear;
      }
    };
    const removed = await join({ room });
    const removing = reasonOf(removed);
    deliver({ type: "bye", code: "removed" });
    const { name, code, message } = await removing;
    return [await leaving, { name, code, message }];
  }, room(scenario));
  assert.deepEqual(ends, [null, { name: "BywayError", code: "removed", message: "You were removed from this room." }]);
});
