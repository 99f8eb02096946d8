import assert from "node:assert/strict";
import { test } from "node:test";

import { eventually } from "../eventually.mjs";
import { open, room, server } from "../stage.mjs";

/** Opens a page that is not ours, which uses `byway.js` as docs/client.md describes. */
const openWith = async (scenario, options) => {
  const page = await open(scenario, "/", options);
  await page.evaluate(async () => (window.byway = { ...(await import("/byway.js")) }));
  return page;
};

/** Joins without camera and keeps the call as `window.call`. */
const join = (page, room, options = {}) =>
  page.evaluate(async (given) => {
    window.call = await window.byway.join(given);
    window.heard = [];
    const follow = (peer) => {
      peer.addEventListener("message", ({ data }) => window.heard.push(data));
      peer.addEventListener("open", () => window.heard.push("open"));
    };
    window.call.addEventListener("peer", ({ peer }) => follow(peer));
  }, { room, ...options });

const heard = (page, message) => eventually(message, () => page.evaluate((wanted) => window.heard.includes(wanted) || null, message));

test("who cannot join is told by a code and a sentence", async (scenario) => {
  // The policy forbids this address.
  const page = await openWith(scenario, { tolerated: /127\.0\.0\.1:1\/(ws|regions)/ });
  const failures = await page.evaluate(async () => {
    const { BywayError, Call, join } = window.byway;
    const left = new Call({ room: "left" });
    left.leave();
    new Call({ room: "" }); // awaited by nobody, which is no uncaught error
    const attempts = [join({ room: "" }), join({ room: "tea", server: "http://127.0.0.1:1" }), left.ready];
    return Promise.all(
      attempts.map((attempt) => attempt.catch((error) => [error instanceof BywayError, error.code, error.message])),
    );
  });
  assert.deepEqual(failures.map(([isOurs, code]) => isOurs && code), ["bad-room", "server-unreachable", "left"]);
  for (const [, , sentence] of failures) assert.match(sentence, /^[A-Z].*\.$/);
});

test("two pages without any camera exchange messages, and see what is sent later", async (scenario) => {
  const [first, second] = [await openWith(scenario), await openWith(scenario)];
  const early = await (async () => {
    await join(first, room(scenario));
    await join(second, room(scenario));
    return second.evaluate(() => window.call.peers[0].ping().then(() => "", (error) => error.code));
  })();
  assert.ok(["", "no-echo"].includes(early), early);
  await Promise.all([heard(first, "open"), heard(second, "open")]);
  await first.evaluate(() => window.call.peers[0].send("hello"));
  await heard(second, "hello");
  assert.ok((await second.evaluate(() => window.call.peers[0].ping())) > 0);

  const decoded = (page) => page.evaluate(async () => (await window.call.peers[0].report()).framesDecoded);
  const grows = async (page) => {
    const before = await decoded(page);
    await eventually("frames", async () => (await decoded(page)) > before + 10 || null);
  };
  for (const page of [first, second]) {
    await page.evaluate(async () => window.call.setStream((window.stream = await window.byway.openCamera())));
  }
  await Promise.all([grows(first), grows(second)]);

  await first.evaluate(() => window.call.setStream(null));
  const still = await eventually("no more frames", async () => {
    const before = await decoded(second);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return (await decoded(second)) === before ? before : null;
  });
  assert.ok(still > 0);
  await first.evaluate(() => window.call.setStream(window.stream));
  await grows(second);
  assert.equal(await first.evaluate(() => window.connections.length), 1);
});

test("both may move to the relay at the same moment, and asking for what is so changes nothing", async (scenario) => {
  const [first, second] = [await openWith(scenario), await openWith(scenario)];
  await join(first, room(scenario));
  await join(second, room(scenario));
  await Promise.all([heard(first, "open"), heard(second, "open")]);
  await Promise.all([first, second].map((page) => page.evaluate(() => window.call.setRelayOnly(true))));
  for (const page of [first, second]) {
    await eventually("a relayed path", () =>
      page.evaluate(async () => ((await window.call.peers[0].report()).path === "relayed" ? true : null)),
    );
    await page.evaluate(() => window.call.setRelayOnly(true));
    assert.equal(await page.evaluate(() => window.connections.filter((one) => one.connectionState !== "closed").length), 1);
  }
});

test("leaving from within a listener is as good as from anywhere", async (scenario) => {
  const [first, second] = [await openWith(scenario), await openWith(scenario)];
  await join(first, room(scenario));
  await first.evaluate(() => {
    window.events = [];
    for (const type of ["peerleft", "signaling", "closed"]) {
      window.call.addEventListener(type, () => {
        window.events.push(type);
        window.call.leave();
      });
    }
  });
  await join(second, room(scenario));
  await heard(first, "open");
  await second.evaluate(() => window.call.leave());
  await eventually("closed", () => first.evaluate(() => window.events.includes("closed") || null));
  assert.deepEqual(await first.evaluate(() => window.events), ["peerleft", "signaling", "closed"]);
  await eventually("no member left", async () => (await server.metric("byway_members")) === 0 || null);
});
