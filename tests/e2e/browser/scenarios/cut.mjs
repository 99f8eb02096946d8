import assert from "node:assert/strict";
import { test } from "node:test";

import { layCable } from "../cable.mjs";
import { eventually } from "../eventually.mjs";
import { open, room, server } from "../stage.mjs";
import { UNREACHABLE } from "../visit.mjs";

/** The relays' own port of the server, of which a page's address says nothing. */
const SERVER = new URL(server.origin).host;

/** Below it nobody notices; a path that is lost and found again takes seconds. */
const LONGEST_GAP_MS = 500;

test("a call goes on when its connection to the server is cut, and what was said meanwhile arrives", async (scenario) => {
  const { cable, near, far } = await inRoom(scenario);
  await Promise.all([audioFlows(near), audioFlows(far)]);
  for (const page of [near, far]) await page.evaluate(watchAudio);
  const before = await Promise.all([near, far].map((page) => page.evaluate(() => window.call.id)));
  const fragments = await Promise.all([near, far].map((page) => page.evaluate(usernameFragment)));

  cable.cut();
  await signaling(near, "lost");
  // Either wants something that the other has to be told of.
  for (const page of [near, far]) await page.evaluate(() => window.addVideo());
  await eventually("vain attempts", () => cable.refused >= 3 || null);
  cable.mend();
  await signaling(near, "open");
  await Promise.all([videoComes(near), videoComes(far)]);

  assert.deepEqual(await Promise.all([near, far].map((page) => page.evaluate(() => window.call.id))), before);
  for (const page of [near, far]) {
    assert.deepEqual(await page.evaluate(() => window.events), ["peer"]);
    assert.equal(await page.evaluate(() => window.connections.length), 1);
    assert.equal(await page.evaluate(usernameFragment), fragments.shift(), "ICE was left alone");
    const gap = await page.evaluate(() => window.longestGap);
    assert.ok(gap <= LONGEST_GAP_MS, `no sound for ${gap} ms`);
  }
});

test("who comes and goes meanwhile is known afterwards", async (scenario) => {
  const { cable, near, far } = await inRoom(scenario);
  await Promise.all([audioFlows(near), audioFlows(far)]);
  cable.cut();
  await signaling(near, "lost");
  await far.evaluate(() => window.call.leave());
  const third = await enter(scenario, server.origin, room(scenario));
  cable.mend();
  await signaling(near, "open");
  await Promise.all([audioFlows(near), audioFlows(third)]);
  // That the path to who left was lost may have been said, too.
  assert.deepEqual(await near.evaluate(() => window.events.filter((type) => type !== "error")), ["peer", "peerleft", "peer"]);
  assert.equal(await near.evaluate(() => window.call.peers.length), 1);
});

/** Ways to cut off a member while a call is being set up. */
const SETTING_UP = {
  "who offers is cut off": { offering: true, how: "cut" },
  "who answers is cut off": { offering: false, how: "cut" },
  "what who offers says is swallowed": { offering: true, how: "die" },
  "what who answers is told is swallowed": { offering: false, how: "die" },
};

for (const [what, { offering, how }] of Object.entries(SETTING_UP)) {
  test(`a call comes about where ${what}`, async (scenario) => {
    const cable = await layCable(scenario, SERVER);
    const there = await enter(scenario, offering ? server.origin : cable.origin, room(scenario));
    const coming = await open(scenario, offering ? cable.origin : server.origin, { tolerated: UNREACHABLE });
    await coming.evaluate(holdOffers);
    await coming.evaluate(join, room(scenario));
    await eventually("the other one", () => there.evaluate(() => window.call.peers.length || null));

    cable[how]();
    const cutOff = offering ? coming : there;
    if (how === "cut") await signaling(cutOff, "lost");
    await coming.evaluate(() => window.letOffersGo());
    // A lost outgoing signal is noticed by its missing confirmation. A lost incoming one needs an
    // occasion to check.
    if (how === "die" && !offering) await cutOff.evaluate(() => dispatchEvent(new Event("online")));
    await signaling(cutOff, "lost");
    if (how === "cut") await eventually("vain attempts", () => cable.refused >= 3 || null);
    cable.mend();
    await Promise.all([audioFlows(coming), audioFlows(there)]);
    for (const page of [coming, there]) {
      assert.deepEqual(await page.evaluate(() => window.events), ["peer"]);
      assert.equal(await page.evaluate(() => window.connections.length), 1);
    }
  });
}

/** Events that make a page check its connections at once. */
const OCCASIONS = {
  "the network is back": () => dispatchEvent(new Event("online")),
  "somebody looks at it again": () => document.dispatchEvent(new Event("visibilitychange")),
};

