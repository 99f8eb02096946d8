/** Measurement of the nearest region, without a browser: its connections are imitated. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { nearestRegion } from "../../../static/byway/nearest-region.js";
import { race } from "../../../static/byway/region-race.js";

/** As docs/ice.md says. */
const LIMIT_MS = 300;

const REGIONS = ["eu", "us", "asia", "africa", "oceania"].map((region) => ({ region, stun: `stun:${region}.example.org` }));

/** Connection of a browser whose servers answer when the test says so. */
class Connection {
  /** @type {Connection[]} */ static all = [];
  closed = false;
  channels = 0;
  started = false;
  onicecandidate = () => {};

  constructor({ iceServers: [{ urls }] }) {
    this.url = urls;
    Connection.all.push(this);
  }
  createDataChannel() {
    this.channels += 1;
  }
  async setLocalDescription() {
    this.started = true;
  }
  close() {
    this.closed = true;
  }
  gathers(type) {
    this.onicecandidate({ candidate: type && { type } });
  }
}

/** Runs a test with imitated connections and timers. */
const imitated = (what, run) =>
  test(what, async (scenario) => {
    Connection.all = [];
    globalThis.RTCPeerConnection = Connection;
    scenario.mock.timers.enable({ apis: ["setTimeout"] });
    try {
      await run(scenario);
    } finally {
      delete globalThis.RTCPeerConnection;
    }
  });

/** Lets all promises that can settle do so. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

imitated("the first answer wins, and all connections end", async () => {
  const winner = race(REGIONS.slice(0, 3));
  await settled();
  assert.deepEqual(Connection.all.map(({ url, channels, started }) => [url, channels, started]), [
    ["stun:eu.example.org", 1, true], ["stun:us.example.org", 1, true], ["stun:asia.example.org", 1, true],
  ]);
  Connection.all[0].gathers("host");
  Connection.all[0].gathers(null);
  Connection.all[1].gathers("srflx");
  Connection.all[0].gathers("srflx");
  assert.equal(await winner, "us");
  assert.ok(Connection.all.every(({ closed }) => closed));
});

imitated("without an answer in time there is no winner", async ({ mock: { timers } }) => {
  let ended = false;
  const winner = race(REGIONS.slice(0, 2));
  winner.then(() => (ended = true));
  await settled();
  Connection.all[0].gathers("host");
  timers.tick(LIMIT_MS - 1);
  await settled();
  assert.equal(ended, false);
  timers.tick(1);
  assert.equal(await winner, undefined);
  assert.ok(Connection.all.every(({ closed }) => closed));
});

imitated("at most four regions are measured", async ({ mock: { timers } }) => {
  const winner = race(REGIONS);
  await settled();
  timers.tick(LIMIT_MS);
  await winner;
  assert.equal(Connection.all.length, 4);
});

imitated("a browser without WebRTC has no winner, and leaves nothing open", async () => {
  const { setLocalDescription } = Connection.prototype;
  Connection.prototype.setLocalDescription = () => Promise.reject(new Error("refused"));
  await assert.rejects(race(REGIONS.slice(0, 2)), /refused/);
  Connection.prototype.setLocalDescription = setLocalDescription;
  assert.ok(Connection.all.every(({ closed }) => closed));
});

/** Answers requests for regions, one after the other. Returns the URLs that were asked. */
function answering({ mock }, ...answers) {
  const asked = [];
  mock.method(globalThis, "fetch", async (url) => {
    asked.push(url);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return { json: async () => ({ regions: answer }) };
  });
  return asked;
}

imitated("a single server costs one request, and no connection", async (scenario) => {
  const asked = answering(scenario, []);
  const url = "https://single.example/regions";
  assert.equal(await nearestRegion(url), undefined);
  assert.equal(await nearestRegion(url), undefined);
  assert.deepEqual(asked, [url]);
  assert.equal(Connection.all.length, 0);
});

/** Waits until the module of the race is loaded and has begun. */
async function begun() {
  while (!Connection.all.length || !Connection.all.every(({ started }) => started)) await settled();
}

imitated("a page measures each server once", async (scenario) => {
  const asked = answering(scenario, REGIONS.slice(0, 2));
  const url = "https://cluster.example/regions";
  const both = Promise.all([nearestRegion(url), nearestRegion(url)]);
  await begun();
  Connection.all[1].gathers("srflx");
  assert.deepEqual(await both, ["us", "us"]);
  assert.equal(await nearestRegion(url), "us");
  assert.deepEqual(asked, [url]);
  assert.equal(Connection.all.length, 2);
});

imitated("a join does not wait longer, and a later one has the result", async ({ mock }) => {
  let answer;
  mock.method(globalThis, "fetch", () => new Promise((resolve) => (answer = resolve)));
  const url = "https://slow.example/regions";
  const early = nearestRegion(url);
  mock.timers.tick(LIMIT_MS);
  assert.equal(await early, undefined);
  answer({ json: async () => ({ regions: REGIONS.slice(0, 2) }) });
  await begun();
  Connection.all[0].gathers("srflx");
  await settled();
  assert.equal(await nearestRegion(url), "eu");
});

imitated("a failed request is repeated by the next join", async (scenario) => {
  const asked = answering(scenario, new TypeError("Failed to fetch"), []);
  const url = "https://away.example/regions";
  assert.equal(await nearestRegion(url), undefined);
  assert.equal(await nearestRegion(url), undefined);
  assert.equal(asked.length, 2);
});
