/**
 * `byway probe` says of every network what is in the way of calls from there, and of a sound one
 * that nothing is: of every URL, and of all together.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { afterwards } from "../../browser/afterwards.mjs";
import { authority } from "../../browser/browsers.mjs";
import { eventually } from "../../browser/eventually.mjs";
import { BINARY } from "../../browser/server.mjs";
import { CALL, SECRET, urlsOf } from "../lab.mjs";

/** Texts of a row: how far the probe got, or its error. */
const BOUND = "ok: it learned its address";
const HEARD = "ok: it allocated, relayed, and was heard by its peer at the relay's port";
const NO_UDP = "ok, but data to the relayed address was lost, but this network may block UDP";
const SILENT = "no answer to STUN binding requests";
const UNCONNECTED = "no answer to a TCP connection";
const CLOSED = "data from this machine to the relayed address RELAYED is lost";
const UNAUTHORIZED = "allocation refused with 401 (wrong or expired credential)";
const UNKNOWN_NAME = "nobody.byway.test has no address";
const UNREACHABLE = (port) => [`203.0.113.10:${port}`, `[2001:db8::10]:${port}`].map((server) => `${server} cannot be reached: Network is unreachable (os error 101)`);
const NOTHING = (over, port) => `nothing listens on ${over} 203.0.113.10:${port}`;

/** Verdicts on all rows together. */
const BY_UDP = "Calls from here go over UDP, the best path.";
const BUT = `${BY_UDP} Callers elsewhere may need the path that failed: follow its remedy.`;
const BY = (over) => `calls from here go over ${over}, where every lost packet delays those behind it`;
const ONLY = (over) => `UDP does not get through between here and the server: ${BY(over)}. Probe from another network: if UDP is blocked there too, open the server's firewall; else ask the operator of this network to allow UDP to the server's port.`;
const UDP_LEAVES = `UDP from here reaches the relay's ports, but not the server's own port: ${BY("TCP")}. Probe from another network: if the port is blocked there too, open it in the server's firewall and at its provider.`;
const PORTS_CLOSED = "The server answers over UDP, but its relay ports cannot be reached from here: callers connect only if both use the relay. Probe from another network: if the ports are blocked there too, open them in the server's firewall.";
const NOBODY = "Nothing answers. Probe from another network: if nothing answers there either, start the server or open its firewall; else this network is offline or blocks the server.";
const NO_ROUTE = "This machine has no route to the server: it is offline, or lacks the server's IP version. Probe from another machine.";
const NOT_RUNNING = "The machine answers, but no server runs at these ports: start the server, or correct the ports.";
const NO_RELAY = `The server answers, but relays nothing: ${UNAUTHORIZED}. Calls from here connect only where they need no relay.`;
const NO_SERVER = "No server was found: its name does not resolve here. Correct the name or its DNS records.";

/** Remarks on machines with one IP version. */
const PASSED_OVER = { v4: "IPv6 was not probed: this machine has no route there. If callers use it, probe from a machine that has one.", v6: "IPv4 was not probed: this machine has no route there. If callers use it, probe from a machine that has one." };

/**
 * Position of the probe, and its results for `stun:`, of `turn:` over UDP and over TCP, and of
 * `turns:`. Two of one URL: by IPv4 and by IPv6.
 *
 * @typedef {object} Network
 * @property {string} name
 * @property {import("../lab.mjs").Place} [place]
 * @property {boolean} [unplugged]
 * @property {string} [firewall] What the server's machine drops, in the words of nftables.
 * @property {"none" | { name?: string, days?: number }} [server] None, or what its certificate
 *   says.
 * @property {string} [host] Whom the URLs name instead.
 * @property {string} [secret] What credentials are signed with instead of the server's.
 * @property {boolean} [distrust] The tests' authority is not trusted.
 * @property {(string | string[])[]} says
 * @property {string} verdict
 * @property {boolean} [always] Whether it is among the few that every run of all tests makes.
 */

