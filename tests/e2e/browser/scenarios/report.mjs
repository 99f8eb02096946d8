import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { findFingerprints, findRoute, makeReport } from "../../../../static/byway/report.js";

/** The statistics that matter, of a call between two relays; each case changes some of them. */
const stats = ({ local = {}, remote = {}, pair = {}, more = [] } = {}) => [
  { type: "transport", id: "T", selectedCandidatePairId: "P" },
  { type: "candidate-pair", id: "P", localCandidateId: "L", remoteCandidateId: "R", currentRoundTripTime: 0.02, ...pair },
  { type: "local-candidate", id: "L", candidateType: "host", protocol: "udp", ...local },
  { type: "remote-candidate", id: "R", candidateType: "host", protocol: "udp", address: "192.0.2.1", port: 9, ...remote },
  ...more,
];

const CASES = {
  "two hosts": [stats(), "direct", "udp"],
  "two hosts over TCP": [stats({ local: { protocol: "tcp" } }), "direct", "tcp"],
  "our relay over TLS": [stats({ local: { candidateType: "relay", relayProtocol: "tls" } }), "relayed", "tls"],
  "their relay": [stats({ remote: { candidateType: "relay" } }), "relayed", "udp"],
  "our relay, mapped otherwise": [stats({ local: { candidateType: "prflx", relayProtocol: "udp" } }), "relayed", "udp"],
  "a reflexive peer": [stats({ remote: { candidateType: "prflx" } }), "direct", "udp"],
  "their relay, met before it was told": [
    stats({
      remote: { candidateType: "prflx" },
      more: [{ type: "remote-candidate", id: "S", candidateType: "relay", address: "192.0.2.1", port: 9 }],
    }),
    "relayed",
    "udp",
  ],
  "a pair that Firefox marks": [stats({ pair: { selected: true } }).slice(1), "direct", "udp"],
  "no pair yet": [stats().slice(2), "connecting", null],
};

test("the path is read from the statistics as it is", () => {
  for (const [what, [given, path, protocol]] of Object.entries(CASES)) {
    const route = findRoute(given);
    assert.deepEqual({ path: route.path, protocol: route.protocol }, { path, protocol }, what);
  }
});

test("the relays on the path are told apart by their end", () => {
  const url = "turns:relay.example.org:443?transport=tcp";
  const ours = { candidateType: "relay", relayProtocol: "tls", url };
  const known = { local: true, remote: false, server: url, protocol: "tls" };
  assert.deepEqual(findRoute(stats({ local: ours })).relays, known);
  const theirs = stats({ remote: { candidateType: "relay" } });
  assert.deepEqual(findRoute(theirs).relays, { local: false, remote: true, server: null, protocol: null });

  const mapped = { candidateType: "prflx", relayProtocol: "tls" };
  const gathered = (id, more) => ({ type: "local-candidate", id, ...ours, ...more });
  const one = stats({ local: mapped, more: [gathered("S"), gathered("U", { relayProtocol: "udp", url: "turn:other" })] });
  assert.deepEqual(findRoute(one).relays, known);
  const two = stats({ local: mapped, more: [gathered("S"), gathered("U", { url: "turns:other.example.org" })] });
  assert.equal(findRoute(two).relays.server, null, "either of two servers");
});

/**
 * Statistics as browsers made them, of a relayed call on one machine: two samples, a second apart.
 */
const recorded = async (name) => JSON.parse(await readFile(new URL(`../statistics/${name}.json`, import.meta.url), "utf8"));

const FINGERPRINT = { local: "4F:2B:F5:4D", remote: "90:80:28:88" };
const description = (fingerprint, algorithm = "sha-256") => ({ sdp: `v=0\r\na=fingerprint:${algorithm} ${fingerprint}\r\n` });
const CONNECTED = {
  connectionState: "connected",
  currentLocalDescription: description(FINGERPRINT.local),
  currentRemoteDescription: description(FINGERPRINT.remote),
};

/** Reports of several samples of one connection, each at its time. */
function reports(samples, times = samples.map((_, index) => index * 1000), connection = CONNECTED) {
  let memory = null;
  return samples.map((sample, index) => {
    const made = makeReport(sample, { at: times[index], memory, connection });
    memory = made.memory;
    return made.report;
  });
}

/** Rounds numbers, for comparison. */
const round = (value) =>
  JSON.parse(JSON.stringify(value), (_, each) => (typeof each === "number" ? Number(each.toPrecision(4)) : each));

