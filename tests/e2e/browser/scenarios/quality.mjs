import assert from "node:assert/strict";
import { pbkdf2Sync, webcrypto } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { EMOJI, emojiOf } from "../../../../static/page/panels/info/emoji.js";
import { describe, maskAddresses } from "../../../../static/page/panels/info/support.js";
import { assess } from "../../../../static/page/quality.js";
import { words as english } from "../../../../static/page/panels/info/words/en.js";
import { words as chinese } from "../../../../static/page/panels/info/words/zh.js";

/** A report of a call without any fault. */
const GOOD = {
  path: "direct",
  relays: { local: false, remote: false, server: null, protocol: null },
  roundTripMs: 30,
  receivingBps: 1e6,
  sendingBps: 1e6,
  loss: 0,
  remoteLoss: 0,
  jitterMs: 4,
  frameRate: 30,
  width: 640,
  height: 480,
  limitation: "none",
  freezes: 0,
  silentMs: 0,
};
const TLS = { relays: { local: true, remote: false, server: "turns:relay.example.org", protocol: "tls" } };

/** Reports, a second apart: each is the good one with changes. */
const samples = (...changes) => changes.map((change, index) => ({ at: index * 1000, report: { ...GOOD, ...change } }));

/** Twelve seconds of the same. */
const steadily = (change) => samples(...Array(12).fill(change));

const CASES = {
  "no fault": [{}, "good", null],
  "a little loss": [{ loss: 0.01 }, "good", null],
  "loss on the way here": [{ loss: 0.04 }, "fair", "quality.loss-here"],
  "much of it": [{ loss: 0.2 }, "poor", "quality.loss-here"],
  "loss on the way there": [{ remoteLoss: 0.04 }, "fair", "quality.loss-there"],
  "a long way": [{ roundTripMs: 400 }, "fair", "quality.round-trip"],
  "a satellite and more": [{ roundTripMs: 1200 }, "poor", "quality.round-trip"],
  "a long way over TLS": [{ ...TLS, roundTripMs: 400 }, "fair", "quality.relay-stream"],
  "TLS alone": [TLS, "good", null],
  "jitter": [{ jitterMs: 80 }, "fair", "quality.jitter"],
  "a slow uplink here": [{ limitation: "bandwidth" }, "fair", "quality.our-uplink"],
  "a busy computer here": [{ limitation: "cpu" }, "fair", "quality.our-computer"],
  "few frames": [{ frameRate: 9 }, "fair", "quality.few-frames"],
  "hardly a frame": [{ frameRate: 2 }, "poor", "quality.few-frames"],
  "no picture": [{ frameRate: null, width: null }, "good", null],
  "loss, which costs frames": [{ loss: 0.04, frameRate: 9 }, "fair", "quality.loss-here"],
  "a worse fault after a first": [{ loss: 0.04, roundTripMs: 1200 }, "poor", "quality.round-trip"],
  "nothing arrives": [{ silentMs: 3000 }, "none", "quality.silent"],
  "no media, and the last check was answered": [{ silentMs: 5000, receivingBps: null, frameRate: null }, "good", null],
  "no media, and no answer": [{ silentMs: 9000, receivingBps: null, frameRate: null }, "none", "quality.silent"],
  "no path yet": [{ path: "connecting" }, "none", "quality.connecting"],
  "no path any more": [{ path: "connecting", silentMs: 4000 }, "none", "quality.silent"],
  "a browser that tells nothing": [
    Object.fromEntries(Object.keys(GOOD).filter((key) => !["path", "relays"].includes(key)).map((key) => [key, null])),
    "good",
    null,
  ],
};

test("each fault has its level and its reason", () => {
  for (const [what, [change, level, reason]] of Object.entries(CASES)) {
    assert.deepEqual(assess(steadily(change)), { level, reason }, what);
  }
  assert.deepEqual(assess([]), { level: "none", reason: "quality.connecting" }, "no report");
});

test("a camera that is off shows few frames without fault", () => {
  for (const camera of ["off", "none", "refused", "busy"]) {
    assert.equal(assess(steadily({ frameRate: 1 }), { peer: { camera } }).level, "good", camera);
  }
  assert.equal(assess(steadily({ frameRate: 1 }), { peer: { camera: "on" } }).level, "poor");
});

test("the peer's page tells the limit of the peer's picture", () => {
  const reason = (limitation) => assess(steadily({}), { peer: { limitation } }).reason;
  assert.equal(reason("bandwidth"), "quality.their-uplink");
  assert.equal(reason("cpu"), "quality.their-computer");
  assert.equal(reason("none"), null);
});

test("a picture that freezes again is a fault until it has run for a while", () => {
  const freezes = (...counts) => assess(samples(...counts.map((count) => ({ freezes: count }))));
  assert.deepEqual(freezes(3, 3, 4), { level: "fair", reason: "quality.freezes" });
  assert.equal(freezes(3, 4, 4, 4, 4, 4, 4, 4).level, "good");
});

