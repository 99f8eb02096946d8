/** One of the two machines sleeps during a call. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { launchFreezable } from "../freezing.mjs";
import { lineReads, peers } from "../page.mjs";
import { firefox, join, open, room } from "../stage.mjs";

/**
 * For how long it sleeps, in seconds. After 30 s the other end's consent to be sent to has expired
 * (RFC 7675 section 5.1), while its offer of an ICE restart still waits for the sleeper.
 */
const ASLEEP_S = (process.env.ASLEEP ?? "35").split(",").map(Number);

/** Rounds of each of these. */
const TIMES = Number(process.env.TIMES ?? 1);

/**
 * From waking until both see and hear each other, without the time for which the machine let the
 * pages wait.
 */
const LIMIT_MS = 5_000;

/** For the figure of one that is late. */
const PATIENCE_MS = 60_000;

/** Firefox's word for it in the console of the one who is awake. */
const LOST = /WebRTC: ICE failed/;

/** Frames that a path which is lost does not bring. */
const FRAMES = 10;

/** A connection is watched every 5 s, and then asked for 2 s whether anything comes. */
const WATCHING_MS = 20_000;

// One waits while the other does.
describe("where nothing comes any more", { concurrency: true }, () => {
  test("threat 47: a call goes on soon after one of the two has slept", { skip: withoutFirefox }, async (scenario) => {
    const { browser, freeze, thaw } = await launchFreezable(scenario);
    const sleeper = await join(scenario, room(scenario), { browser });
    const awake = await join(scenario, room(scenario), { browser: await firefox(), tolerated: LOST });
    for (const page of [sleeper, awake]) await page.evaluate(watchLateness);
    for (const seconds of ASLEEP_S) {
      const took = [];
      for (let round = 0; round < TIMES; round += 1) {
        await Promise.all([sleeper, awake].map((page) => peers(page, 1)));
        await videoFlows(sleeper, awake);
        await lineReads(/^Direct over UDP/, sleeper, awake);

        await freeze();
        await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
        const before = await framesOf(awake);
        const since = Date.now();
        thaw();
        // Pictures that came before it slept may still wait at the sleeper: there an echo tells.
        await Promise.all([
          eventually("the sleeper's pictures", async () => (await framesOf(awake)) >= before + FRAMES || null, PATIENCE_MS, 50),
          ...[sleeper, awake].map((page) => eventually("an echo", () => echoes(page), PATIENCE_MS, 50)),
        ]);
        const whole = Date.now() - since;
        const late = await lateness([sleeper, awake], since);
        took.push(whole - late);
        if (late) scenario.diagnostic(`back after ${whole} ms, for ${late} ms of which one of the pages stood still`);
      }
      took.sort((a, b) => a - b);
      scenario.diagnostic(`${seconds} s: back after ${took[took.length >> 1]} ms, at most ${took.at(-1)} ms, ${TIMES} times`);
      assert.ok(took.at(-1) <= LIMIT_MS, `back only after ${took.at(-1)} ms`);
    }
    await videoFlows(sleeper, awake);
  });

  test("threat 47: a connection over which nothing comes is replaced, though the browser calls it connected", async (scenario) => {
    const pages = [await open(scenario, "/"), await open(scenario, "/")];
    for (const page of pages) {
      await page.evaluate(async (room) => {
        const { join } = await import("/byway.js");
        window.call = await join({ room });
      }, room(scenario));
    }
    const up = (page, count) =>
      eventually(`connection ${count} up`, () =>
        page.evaluate((n) => (window.connections.length === n && window.connections.at(-1).connectionState === "connected") || null, count),
      WATCHING_MS);
    await Promise.all(pages.map((page) => up(page, 1)));
    // Not before messages can be sent.
    await eventually("an echo", () => pages[0].evaluate(() => window.call.peers[0].ping(500).then(() => true, () => null)));
    await pages[0].evaluate(async () => {
      const [connection] = window.connections;
      const stats = await connection.getStats();
      connection.getStats = async () => stats;
    });
    await Promise.all(pages.map((page) => up(page, 2)));
    // And what replaced it stays.
    await eventually("an echo", () => pages[0].evaluate(() => window.call.peers[0].ping(500).then(() => true, () => null)));
  });
});

/** Runs in the page: a busy machine keeps it from running, for seconds right after it woke. */
function watchLateness() {
  const [TICK_MS, LATE_MS] = [50, 250];
  const gaps = [];
  let before = Date.now();
  setInterval(() => {
    const now = Date.now();
    if (now - before > LATE_MS) gaps.push([before, now]);
    before = now;
  }, TICK_MS);
  window.gapsSince = (at) => gaps.filter(([, to]) => to > at);
}

/** For how many milliseconds since then one of the pages, or another, did not run. */
async function lateness(pages, since) {
  const gaps = (await Promise.all(pages.map((page) => page.evaluate((at) => window.gapsSince(at), since)))).flat();
  let [late, until] = [0, since];
  for (const [from, to] of gaps.sort(([a], [b]) => a - b)) {
    late += Math.max(0, to - Math.max(from, until));
    until = Math.max(until, to);
  }
  return late;
}

/** Video frames ever decoded of any connection. */
const framesOf = (page) =>
  page.evaluate(async () => {
    window.decoded ??= new Map();
    for (const connection of window.connections) {
      const stats = [...(await connection.getStats()).values()];
      const frames = stats.reduce((sum, entry) => sum + (entry.type === "inbound-rtp" ? (entry.framesDecoded ?? 0) : 0), 0);
      window.decoded.set(connection, Math.max(frames, window.decoded.get(connection) ?? 0));
    }
    return [...window.decoded.values()].reduce((sum, frames) => sum + frames, 0);
  });

/** Whether the other end's page answers over the connection. */
const echoes = (page) =>
  page.evaluate(() => document.querySelector("#call").call.peers[0]?.ping(500).then(() => true, () => null) ?? null);
