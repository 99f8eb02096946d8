/** "Explain this call": consent, the timeline of pages and relay, and those who may not read it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { addressKind, serverOf } from "../../../../static/byway/observations.js";
import { causesOf } from "../../../../static/page/panels/explain/causes.js";
import { sentenceOf } from "../../../../static/page/panels/explain/sentences.js";
import { words as chinese } from "../../../../static/page/panels/explain/words/zh.js";
import { words as english } from "../../../../static/page/panels/explain/words/en.js";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { call, join, open, room, server } from "../stage.mjs";

/** Opens the panel and agrees, as a person does. */
async function share(page) {
  await page.click("#info");
  await page.locator("#panel label:has(#reports)").click();
  assert.ok(await page.locator("#reports").isChecked());
}

/** Waits until the page shows an event of this kind and source, and returns its sentence. */
const shows = (page, kind, source, pattern = /./) =>
  eventually(`${kind} of the ${source}`, async () => {
    const texts = await page.locator(`#timeline li[data-kind="${kind}"][data-source="${source}"]`).allInnerTexts();
    return texts.find((text) => pattern.test(text)) ?? null;
  });

/** Timeline of a room, as the operator gets it. */
const operators = async (name) => (await fetch(`${server.admin}/timelines/${encodeURIComponent(name)}`)).json();

/** Types of the messages that a page sends from now on. */
async function sent(page) {
  await page.evaluate(() => {
    window.sent = [];
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (data) {
      window.sent.push(JSON.parse(data));
      return send.call(this, data);
    };
  });
  return () => page.evaluate(() => window.sent);
}

test("a relayed call's timeline shows both members and what the relay saw", async (scenario) => {
  const name = room(scenario);
  const pages = [await join(scenario, name, { relay: true, name: "Ann" }), await join(scenario, name, { relay: true, name: "Bob" })];
  await videoFlows(...pages);
  for (const page of pages) await share(page);

  for (const page of pages) {
    // Both ends, each in the words of the other.
    for (const other of ["You", page === pages[0] ? "Bob" : "Ann"]) {
      await shows(page, "path", "page", new RegExp(`${other}[^]*through the own relay over UDP`));
      await shows(page, "connection", "page", new RegExp(`${other}[^]*connected`));
      await shows(page, "gathered", "page", new RegExp(`${other}[^]*[1-9]\\d* over the relay`));
    }
    await shows(page, "reports", "server", /shares connection details/);
  }
  // Bob joined after Ann, whose allocation began when he came.
  await shows(pages[1], "allocated", "relay", /You[^]*over UDP, IPv4/);
  await shows(pages[1], "allocated", "relay", /Ann[^]*over UDP, IPv4/);
  await shows(pages[0], "stats", "page");

  const { members, events } = await operators(name);
  assert.deepEqual(members.map(({ name, reports }) => [name, reports]), [["Ann", true], ["Bob", true]]);
  const told = JSON.stringify(events);
  assert.doesNotMatch(told, /\d+\.\d+\.\d+\.\d+|[0-9a-f]{8}-[0-9a-f]{4}.*\.local/, "an address");
  for (const { id } of members) {
    const of = (source) => events.filter((event) => event.member === id && event.source === source).map(({ kind }) => kind);
    assert.ok(of("page").includes("path"), told);
    assert.ok(of("relay").includes("allocated"), told);
  }

  // Off again: the server has nothing of Ann's page any more.
  await pages[0].locator("#panel label:has(#reports)").click();
  await eventually("Ann's reports are gone", async () => {
    const { events } = await operators(name);
    return !events.some((event) => event.member === members[0].id && event.source === "page") || null;
  });

  await pages[1].click("#hangup");
  await eventually("what the relay counted", async () => {
    const { events } = await operators(name);
    const ended = events.find(({ member, kind }) => member === members[1].id && kind === "released");
    return (ended && ended.detail.to_peer.packets > 0 && /packets to peers/.test(ended.text)) || null;
  });
});

test("without consent nothing is sent, and nothing is shown to the others", async (scenario) => {
  const name = room(scenario);
  const first = await join(scenario, name, { name: "Ann" });
  const said = await sent(first);
  const second = await join(scenario, name, { name: "Bob" });
  await videoFlows(first, second);
  await first.click("#info");
  assert.equal(await first.locator("#reports").isChecked(), false);
  await shows(first, "joined", "server", /Bob/);
  await share(second);
  await shows(second, "connection", "page", /You[^]*connected/);

  const types = new Set((await said()).map(({ type }) => type));
  assert.ok(types.has("timeline") && types.has("signal"), [...types].join());
  assert.ok(!types.has("report") && !types.has("consent"), [...types].join());
  const { members, events } = await operators(name);
  assert.deepEqual(members.map(({ reports }) => reports), [false, true]);
  assert.ok(!events.some(({ member, source }) => member === members[0].id && source === "page"));
  assert.equal(await second.locator(`#timeline li[data-source="page"][data-member="${members[0].id}"]`).count(), 0);
});

