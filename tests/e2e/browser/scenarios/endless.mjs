import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, test } from "node:test";

import { eventually } from "../eventually.mjs";
import { gapsOf, watchGaps } from "../gaps.mjs";
import { SECRET, startFor } from "../server.mjs";
import { open, room } from "../stage.mjs";

/**
 * A relayed call that outlives its credentials many times. It runs for five minutes beside the
 * first scenarios, and is judged after the last one.
 */
const RUNNING_MS = 5 * 60_000;
const TTL_S = 60;
const LONGEST_GAP_MS = 300;
/** By then a restart has found its path. */
const RESTARTING_MS = 5_000;
/**
 * A longer gap is the machine's, which other scenarios keep busy: they start browsers. A restart
 * that breaks the old path before it has the new one does so each time. So this share of restarts
 * may be slower.
 */
const SLOWED = 1 / 4;
/** No gap of a busy machine. Without fresh credentials all ends for good. */
const BROKEN_MS = 2_000;

/**
 * The server sends fresh credentials to each of the two when half of the last ones' time is over.
 */
const ROTATIONS = RUNNING_MS / (TTL_S * 1000 / 2);

/**
 * Order of a page's connections: that of the module, and another one through the same relay whose
 * credential lasts.
 */
const [ROTATING, LASTING] = [0, 1];

/** Started by the first caller, because the scenario that ends it may run alone. */
let running = null;
const begin = () => (running ??= start());

after(() => running?.then(({ end }) => end(), () => {}));

test("a relayed call on credentials of a minute begins", begin);

test("a direct path is left alone, however often there are fresh credentials", async (scenario) => {
  const { origin } = await startFor(scenario, { ttl: "10s" });
  const pages = [await open(scenario, origin), await open(scenario, origin)];
  for (const page of pages) await page.evaluate(call, { room: room(scenario), relayOnly: false });
  const up = (page) => eventually("a path", () => page.evaluate(async () => (await window.call.peers[0]?.report())?.path === "direct" || null));
  await Promise.all(pages.map(up));
  for (const page of pages) await page.evaluate(countRestarts);
  for (const page of pages) {
    await page.evaluate(() => (window.fresh = 0) || window.call.addEventListener("ice", () => (window.fresh += 1)));
    // By the second, a restart for the first would have been.
    await eventually("fresh credentials", () => page.evaluate(() => window.fresh >= 2 || null));
    assert.deepEqual(await page.evaluate(() => window.restarts), [[]]);
  }
});

/** To be called last. */
export const isEndless = () =>
  test("a relayed call on credentials of a minute runs for five without a gap", async (scenario) => {
    const { ends, before, after } = await (await begin()).result;
    for (const { gaps, restarts, connections, passedMs } of ends) {
      const { watched, beside } = gaps;
      const follows = ({ ms, until }, at) => until > at && until - ms < at + RESTARTING_MS;
      const longestOf = (gaps) => Math.max(0, ...gaps.map(({ ms }) => ms));
      const ofRestarts = restarts[ROTATING].map((at) => longestOf(watched.filter((gap) => follows(gap, at))));
      const [longest, untouched] = [watched, beside].map(longestOf);
      scenario.diagnostic(`longest gap ${longest} ms, of restarts ${ofRestarts} ms, beside ${untouched} ms`);
      const all = `${JSON.stringify(watched)}; restarts at ${restarts[ROTATING]}`;
      const slow = ofRestarts.filter((ms) => ms > LONGEST_GAP_MS);
      assert.ok(slow.length <= SLOWED * ofRestarts.length, `restarts with gaps of ${slow} ms: ${all}`);
      assert.ok(longest <= Math.max(BROKEN_MS, 2 * untouched), `nothing came for ${longest} ms: ${all}`);
      // Both ends' credentials in one restart each time, over one connection.
      const passed = (passedMs / RUNNING_MS) * ROTATIONS;
      assert.ok(Math.abs(restarts[ROTATING].length - passed) < 2, `${restarts[ROTATING].length} restarts for ${passed} rotations`);
      assert.deepEqual(restarts[LASTING], []);
      assert.equal(connections, 2);
    }
    scenario.diagnostic(`allocations: ${before}, then ${after}`);
    assert.ok(after <= 4 * before, `${after} allocations where ${before} were enough`);
  });