/** @type {Network[]} */
export const NETWORKS = [
  { name: "a full cone", place: { nat: "full" }, says: [BOUND, HEARD, HEARD, HEARD], verdict: BY_UDP },
  { name: "an address-restricted cone", place: { nat: "addr" }, says: [BOUND, HEARD, HEARD, HEARD], verdict: BY_UDP },
  { name: "a port-restricted cone", place: { nat: "port" }, says: [BOUND, HEARD, HEARD, HEARD], verdict: BY_UDP },
  { name: "a symmetric NAT", place: { nat: "sym" }, says: [BOUND, HEARD, HEARD, HEARD], verdict: BY_UDP, always: true },
  { name: "UDP blocked", place: { nat: "udpblock" }, says: [SILENT, SILENT, NO_UDP, NO_UDP], verdict: ONLY("TCP"), always: true },
  { name: "only TCP 443", place: { nat: "tls443" }, says: [SILENT, SILENT, UNCONNECTED, NO_UDP], verdict: ONLY("TLS") },
  { name: "a provider that is down", place: { nat: "offline" }, says: [SILENT, SILENT, UNCONNECTED, UNCONNECTED], verdict: NOBODY },
  { name: "no cable", unplugged: true, says: [UNREACHABLE(3478), UNREACHABLE(3478), UNREACHABLE(3478), UNREACHABLE(443)], verdict: NO_ROUTE },
  { name: "IPv6 alone", place: { families: "v6" }, says: [BOUND, HEARD, HEARD, HEARD], verdict: BY_UDP },
  { name: "both families", place: { families: "dual" }, says: [[BOUND, BOUND], [HEARD, HEARD], [HEARD, HEARD], [HEARD, HEARD]], verdict: BY_UDP },
  { name: "5 % loss and 40 ms", place: { cable: { lossPercent: 5, delayMs: 40 } }, says: [BOUND, HEARD, HEARD, HEARD], verdict: BY_UDP },
  { name: "160 ms, as from the other end of the world", place: { cable: { delayMs: 160 } }, says: [BOUND, HEARD, HEARD, HEARD], verdict: BY_UDP },
  { name: "a server whose relay ports are blocked", firewall: "udp dport 49152-65535", says: [BOUND, CLOSED, NO_UDP, NO_UDP], verdict: PORTS_CLOSED },
  { name: "a server whose UDP port is blocked", firewall: "udp dport 3478", says: [SILENT, SILENT, HEARD, HEARD], verdict: UDP_LEAVES },
  { name: "a server that does not run", server: "none", says: [NOTHING("UDP", 3478), NOTHING("UDP", 3478), NOTHING("TCP", 3478), NOTHING("TCP", 443)], verdict: NOT_RUNNING },
  { name: "a server with another secret", secret: "another", says: [BOUND, UNAUTHORIZED, UNAUTHORIZED, UNAUTHORIZED], verdict: NO_RELAY },
  { name: "a certificate that nobody here trusts", distrust: true, says: [BOUND, HEARD, HEARD, "the certificate is from an issuer that this machine does not trust"], verdict: BUT },
  { name: "a certificate that has expired", server: { days: 0 }, says: [BOUND, HEARD, HEARD, "the certificate expired at THEN"], verdict: BUT },
  { name: "a certificate for another name", server: { name: "elsewhere.test" }, says: [BOUND, HEARD, HEARD, `the certificate is for elsewhere.test, not for ${CALL}`], verdict: BUT },
  { name: "a name that does not resolve", server: "none", host: "nobody.byway.test", says: [UNKNOWN_NAME, UNKNOWN_NAME, UNKNOWN_NAME, UNKNOWN_NAME], verdict: NO_SERVER },
];