/** Report of the recorded calls, but for the fingerprints. */
const CHROMIUM = {
  path: "relayed",
  protocol: "udp",
  roundTripMs: 2,
  localCandidate: "relay",
  remoteCandidate: "relay",
  relays: { local: true, remote: true, server: "turn:127.0.0.1:57541?transport=udp", protocol: "udp" },
  receivingBps: 533_700,
  sendingBps: 536_200,
  loss: 0,
  frameRate: 20,
  remoteLoss: 0,
  jitterMs: 2,
  width: 640,
  height: 480,
  codecs: { audio: "opus", video: "VP8" },
  limitation: "none",
  audioLevel: 0.003876,
  freezes: 0,
  framesDecoded: 154,
  framesSent: 154,
  silentMs: 0,
};
const FIREFOX = {
  ...CHROMIUM,
  roundTripMs: 10,
  relays: { ...CHROMIUM.relays, server: null },
  receivingBps: 327_200,
  sendingBps: 310_200,
  frameRate: 30,
  jitterMs: 5,
  width: 480,
  height: 360,
  limitation: null,
  audioLevel: 0.1007,
  framesDecoded: 226,
  framesSent: 228,
  fingerprints: FINGERPRINT,
};

test("a report has all that Chromium tells", async () => {
  const samples = await recorded("chromium-156");
  const [, { fingerprints, ...report }] = reports(samples);
  assert.deepEqual(round(report), CHROMIUM);
  assert.match(fingerprints.local, /^4F:2B:F5:4D:(..:){27}..$/, "of the certificate, not of the description");
  assert.match(fingerprints.remote, /^90:80:28:88:(..:){27}..$/);
});

test("a report has all that Firefox tells", async () => {
  const [, report] = reports(await recorded("firefox-153"));
  assert.deepEqual(round(report), FIREFOX);
});

/** Statistics of Safari: those of Chromium without addresses, servers and limitation. */
const asSafari = (sample) =>
  sample.map(({ address, ip, url, networkType, qualityLimitationReason, mid, ...entry }) => entry);

test("a report has all that Safari tells", async () => {
  const [, { fingerprints, ...report }] = reports((await recorded("chromium-156")).map(asSafari));
  const relays = { ...CHROMIUM.relays, server: null };
  assert.deepEqual(round(report), { ...CHROMIUM, relays, limitation: null });
  assert.match(fingerprints.local, /^4F:2B:F5:4D:/);
});

test("a report of no statistics claims nothing", () => {
  const nothing = { ...CONNECTED, connectionState: "new", currentLocalDescription: null, currentRemoteDescription: null };
  const [first, second] = reports([[], []], [0, 1000], nothing);
  for (const [field, value] of Object.entries({ ...first, ...second, silentMs: null })) {
    if (field === "path") assert.equal(value, "connecting");
    else if (field === "relays") assert.deepEqual(value, { local: false, remote: false, server: null, protocol: null });
    else if (field === "codecs") assert.deepEqual(value, { audio: null, video: null });
    else if (field.startsWith("frames")) assert.equal(value, 0, field); // a total, of no stream
    else assert.equal(value, null, field);
  }
  assert.deepEqual([first.silentMs, second.silentMs], [null, 1000]);
});

const rtp = ({ id = "I", bytes, received: packetsReceived = 0, lost: packetsLost = 0, frames: framesDecoded }) => [
  { type: "inbound-rtp", id, kind: "video", bytesReceived: bytes, packetsReceived, packetsLost, framesDecoded },
  { type: "outbound-rtp", id: "O", kind: "video", bytesSent: bytes / 2, headerBytesSent: 0 },
];

test("rates are of the time since the report before", () => {
  const [first, second] = reports([rtp({ bytes: 0, frames: 0 }), rtp({ bytes: 1000, frames: 50 })], [1000, 3000]);
  assert.deepEqual([first.receivingBps, first.sendingBps, first.frameRate], [null, null, null]);
  assert.deepEqual([second.receivingBps, second.sendingBps, second.frameRate], [4000, 2000, 25]);
});

test("callers within the same second share its interval", () => {
  const samples = [0, 1000, 1010, 2000].map((bytes) => rtp({ bytes }));
  const rates = reports(samples, [0, 1000, 1010, 2000]).map(({ receivingBps }) => receivingBps);
  assert.deepEqual(rates, [null, 8000, 8000, 8000]);
});

