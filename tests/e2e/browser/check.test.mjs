/** Conclusions of the self-test page from figures, and its words. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const ROOT = new URL("../../../", import.meta.url);
const load = (file) => import(new URL(`static/check/${file}`, ROOT));
const { REASONS, finding, verdictOf } = await load("finding.js");
const { gradeOf, judgeHostLoops, judgeNat, judgeRows } = await load("judge.js");
const { isPrivate, parse } = await load("url.js");
const { words: english } = await load("words/en.js");

/** Context of a visitor with Chromium, whose page has a name. */
const HOME = { host: "call.example.org", isFirefox: false, hasUdp: true, localNetwork: null, byName: null };
const good = (url, relayed = "45.0.0.1:50000") => ({ url, works: true, relays: true, relayed, roundTripMs: 20, afterMs: 50, code: null, text: "" });
const bad = (url, code = null, text = "") => ({ url, works: false, relays: false, relayed: null, roundTripMs: null, afterMs: 9500, code, text });
const UDP = "turn:call.example.org:3478?transport=udp";
const TCP = "turn:call.example.org:3478?transport=tcp";
const TLS = "turns:call.example.org:443?transport=tcp";
/** State and reason of each finding. */
const reasons = (rows, context) => judgeRows(rows, { ...HOME, ...context }).map(({ state, reason }) => `${state} ${reason}`);

test("URLs are read as RFC 7064 and RFC 7065 write them", () => {
  const parts = (url) => {
    const { kind, transport, host, port } = parse(url);
    return [kind, transport, host, port];
  };
  assert.deepEqual(parts("stun:a.example"), ["stun", "udp", "a.example", 3478]);
  assert.deepEqual(parts("turn:a.example:80?transport=tcp"), ["turn", "tcp", "a.example", 80]);
  assert.deepEqual(parts("turns:[2001:db8::1]?transport=tcp"), ["turn", "tls", "2001:db8::1", 5349]);
  for (const wrong of ["http://a", "turn:", "turn:a:b", "stun:[::1"]) assert.equal(parse(wrong), null, wrong);
});

test("addresses that the internet does not reach are known", () => {
  for (const address of ["10.0.0.5", "127.0.0.9", "172.16.0.1", "172.31.9.9", "192.168.1.1", "100.64.0.1", "::1", "fd00::2", "fe80::1", "localhost"]) {
    assert.ok(isPrivate(address), address);
  }
  for (const address of ["45.0.0.1", "172.32.0.1", "100.128.0.1", "11.0.0.1", "2a00::1", "fd.example.org", "call.example.org"]) {
    assert.ok(!isPrivate(address), address);
  }
});

test("a way that fails is a warning while another works, and a failure if none does", () => {
  assert.deepEqual(reasons([good(UDP), good(TCP), good(TLS)]), ["ok udp-ok", "ok tcp-ok", "ok tls-ok"]);
  assert.deepEqual(reasons([bad(UDP), good(TCP)]), ["warning udp-blocked", "ok tcp-ok"]);
  assert.deepEqual(reasons([bad(UDP), bad(TCP)]), ["failed udp-blocked", "failed tcp-blocked"]);
  assert.deepEqual(reasons([good(UDP), good(TCP), bad(TLS)]), ["warning tls-blocked", "ok udp-ok", "ok tcp-ok"]);
  assert.deepEqual(reasons([good(UDP), bad(TCP), bad(TLS)]), ["warning tcp-blocked", "ok udp-ok"]);
  assert.deepEqual(reasons([good(UDP), bad("turn:call.example.org:443?transport=udp")]), ["warning udp-partly", "ok udp-ok"]);
  assert.deepEqual(reasons([bad(UDP)], { hasUdp: false }), ["failed no-udp-candidates"]);
});

test("an error code says which fault it is", () => {
  assert.deepEqual(reasons([bad(UDP, 401)]), ["failed credentials-refused"]);
  assert.deepEqual(reasons([bad(UDP, 486), good(TCP)]), ["warning limit-reached", "ok tcp-ok"]);
  assert.deepEqual(reasons([bad(UDP, 440)]), ["failed relay-refused"]);
  const unknown = { ...bad(UDP, 701, "TURN host lookup received error."), afterMs: 100 };
  assert.deepEqual(reasons([unknown]), ["failed name-unresolved"]);
  assert.deepEqual(reasons([{ ...unknown, afterMs: 9_500 }]), ["failed udp-blocked"], "a name without an AAAA record");
  assert.deepEqual(reasons([bad(UDP, 701)]), ["failed udp-blocked"]);
  assert.deepEqual(reasons([{ ...bad(UDP), relayed: "45.0.0.1:50000" }]), ["failed relays-nothing"]);
});

test("an address in a URL can be the fault", () => {
  const at = (address) => `turn:${address}:3478?transport=udp`;
  assert.deepEqual(reasons([bad(at("10.0.0.5")), good(TLS)]), ["warning public-address-unset", "ok tls-ok"]);
  assert.deepEqual(reasons([bad(at("10.0.0.5"))], { host: "10.0.0.5" }), ["failed udp-blocked"], "the page is local, too");
  assert.deepEqual(reasons([bad(at("10.0.0.5"))], { localNetwork: "denied" }), ["failed local-network"]);
  assert.deepEqual(reasons([bad(at("[2a00::1]")), good(UDP)]), ["warning ipv6-failed", "ok udp-ok"]);
  assert.deepEqual(reasons([good(UDP), bad("turns:45.0.0.1:443")], { isFirefox: true }), ["warning tls-address", "ok udp-ok"]);
  const byName = good("stun:call.example.org:3478", "2.3.4.5:6");
  assert.deepEqual(reasons([bad(at("45.0.0.77")), good(TLS)], { byName }), ["failed wrong-public-address", "ok tls-ok"]);
  assert.deepEqual(reasons([bad("turn:elsewhere.example.org:3478")], { byName }), ["failed name-elsewhere"]);
  assert.deepEqual(reasons([bad("stun:call.example.org:3478"), good(UDP)]), ["warning stun-silent", "ok udp-ok"]);
  assert.deepEqual(reasons([bad(at("45.0.0.77")), good(TLS)], { byName: bad(byName.url) }), ["warning udp-blocked", "ok tls-ok"]);
});

