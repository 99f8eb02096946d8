import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { statistics, videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { lineReads, peers, says, toggleRelay } from "../page.mjs";
import { startFor, startServer } from "../server.mjs";
import { call, join, room } from "../stage.mjs";
import { UNREACHABLE } from "../visit.mjs";

/** A browser calls a path lost after some 5 s, and failed after some 15. */
const LOSING_MS = 30_000;

/** The heartbeat of the signaling comes every 20 s. */
const SHORT_OF_A_HEARTBEAT_MS = 10_000;

test("a call outlives its server, and everyone is back when that is", async (scenario) => {
  const first = await startServer();
  // It has stopped already, unless the scenario failed before.
  afterwards(scenario, () => first.stop().catch(() => {}));
  const pages = await callOn(scenario, first);
  await videoFlows(...pages);

  await first.stop();
  await Promise.all(pages.map((page) => says(page, /out of reach/)));
  await videoFlows(...pages);

  const second = await startServer(first.listen);
  afterwards(scenario, () => second.stop());
  await Promise.all(pages.map((page) => says(page, /is connected/)));
  await videoFlows(...pages);
  await Promise.all(pages.map((page) => peers(page, 1)));
});

test("a page that hears of another network soon knows whether the server is there", async (scenario) => {
  const server = await startServer();
  afterwards(scenario, () => server.stop());
  const page = await join(scenario, room(scenario), { origin: server.origin, tolerated: UNREACHABLE });
  await server.pause();
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await says(page, /out of reach/, SHORT_OF_A_HEARTBEAT_MS);
  server.resume();
  await says(page, /is back/);
});

test("a connection that fails comes back by an ICE restart", async (scenario) => {
  // The relay alone will be away: who loses the server, too, joins again.
  const relay = await startFor(scenario, {});
  const server = await startFor(scenario, { urls: [`turn:${relay.listen.udp}?transport=udp`] });
  const pages = await callOn(scenario, server, { relay: true });
  await videoFlows(...pages);
  const before = await Promise.all(pages.map(usernameFragment));

  await relay.pause();
  await Promise.all(pages.map((page) => eventually("no path", async () => (await statistics(page)) === null || null, LOSING_MS)));
  await Promise.all(pages.map((page) => says(page, /failed; trying again/)));
  relay.resume();
  await lineReads(/^Relayed over UDP · \d/, ...pages);
  await videoFlows(...pages);

  const after = await Promise.all(pages.map(usernameFragment));
  pages.forEach((_, index) => assert.notEqual(after[index], before[index]));
  for (const page of pages) assert.equal(await page.evaluate(() => window.connections.length), 1);
});

test("a relay that does not answer is named, with what can be done", async (scenario) => {
  const deaf = createSocket("udp4").bind(0, "127.0.0.1");
  await once(deaf, "listening");
  afterwards(scenario, () => deaf.close());
  const url = `turn:127.0.0.1:${deaf.address().port}?transport=udp`;
  const server = await startServer({ urls: [url] });
  afterwards(scenario, () => server.stop());
  const [page, other] = await callOn(scenario, server, { relay: true });
  await says(page, /No relay can be used/);
  const sentence = await page.locator("#status").innerText();
  assert.ok(sentence.includes(`The relay at ${url} did not answer.`), sentence);
  assert.match(sentence, /Switch .Force relay. off/);
  await eventually("the same on the tile", async () => /No relay/.test(await page.locator(".peer .note").innerText()) || null);

  // And doing so helps, once both do.
  for (const each of [page, other]) await toggleRelay(each);
  await lineReads(/^Direct over UDP/, page, other);
});

/** Two people on a server of the scenario's own. */
const callOn = (scenario, server, options) =>
  call(scenario, room(scenario), { origin: server.origin, tolerated: UNREACHABLE, ...options });

/** Another one after each ICE restart. */
const usernameFragment = (page) =>
  page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(window.connections.at(-1).localDescription.sdp)[1]);