async function start() {
  let undo = () => {};
  const life = { after: (all) => (undo = all) };
  const end = async () => {
    await undo();
    undo = () => {};
  };
  try {
    const server = await startFor(life, { ttl: `${TTL_S}s` });
    const pages = [await open(life, server.origin), await open(life, server.origin)];
    for (const page of pages) await page.evaluate(call, { room: "endless", relayOnly: true });
    const states = (page) => page.evaluate(() => window.connections.map(({ connectionState }) => connectionState).join());
    await Promise.all(pages.map((page) => eventually("a connection", async () => (await states(page)) === "connected" || null)));
    const lasting = { urls: `turn:${server.listen.udp}`, ...credential() };
    const offer = await pages[0].evaluate(connectBeside, { lasting });
    const answer = await pages[1].evaluate(connectBeside, { lasting, offer });
    await pages[0].evaluate((sdp) => window.connections[1].setRemoteDescription({ type: "answer", sdp }), answer);
    await Promise.all(pages.map((page) => eventually("both connections", async () => (await states(page)) === "connected,connected" || null)));
    for (const page of pages) await page.evaluate(countRestarts);
    for (const page of pages) await watchGaps(page, { watched: ROTATING, beside: LASTING });
    const result = resultOf(server, pages).finally(end);
    // It is awaited long after it may have failed.
    result.catch(() => {});
    return { result, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Facts that both ends saw in the five minutes, and the allocations before and after. */
async function resultOf(server, pages) {
  const since = Date.now();
  const before = await server.metric("byway_allocations");
  await new Promise((resolve) => setTimeout(resolve, RUNNING_MS));
  const ends = pages.map(async (page) => {
    const gaps = await gapsOf(page);
    const passedMs = Date.now() - since;
    const [restarts, connections] = await page.evaluate(() => [window.restarts, window.connections.length]);
    return { gaps, passedMs, restarts, connections };
  });
  return { ends: await Promise.all(ends), before, after: await server.metric("byway_allocations") };
}

/** One that outlives the call. */
function credential() {
  const username = `${Math.round(Date.now() / 1000) + 3600}:beside`;
  return { username, credential: createHmac("sha1", SECRET).update(username).digest("base64") };
}

/** Runs in the page: calls who is in the room. Pictures are small, to be light. */
async function call({ room, relayOnly }) {
  const { join, openCamera } = await import("/byway.js");
  window.stream = await openCamera({ audio: true, video: { width: 160, height: 120, frameRate: 10 } });
  window.play = (stream) => document.body.append(Object.assign(document.createElement("video"), { srcObject: stream, autoplay: true }));
  window.call = await join({ room, stream: window.stream, relayOnly });
  window.call.addEventListener("peer", ({ peer }) => window.play(peer.stream));
}

/**
 * Runs in the page: sends the other one the same past the module. Makes an offer, or answers one.
 */
async function connectBeside({ lasting, offer }) {
  const connection = new RTCPeerConnection({ iceServers: [lasting], iceTransportPolicy: "relay", bundlePolicy: "max-bundle" });
  const all = new MediaStream();
  connection.addEventListener("track", ({ track }) => all.addTrack(track));
  window.play(all);
  if (offer) await connection.setRemoteDescription({ type: "offer", sdp: offer });
  for (const track of window.stream.getTracks()) connection.addTrack(track, window.stream);
  await connection.setLocalDescription();
  await new Promise((resolve) => {
    const look = () => connection.iceGatheringState === "complete" && resolve();
    connection.addEventListener("icegatheringstatechange", look);
    look();
  });
  return connection.localDescription.sdp;
}

/** Runs in the page: when there were restarts, by connection. */
function countRestarts() {
  const fragment = ({ localDescription }) => /a=ice-ufrag:(\S+)/.exec(localDescription.sdp)[1];
  window.restarts = window.connections.map(() => []);
  window.connections.forEach((connection, number) => {
    let before = fragment(connection);
    connection.addEventListener("signalingstatechange", () => {
      if (fragment(connection) !== before) window.restarts[number].push(Math.round(performance.now()));
      before = fragment(connection);
    });
  });
}