test("consent is remembered, and what was seen before it is sent with it", async (scenario) => {
  const name = room(scenario);
  const [page] = await call(scenario, name);
  await videoFlows(page);
  await share(page);
  await shows(page, "connection", "page", /connecting/);
  await page.reload();
  await page.click("#join");
  await page.locator("#call[data-state=joined]").waitFor();
  await page.click("#info");
  assert.ok(await page.locator("#reports").isChecked());
  await shows(page, "reports", "server", /You/);
});

test("a page reads no other room, and its flood is bounded", async (scenario) => {
  const name = room(scenario);
  const honest = await join(scenario, name, { name: "Ann" });
  await share(honest);
  await shows(honest, "joined", "server");
  const { members: [ann] } = await operators(name);

  const page = await open(scenario, "/");
  const heard = await page.evaluate(flood, { room: `${name}-other`, peer: ann.id });
  const timelines = heard.filter(({ type }) => type === "timeline");
  assert.ok(timelines.length > 0);
  assert.ok(!JSON.stringify(timelines).includes(ann.id), "a member of another room");
  assert.ok(heard.some(({ type, code }) => type === "error" && code === "rate-limited"));
  const flooded = await operators(`${name}-other`);
  assert.ok(flooded.events.length <= 256, `${flooded.events.length} events`);
  assert.ok(flooded.dropped > 0);
  assert.equal((await operators(name)).events.some(({ member }) => member !== ann.id), false);
});

/** Joins by hand, sends more than it may, and returns what the server said. Runs in the page. */
async function flood({ room, peer }) {
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws`, "byway.v1");
  const heard = [];
  const say = (message) => socket.send(JSON.stringify(message));
  await new Promise((resolve, reject) => {
    socket.onopen = () => say({ type: "join", room });
    socket.onerror = reject;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      heard.push(message);
      if (message.type === "joined") {
        say({ type: "consent", reports: true });
        const events = Array(32).fill({ kind: "connection", peer, detail: { state: "failed" } });
        for (let round = 0; round < 40; round += 1) say({ type: "report", events });
        for (let round = 0; round < 40; round += 1) say({ type: "timeline" });
        say({ type: "ping" });
      }
      if (message.type === "pong") resolve();
    };
  });
  return heard;
}

test("servers and addresses are told by kind alone", () => {
  assert.deepEqual(serverOf("turn:192.0.2.1:3478?transport=tcp"), { scheme: "turn", protocol: "tcp" });
  assert.deepEqual(serverOf("turns:call.example.org?transport=tcp"), { scheme: "turns", protocol: "tls" });
  assert.deepEqual(serverOf("stun:[2001:db8::1]:3478"), { scheme: "stun", protocol: "udp" });
  assert.equal(serverOf("https://call.example.org"), null);
  assert.deepEqual(
    ["192.0.2.1", "2001:db8::1", "0c9f.local", "", undefined].map(addressKind),
    ["ipv4", "ipv6", "name", null, null],
  );
});

/** Events of one member that show a fault; each entry is the detail by kind. */
const FAULTS = {
  "udp-blocked": [["server-failed", { scheme: "turn", protocol: "udp", code: 701 }], ["gathered", { relay: 1 }]],
  "tcp-blocked": [["server-failed", { scheme: "turns", protocol: "tls", code: 701 }], ["gathered", { relay: 0 }]],
  "credentials-refused": [["server-failed", { scheme: "turn", protocol: "udp", code: 401 }]],
  "limit-reached": [["server-failed", { scheme: "turn", protocol: "udp", code: 508 }]],
  "no-relay": [["gathered", { relay: 0 }], ["connection", { state: "failed" }]],
};

test("faults that a timeline shows have words and an entry in the documentation", async () => {
  const entries = await readFile(new URL("../../../../docs/when-calls-fail.md", import.meta.url), "utf8");
  for (const [fault, kinds] of Object.entries(FAULTS)) {
    const events = kinds.map(([kind, detail], n) => ({ n, at: n, member: "a", source: "page", kind, detail }));
    assert.deepEqual(causesOf(events, { self: "b" }), [{ fault, member: "a" }]);
    assert.ok(english[`explain.fault-${fault}`] && chinese[`explain.fault-${fault}`], fault);
    assert.ok(entries.includes(`\n### ${fault}\n`), fault);
  }
  const worked = [
    { kind: "server-failed", detail: { scheme: "turn", protocol: "udp", code: 701 } },
    { kind: "allocated", detail: { transport: "udp" } },
    { kind: "connection", detail: { state: "connected" } },
  ].map((event, n) => ({ n, at: n, member: "a", source: "page", ...event }));
  assert.deepEqual(causesOf(worked, { self: "a" }), []);
});

test("an event of a newer server is shown by its kind", () => {
  const say = (key) => english[key] ?? key;
  assert.equal(sentenceOf({ kind: "teleported", detail: {} }, { say, nameOf: () => "" }), "teleported");
});