/** @param {import("../lab.mjs").Lab} lab @param {Network[]} [networks] */
export function probes(lab, networks = NETWORKS) {
  for (const network of networks) {
    test(`byway probe: ${network.name}`, async (scenario) => {
      await arrange(scenario, lab, network);
      const [{ status, rows }, told] = await Promise.all([probe(lab, network, "program", "--json"), probe(lab, network, "person")]);

      assert.deepEqual(byUrl(rows), network.says);
      for (const row of rows) {
        const { ok, trouble, remedy, fault } = row;
        assert.deepEqual([ok, Boolean(remedy), Boolean(fault)], [!trouble, Boolean(trouble), Boolean(trouble)], JSON.stringify(row));
        // The cable delays each way: a step takes it twice, and a way through two allocations and
        // back four times.
        const delay = network.place?.cable?.delayMs;
        if (delay && row.binding_ms) assert.ok(row.binding_ms >= 2 * delay && row.binding_ms < 3 * delay, JSON.stringify(row));
        if (delay && row.round_trip_ms) assert.ok(row.round_trip_ms >= 4 * delay && row.round_trip_ms < 6 * delay, JSON.stringify(row));
      }
      const passedOver = rows.some(({ address }) => address) && !network.unplugged && PASSED_OVER[network.place?.families ?? "v4"];
      assert.deepEqual(told.verdict, [network.verdict, passedOver].filter(Boolean));
      const expected = rows.every(({ ok }) => ok) ? 0 : 1;
      assert.deepEqual([status, told.status], [expected, expected]);
    });
  }
}

/**
 * @param {import("node:test").TestContext} scenario
 * @param {import("../lab.mjs").Lab} lab
 * @param {Network} network
 */
async function arrange(scenario, lab, { place, unplugged, firewall, server }) {
  await lab.arrange({ a: place });
  if (unplugged) lab.network.unplug("a");
  if (firewall) {
    lab.network.run("server", "nft", `table inet firewall { chain input { type filter hook input priority 0; ${firewall} drop; }; }`);
    afterwards(scenario, () => lab.network.run("server", "nft", "flush", "ruleset"));
  }
  if (server === "none") return;
  const certificate = authority.issue(server?.name ?? CALL, server?.days);
  const { validTo } = new X509Certificate(readFileSync(certificate.cert));
  if (server?.days === 0) await eventually("the end of a certificate", () => Date.now() > Date.parse(validTo) + 1000);
  await lab.serve(scenario, { certificate });
}

/**
 * Asks after every URL.
 *
 * @param {import("../lab.mjs").Lab} lab
 * @param {Network} network
 * @param {string} user Each has a quota.
 * @param {string[]} options Without `--json` people are told.
 */
async function probe(lab, { host = CALL, secret = SECRET, distrust }, user, ...options) {
  const username = `${Math.floor(Date.now() / 1000) + 60}:${user}`;
  const password = createHmac("sha1", secret).update(username).digest("base64");
  const trusted = distrust ? [] : ["--ca", authority.file];
  const [program, ...parameters] = [...lab.network.on("client-a"), BINARY, "probe", ...urlsOf(host), "--username", username, "--password", password, ...trusted, ...options];
  const { status, printed } = await new Promise((resolve) => {
    execFile(program, parameters, (error, stdout) => resolve({ status: error ? error.code : 0, printed: stdout }));
  });
  if (options.includes("--json")) return { status, rows: JSON.parse(printed) };
  return { status, verdict: printed.split("\n\n")[1].trim().split("\n") };
}

/** Results of each URL, in the order of the command. */
function byUrl(rows) {
  const urls = [...new Set(rows.map(({ url }) => url))];
  return urls.map((url) => {
    const said = rows.filter((row) => row.url === url).map(saidOf);
    return said.length > 1 ? said : said[0];
  });
}

/** Without what differs from run to run. */
function saidOf({ trouble, relayed_address: relayed, from_peer_ms: heardMs, from_peer_not_checked: notChecked }) {
  if (trouble) return trouble.replace(relayed, "RELAYED").replace(/(?<=has no address): .*/, "").replace(/(?<=expired at ).*/, "THEN");
  if (!relayed) return BOUND;
  return heardMs === null ? `ok, but ${notChecked}` : HEARD;
}