test("loss is that of the interval, and late packets take it back", () => {
  const samples = [
    rtp({ bytes: 0, received: 100, lost: 50 }),
    rtp({ bytes: 0, received: 190, lost: 60 }),
    rtp({ bytes: 0, received: 290, lost: 55 }),
    rtp({ bytes: 0, received: 290, lost: 55 }),
  ];
  assert.deepEqual(reports(samples).map(({ loss }) => loss), [null, 0.1, 0, null]);
});

test("counters that go backwards give no rate, and a new stream counts from its start", () => {
  const samples = [
    rtp({ bytes: 1000, received: 10, frames: 9 }),
    rtp({ bytes: 10, received: 1, frames: 1 }),
    [...rtp({ bytes: 10, received: 1, frames: 1 }), ...rtp({ id: "S", bytes: 500, received: 5 }).slice(0, 1)],
  ];
  const [, second, third] = reports(samples);
  const rates = ({ receivingBps, loss, frameRate }) => ({ receivingBps, loss, frameRate });
  assert.deepEqual(rates(second), { receivingBps: null, loss: null, frameRate: null });
  assert.deepEqual(rates(third), { receivingBps: 4000, loss: 0, frameRate: 0 });
});

test("the loss that the peer reports expires with the report", () => {
  const sample = (timestamp) => [
    { type: "transport", id: "T", timestamp },
    { type: "outbound-rtp", id: "A", timestamp, packetsSent: 100 },
    { type: "outbound-rtp", id: "V", timestamp, packetsSent: 300 },
    { type: "remote-inbound-rtp", id: "RA", localId: "A", timestamp: 10_000, fractionLost: 0 },
    { type: "remote-inbound-rtp", id: "RV", localId: "V", timestamp: 10_000, fractionLost: 0.2 },
  ];
  const losses = reports([sample(11_000), sample(40_000)]).map(({ remoteLoss }) => remoteLoss);
  assert.deepEqual(round(losses), [0.15, null]);
});

test("silence lasts from the last arrival, also when the browser drops a pair", () => {
  const pair = (id, bytesReceived, responsesReceived = 0) => ({ type: "candidate-pair", id, bytesReceived, responsesReceived });
  const samples = [
    [pair("A", 50), pair("B", 9)],
    [pair("A", 60), pair("B", 9)],
    [pair("A", 60), pair("B", 9)],
    [pair("A", 60)],
    [pair("A", 60, 1)],
  ];
  assert.deepEqual(reports(samples).map(({ silentMs }) => silentMs), [null, 0, 1000, 2000, 0]);
});

test("the camera is the stream that was negotiated first, not the screen", () => {
  const stream = (mid, kind, more) => ({ type: "inbound-rtp", id: mid, mid, kind, packetsReceived: 1, ...more });
  const sample = [
    stream("3", "video", { frameWidth: 1920, frameHeight: 1080, freezeCount: 7 }),
    stream("2", "audio", { audioLevel: 0.9, jitter: 0.5 }),
    stream("1", "video", { frameWidth: 640, frameHeight: 480, freezeCount: 1 }),
    stream("0", "audio", { audioLevel: 0.1, jitter: 0.01 }),
  ];
  const [report] = reports([sample]);
  const expected = { width: 640, height: 480, freezes: 1, audioLevel: 0.1, jitterMs: 10 };
  assert.deepEqual({ ...report, ...expected }, report);
});

test("the limitation is that of any picture", () => {
  const sent = (reason) => ({ type: "outbound-rtp", id: reason, kind: "video", qualityLimitationReason: reason });
  const limitation = (...entries) => reports([entries])[0].limitation;
  assert.equal(limitation(sent("none"), sent("cpu")), "cpu");
  assert.equal(limitation(sent("none")), "none");
  assert.equal(limitation(sent(undefined)), null);
});

test("fingerprints are those that DTLS can only mean", () => {
  const of = (remote) => findFingerprints([], { ...CONNECTED, currentRemoteDescription: remote });
  assert.deepEqual(of(description("90:80:28:88")), FINGERPRINT);
  assert.deepEqual(of(description("90:80:28:ab")).remote, "90:80:28:AB");
  assert.equal(of(description("90:80:28:88", "sha-1")), null);
  assert.equal(of(null), null);
  const two = { sdp: description("90:80:28:88").sdp + description("AA:AA").sdp };
  assert.equal(of(two), null, "either of two certificates would do");
  const twice = { sdp: description("90:80:28:88").sdp.repeat(2) };
  assert.deepEqual(of(twice), FINGERPRINT, "one for each medium");
});
