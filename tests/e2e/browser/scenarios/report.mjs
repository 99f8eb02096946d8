import assert from "node:assert/strict";
import { test } from "node:test";

import { open } from "../stage.mjs";

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

test("the path is read from the statistics as it is", async (scenario) => {
  const page = await open(scenario, "/");
  for (const [what, [given, path, protocol]] of Object.entries(CASES)) {
    const route = await page.evaluate(async (entries) => (await import("/byway/report.js")).findRoute(entries), given);
    assert.deepEqual({ path: route.path, protocol: route.protocol }, { path, protocol }, what);
  }
});

test("rates are of the time since the report before", async (scenario) => {
  const page = await open(scenario, "/");
  const rates = await page.evaluate(async () => {
    const { compareTraffic, measureTraffic } = await import("/byway/report.js");
    const rtp = (bytes) => [
      { type: "inbound-rtp", bytesReceived: bytes, headerBytesReceived: 0, framesDecoded: 1 },
      { type: "inbound-rtp", bytesReceived: bytes },
      { type: "outbound-rtp", bytesSent: bytes },
    ];
    const [first, second] = [measureTraffic(rtp(0), 1000), measureTraffic(rtp(1000), 3000)];
    return [compareTraffic(null, first), compareTraffic(first, second), compareTraffic(second, second)];
  });
  assert.deepEqual(rates.map(({ receivingBps }) => receivingBps), [null, 8000, null]);
  assert.deepEqual(rates.map(({ sendingBps }) => sendingBps), [null, 4000, null]);
});