test("a call from the relay to the device shows what a call from relay to relay does not", () => {
  const facts = { hasUdp: true, isMapped: true, toldElsewhere: false, relaysToClient: true, isFromOutside: true, host: "call.example.org", urlHosts: ["call.example.org"] };
  const loops = { unannounced: false, announced: false, relayed: "45.0.0.1", isElsewhere: false, own: ["192.168.1.2"], mapped: ["2.3.4.5"] };
  const reason = (change, about) => judgeHostLoops({ ...loops, ...change }, { ...facts, ...about }).reason;
  assert.equal(reason({ unannounced: true, announced: true }), "host-loop-ok");
  // Only a firewall that lets answers in tells the two calls apart.
  assert.equal(reason({ announced: true }), "relay-ports-strict");
  assert.equal(reason({}), "relay-ports-blocked");
  assert.equal(reason({ announced: true, isElsewhere: true }), "wrong-public-address");
  assert.equal(reason({}, { urlHosts: ["45.0.0.2"] }), "wrong-public-address");
  assert.equal(reason({ relayed: "10.0.0.5", mapped: [] }, { relaysToClient: false }), "public-address-unset");
  assert.equal(reason({ relayed: "10.0.0.5", mapped: [] }, { relaysToClient: false, isFromOutside: false }), "host-loop-refused", "a local network");
  // Nothing proved.
  assert.equal(reason({}, { hasUdp: false }), "host-loop-no-udp");
  assert.equal(reason({ mapped: [] }, { isMapped: false }), "host-loop-no-address");
  assert.equal(reason({ mapped: [] }, { relaysToClient: false }), "host-loop-refused");
  assert.equal(reason({ mapped: ["10.0.0.9"] }), "host-loop-refused");
  assert.equal(reason({ mapped: ["2a00::9"] }, { relaysToClient: false }), "host-loop-refused", "of another IP version");
});

test("the kind of NAT follows from the ports of one socket", () => {
  const mapped = (port, relatedPort = 5000) => ({ type: "srflx", address: "2.3.4.5", port, relatedAddress: "192.168.1.2", relatedPort, foundation: "1" });
  const all = { errors: 0, servers: 4, isSoon: true };
  const reason = (candidates, answers) => judgeNat(candidates, { ...all, ...answers }).reason;
  assert.equal(reason([mapped(6000)]), "nat-independent");
  assert.equal(reason([mapped(6000), mapped(6001)]), "nat-dependent");
  assert.equal(reason([mapped(6000), mapped(6001, 5001)]), "nat-independent", "two sockets");
  const hidden = (port, foundation) => ({ ...mapped(port, 0), relatedAddress: "0.0.0.0", foundation });
  assert.equal(reason([hidden(6000, "1"), hidden(6001, "1")]), "nat-dependent");
  assert.equal(reason([hidden(6000, "1"), hidden(6001, "2")]), "nat-independent");
  assert.equal(reason([{ type: "host" }]), "nat-none");
  assert.equal(reason([{ type: "host" }], { errors: 4 }), "nat-no-answer");
  assert.equal(reason([{ type: "host" }], { isSoon: false }), "nat-no-answer");
  assert.equal(reason([mapped(6000)], { errors: 3 }), "nat-no-answer", "one answer proves nothing");
});

test("a grade falls with the worst of its figures", () => {
  const flow = { bps: 1_500_000, loss: 0, jitterMs: 2 };
  assert.equal(gradeOf(flow, 40), "good");
  assert.equal(gradeOf({ ...flow, loss: 0.03 }, 40), "fair");
  assert.equal(gradeOf({ ...flow, jitterMs: 200 }, 40), "poor");
  assert.equal(gradeOf({ ...flow, bps: 300_000 }, 40), "poor");
  assert.equal(gradeOf(flow, 400), "fair");
});

test("nothing is called good that was not tested", () => {
  const verdict = (...names) => verdictOf(names.map((name) => finding(name)));
  assert.equal(verdict("relay-loop-ok", "host-loop-ok"), "ok");
  assert.equal(verdict("relay-loop-ok", "host-loop-refused"), "incomplete");
  assert.equal(verdict("server-ok", "token-missing"), "incomplete");
  assert.equal(verdict("relay-loop-ok", "host-loop-ok", "clock-off"), "limited");
  assert.equal(verdict("relay-loop-ok", "relay-ports-blocked", "clock-off"), "failed");
});

test("each reason has words, and its fault an entry in the documentation", async () => {
  const faults = await readFile(new URL("src/fault.rs", ROOT), "utf8");
  for (const [reason, [, state, fault]] of Object.entries(REASONS)) {
    assert.ok(`what.${reason}` in english, `what.${reason}`);
    if (fault) assert.ok(faults.includes(`= "${fault}"`), `${reason}: ${fault}`);
    const remedies = ["visitor", "operator"].filter((who) => `${who}.${reason}` in english);
    if (fault && state !== "ok") assert.notEqual(remedies.length, 0, `${reason} has no remedy`);
  }
  const named = Object.keys(english).flatMap((key) => /^(?:what|visitor|operator)\.(.+)/.exec(key)?.[1] ?? []);
  assert.deepEqual(named.filter((reason) => reason !== "nothing" && !(reason in REASONS)), []);
});