test("the browser has time to find its bitrate", () => {
  const limited = Array(12).fill({ limitation: "bandwidth" });
  assert.equal(assess(samples(...limited.slice(0, 6))).level, "good");
  assert.equal(assess(samples(...limited)).level, "fair");
});

/** Levels over time: one for each report that arrives. */
function levels(changes) {
  const history = samples(...changes);
  let before = null;
  return history.map((_, index) => (before = assess(history.slice(0, index + 1), { before })).level);
}

test("a figure around its threshold does not make the level flicker", () => {
  const around = Array.from({ length: 40 }, (_, index) => ({ roundTripMs: index % 12 < 6 ? 320 : 280 }));
  const found = levels([...around, ...Array(8).fill({ roundTripMs: 100 })]);
  assert.deepEqual(new Set(found.slice(0, 40)), new Set(["fair"]));
  assert.equal(found.at(-1), "good", "clear of the threshold");
});

test("one lost report out of many is no fault, a loss that lasts is one at once", () => {
  const once = levels([...Array(6).fill({}), { loss: 0.1 }, ...Array(8).fill({})]);
  assert.deepEqual(new Set(once), new Set(["good"]));
  const lasting = levels([...Array(6).fill({}), ...Array(6).fill({ loss: 0.2 })]);
  assert.equal(lasting[6], "fair");
  assert.equal(lasting.at(-1), "poor");
});

test("the reason stays while it holds", () => {
  const history = steadily({ loss: 0.04, remoteLoss: 0.04 });
  assert.equal(assess(history).reason, "quality.loss-here");
  const before = { level: "fair", reason: "quality.loss-there" };
  assert.equal(assess(history, { before }).reason, "quality.loss-there");
});

test("every reason and every emoji has its words in each language", async () => {
  const source = await readFile(new URL("../../../../static/page/quality.js", import.meta.url), "utf8");
  const reasons = source.match(/"quality\.[\w-]+"/g);
  const levels = ["good", "fair", "poor", "none"].map((level) => `quality.${level}`);
  const keys = [...reasons.map((reason) => reason.slice(1, -1)), ...levels, ...EMOJI.map(([, name]) => `emoji.${name}`)];
  assert.ok(new Set(keys).size > 64 + 12, "the keys were found");
  for (const language of [english, chinese]) {
    assert.deepEqual(keys.filter((key) => !language[key]), []);
    const names = EMOJI.map(([, name]) => language[`emoji.${name}`]);
    assert.equal(new Set(names).size, names.length, "names that tell emoji apart");
  }
});

test("the emoji are alike at both ends, and others with another certificate", async () => {
  const certificate = (byte) => Array(32).fill(byte).join(":");
  const of = (local, remote) => emojiOf({ local: certificate(local), remote: certificate(remote) }, webcrypto.subtle);
  const here = await of("0A", "FF");
  assert.deepEqual(await of("ff", "0a"), here);
  assert.notDeepEqual(await of("0A", "FE"), here);
  assert.equal(new Set(EMOJI.map(([picture]) => picture)).size, 64);

  const bytes = Buffer.concat([Buffer.alloc(32, 0x0a), Buffer.alloc(32, 0xff)]);
  const derived = pbkdf2Sync(bytes, "byway emoji 1", 600_000, 7, "sha256");
  assert.deepEqual(here, [...derived].map((byte) => EMOJI[byte % 64]));
});

test("a report for support has no addresses", () => {
  const masked = {
    "turn:192.0.2.7:3478?transport=udp": "turn:ADDRESS:3478?transport=udp",
    "turns:[2001:db8::7]:443?transport=tcp": "turns:ADDRESS:443?transport=tcp",
    "error at 2001:db8::7%eth0, ::1 and fe80::a:b:c:d": "error at ADDRESS, ADDRESS and ADDRESS",
    "host 74997849-056d-4909-bec9-370aa85f3e74.local": "host ADDRESS",
    "turn:relay.example.org:3478 401 Unauthorized": "turn:relay.example.org:3478 401 Unauthorized",
  };
  for (const [text, expected] of Object.entries(masked)) assert.equal(maskAddresses(text), expected);

  const report = {
    ...GOOD,
    ...TLS,
    codecs: { audio: "opus", video: "VP8" },
    fingerprints: { local: "0A:FF", remote: "FF:0A" },
    iceErrors: [{ url: "turn:192.0.2.7", code: 701, text: "no answer from 192.0.2.7" }],
  };
  const history = [{ at: 0, report }, { at: 1000, report: { ...report, loss: null } }];
  const text = describe(history, { level: "good", reason: null }).join("\n");
  assert.match(text, /^loss: now unknown, min 0, median 0, max 0$/m);
  assert.match(text, /^server failed: turn:ADDRESS 701 no answer from ADDRESS$/m);
  assert.match(text, /turns:relay\.example\.org/);
  assert.doesNotMatch(text, /192\.0\.2\.7|0A:FF/);
});