for (const [what, occasion] of Object.entries(OCCASIONS)) {
  test(`a page is back at once when ${what}`, async (scenario) => {
    const { cable, near } = await inRoom(scenario);
    cable.cut();
    // The pauses have grown to several seconds by then.
    await eventually("vain attempts", () => cable.refused >= 4 || null);
    cable.mend();
    const took = await near.evaluate(runAndTime, String(occasion));
    assert.ok(took < 1_000, `it took ${took} ms`);
  });
}

test("a connection that hangs while it is opened is given up", async (scenario) => {
  const { cable, near } = await inRoom(scenario);
  cable.cut();
  await signaling(near, "lost");
  cable.die();
  await eventually("an attempt that hangs", () => cable.swallowed >= 1 || null);
  cable.mend();
  // By itself after ten seconds, sooner where there is a reason to look.
  await signaling(near, "open");
  assert.deepEqual(await near.evaluate(() => window.events), ["peer"]);
});

/** Two in a room; what the near one and the server say to each other goes through a cable. */
async function inRoom(scenario) {
  const cable = await layCable(scenario, SERVER);
  const near = await enter(scenario, cable.origin, room(scenario));
  const far = await enter(scenario, server.origin, room(scenario));
  await Promise.all([near, far].map((page) => eventually("the other one", () => page.evaluate(() => window.events.length || null))));
  return { cable, near, far };
}

async function enter(scenario, origin, room) {
  const page = await open(scenario, origin, { tolerated: UNREACHABLE });
  await page.evaluate(join, room);
  return page;
}

/** Runs in the page: joins with a microphone, and keeps the call and what happens in it. */
async function join(room) {
  const { join, openCamera } = await import("/byway.js");
  const stream = await openCamera();
  const [audio] = stream.getAudioTracks();
  window.call = await join({ room, stream: new MediaStream([audio]) });
  window.events = [];
  window.call.addEventListener("peer", ({ peer }) => {
    const element = document.createElement("video");
    element.autoplay = true;
    element.srcObject = peer.stream;
    document.body.append(element);
  });
  for (const type of ["peer", "peerleft", "error"]) window.call.addEventListener(type, () => window.events.push(type));
  window.addVideo = () => window.call.setStream(new MediaStream([audio, ...stream.getVideoTracks()]));
}

/** Runs in the page: nothing is offered until `letOffersGo()`. */
function holdOffers() {
  const gone = new Promise((resolve) => (window.letOffersGo = resolve));
  const setLocalDescription = RTCPeerConnection.prototype.setLocalDescription;
  RTCPeerConnection.prototype.setLocalDescription = async function (...parameters) {
    await gone;
    return setLocalDescription.apply(this, parameters);
  };
}

/** Runs in the page: until we are in the room again, in milliseconds. */
function runAndTime(occasion) {
  return new Promise((resolve) => {
    const since = performance.now();
    window.call.addEventListener("signaling", () => window.call.signaling === "open" && resolve(performance.now() - since));
    (0, eval)(`(${occasion})()`);
  });
}

/** Runs in the page: for how long no sound came, to 10 ms. */
function watchAudio() {
  const [receiver] = window.connections[0].getReceivers().filter(({ track }) => track.kind === "audio");
  let [latest, since] = [0, performance.now()];
  window.longestGap = 0;
  setInterval(() => {
    const now = performance.now();
    const heard = Math.max(0, ...receiver.getSynchronizationSources().map(({ timestamp }) => timestamp));
    if (heard > latest) [latest, since] = [heard, now];
    window.longestGap = Math.max(window.longestGap, Math.round(now - since));
  }, 10);
}

const signaling = (page, state) => eventually(`signaling ${state}`, () => page.evaluate((wanted) => window.call.signaling === wanted || null, state));

/** Runs in the page: another one after each ICE restart. */
const usernameFragment = () => /a=ice-ufrag:(\S+)/.exec(window.connections[0].localDescription.sdp)[1];

/** Waits until something more has come of one kind. */
async function flows(page, field) {
  const total = () =>
    page.evaluate(async (name) => {
      const stats = await window.call.peers[0]?.connection.getStats();
      return [...(stats?.values() ?? [])].reduce((sum, entry) => sum + (entry.type === "inbound-rtp" ? (entry[name] ?? 0) : 0), 0);
    }, field);
  const before = await total();
  await eventually(`${field} to grow`, async () => (await total()) > before || null, 20_000);
}

const audioFlows = (page) => flows(page, "totalSamplesReceived");
const videoComes = (page) => flows(page, "framesDecoded");
