/** Both ends begin a connection at the same moment, so that two first offers meet. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { hasRolledBack } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { open, room } from "../stage.mjs";

/**
 * Rounds of each scenario. Without the defence a connection is stuck in one of twelve; provoked, in
 * about one of four.
 */
const TIMES = Number(process.env.TIMES ?? 10);

/**
 * Rounds after which pages are reloaded: Chromium has no more than 500 connections, ended ones
 * among them.
 */
const A_PAGE_BEARS = 10;

/**
 * For both ends to have a path. It takes a fraction of a second, and an ICE restart after a failure
 * more than this.
 */
const LIMIT_MS = 3_000;

/**
 * A connection without a path is given up after 20 s, and the polite end leaves the impolite one
 * another second.
 */
const GIVING_UP_MS = 22_000;

test("threat 45: both ends move to the relay at the same moment", async (scenario) => {
  await rounds(scenario, { relayOnly: true }, async (pages) => {
    // The clock is the one thing that two pages have in common: a command to each would come too
    // far apart.
    const at = Date.now() + 100;
    const press = (at) => {
      while (Date.now() < at);
      window.call.setRelayOnly(true);
    };
    await Promise.all(pages.map((page) => page.evaluate(press, at)));
    return at;
  });
});

test("threat 45: an offer is heard just when the polite end has set its first one", async (scenario) => {
  // Back from the relay: under the relay policy alone Chromium is seldom stuck.
  await rounds(scenario, { relayOnly: false }, async ([impolite, polite]) => {
    await polite.evaluate(() => window.hold());
    await impolite.evaluate(() => window.call.setRelayOnly(false));
    await eventually("an offer", () => polite.evaluate(() => window.holdsOffer() || null), LIMIT_MS, 10);
    await polite.evaluate(() => window.call.setRelayOnly(false));
    return Date.now();
  });
});

test("threat 45: a connection that has never gathered a candidate is replaced, and no relay is blamed", async (scenario) => {
  const pages = [await enter(scenario), await enter(scenario)];
  const [waiting, offering] = pages;
  for (const page of pages) await page.clock.install();
  await waiting.evaluate(join, { room: room(scenario) });
  await waiting.evaluate(() => window.hold());
  await offering.evaluate(join, { room: room(scenario) });
  await eventually("an offer", () => waiting.evaluate(() => window.holdsOffer() || null));
  await waiting.clock.runFor(GIVING_UP_MS);
  await Promise.all(pages.map((page) => path(page, "direct")));
  assert.deepEqual(await waiting.evaluate(() => window.errors), ["The connection to the other person failed; trying again."]);
  assert.equal(await waiting.evaluate(() => window.connections.length), 2);
});

/**
 * Two pages meet again and again on one kind of path; once both are told to, both have to have the
 * other kind.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {{ relayOnly: boolean }} wanted The kind they move to.
 * @param {(pages: import("playwright-core").Page[]) => Promise<number>} begin Has both move there;
 *   since when.
 */
async function rounds(scenario, { relayOnly }, begin) {
  const [from, to] = relayOnly ? ["direct", "relayed"] : ["relayed", "direct"];
  const pages = [await enter(scenario), await enter(scenario)];
  const took = [];
  for (let round = 0; round < TIMES; round += 1) {
    if (round > 0 && round % A_PAGE_BEARS === 0) await Promise.all(pages.map(reload));
    // The second to join is polite.
    for (const page of pages) await page.evaluate(join, { room: `${room(scenario)}-${round}`, relayOnly: !relayOnly });
    await Promise.all(pages.map((page) => path(page, from)));
    const since = await begin(pages);
    await Promise.all(pages.map((page) => path(page, to, LIMIT_MS)));
    took.push(Date.now() - since);
    for (const page of pages) {
      assert.ok(!(await hasRolledBack(page)), "a first offer was rolled back");
      assert.deepEqual(await page.evaluate(() => window.errors), [], `round ${round}: ${await page.evaluate(gathered)}`);
      assert.equal(await page.evaluate(() => window.connections.filter((one) => one.connectionState !== "closed").length), 1);
    }
    for (const page of pages) await page.evaluate(() => window.call.leave());
  }
  took.sort((a, b) => a - b);
  scenario.diagnostic(`a ${to} path after ${took[took.length >> 1]} ms, at most ${took.at(-1)} ms, ${TIMES} times`);
}

async function enter(scenario) {
  const page = await open(scenario, "/");
  await page.evaluate(holdSignals);
  return page;
}

async function reload(page) {
  await page.reload();
  await page.requestGC();
  await page.evaluate(holdSignals);
}

/** Runs in the page: joins without camera, and keeps what fails. */
async function join(options) {
  const { join } = await import("/byway.js");
  window.call = await join(options);
  window.errors = [];
  window.call.addEventListener("error", ({ error }) => window.errors.push(error.message));
}

/** Runs in the page: the course of each connection's gathering, for the message of a failure. */
const gathered = () =>
  JSON.stringify({
    errors: window.call.peers.flatMap((peer) => peer.iceErrors),
    connections: window.connections.map((it) => [it.getConfiguration().iceTransportPolicy, it.gathering]),
  });

const path = (page, wanted, patienceMs) =>
  eventually(`a ${wanted} path`, () => page.evaluate(async (it) => (await window.call.peers[0]?.report())?.path === it || null, wanted), patienceMs, 20);

/**
 * Runs in the page: from `hold()` on, no signal is heard until the page has set an offer of its
 * own.
 */
function holdSignals() {
  /** @type {{ event: MessageEvent, hear: (event: MessageEvent) => void }[] | null} */
  let held = null;
  window.hold = () => void (held = []);
  window.holdsOffer = () => held.some(({ event }) => JSON.parse(event.data).data?.description?.type === "offer");
  const release = () => {
    const events = held ?? [];
    held = null;
    for (const { event, hear } of events) hear(event);
  };

  window.WebSocket = class extends window.WebSocket {
    set onmessage(hear) {
      const isHeld = (event) => held && JSON.parse(event.data).type === "signal";
      super.onmessage = (event) => (isHeld(event) ? held.push({ event, hear }) : hear(event));
    }
  };
  const { setLocalDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setLocalDescription = async function (...parameters) {
    await setLocalDescription.apply(this, parameters);
    // A task later Chromium takes the offer back without harm.
    if (held) release();
  };
}
