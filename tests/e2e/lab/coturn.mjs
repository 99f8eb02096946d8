/**
 * coturn, as a measure of what a relay can be expected to do.
 *
 * It is as Debian ships it and as its own turnserver.conf recommends: threads, ports and lifetimes
 * by default, a quiet log, and what is "strongly encouraged" there. Like ours it relays into no
 * private network.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterwards } from "../browser/afterwards.mjs";
import { authority } from "../browser/browsers.mjs";
import { eventually } from "../browser/eventually.mjs";

/**
 * Starts it on the node of other servers, for as long as the scenario goes on.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {object} options
 * @param {import("./network.mjs").Network} options.network
 * @param {string} options.name Which its certificate is for.
 * @param {string[]} options.addresses Where it listens, on 3478 and with TLS on 443, and relays.
 * @param {string} options.secret
 * @param {string[]} [options.peers] Ranges of IPv4 that may be relayed to, besides the internet.
 */
export async function startCoturn(scenario, { network, name, addresses, secret, peers = [] }) {
  const folder = mkdtempSync(join(tmpdir(), "byway-coturn-"));
  const file = join(folder, "turnserver.conf");
  writeFileSync(file, configuration({ folder, addresses, secret, peers, certificate: authority.issue(name) }));
  const [program, ...parameters] = [...network.on(NODE), "turnserver", "-c", file];
  const child = spawn(program, parameters, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (log += text));
  afterwards(scenario, async () => {
    child.kill("SIGKILL");
    await ended;
    rmSync(folder, { recursive: true });
  });
  await eventually("coturn listens everywhere", () => {
    if (child.exitCode !== null) throw new Error(`coturn ended with ${child.exitCode}; its log:\n${log}`);
    return listens(network, addresses);
  });
}

const NODE = "other";
const PORTS = [3478, 443];

/**
 * No line of its log comes after the last of its sockets: each of its threads has some of its own.
 */
function listens(network, addresses) {
  const bound = network.run(NODE, "ss", "-Hltun").split("\n").map((line) => line.split(/\s+/)).map(([protocol, , , , local]) => `${protocol} ${local}`);
  const sockets = addresses.flatMap((address) => PORTS.map((port) => `${address.includes(":") ? `[${address}]` : address}:${port}`));
  return ["udp", "tcp"].every((protocol) => sockets.every((socket) => bound.includes(`${protocol} ${socket}`)));
}

const configuration = ({ folder, addresses, secret, peers, certificate }) => `
realm=byway.test
use-auth-secret
static-auth-secret=${secret}
fingerprint
listening-port=${PORTS[0]}
tls-listening-port=${PORTS[1]}
${lines("listening-ip", addresses)}
${lines("relay-ip", addresses)}
cert=${certificate.cert}
pkey=${certificate.key}
no-cli
no-rfc5780
no-stun-backward-compatibility
response-origin-only-with-rfc5780
no-multicast-peers
${lines("denied-peer-ip", PRIVATE)}
${lines("allowed-peer-ip", peers.map(fromTo))}
userdb=${folder}/users
pidfile=${folder}/pid
log-file=stdout
`;

const lines = (key, values) => values.map((value) => `${key}=${value}`).join("\n");

/** RFC 1918, RFC 3927, RFC 4193 and RFC 4291 section 2.5.6. Loopback is closed by itself. */
const PRIVATE = [
  "10.0.0.0-10.255.255.255",
  "172.16.0.0-172.31.255.255",
  "192.168.0.0-192.168.255.255",
  "169.254.0.0-169.254.255.255",
  "fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
  "fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

/** Its way to write a range such as 192.168.2.0/24. @param {string} range */
function fromTo(range) {
  const [address, length = "32"] = range.split("/");
  const size = 2 ** (32 - Number(length));
  const number = address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const first = number - (number % size);
  return [first, first + size - 1].map((end) => [24, 16, 8, 0].map((shift) => (end >>> shift) & 255).join(".")).join("-");
}
