/**
 * Three nodes and Debian's `nats-server` on an internet of their own, with a caller behind a NAT at
 * each of two nodes.
 *
 *     broker 10.0.0.40
 *        |   a network of the operator's own, 10.0.0.0/24
 *     ---+--+-----------+-----------+---
 *        fra .11     nyc .12     sgp .13       the same machines in public: 203.0.113.0/24
 *         |           |           |
 *     ----+-----------+-----------+--- ... routers, callers a and b; visitor 203.0.113.41
 *
 * One name leads to all nodes. Each client knows their addresses in an order of its own, as where a
 * geographic DNS answers: a browser takes the first one that accepts.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { afterwards } from "../browser/afterwards.mjs";
import { authority, launchChromium } from "../browser/browsers.mjs";
import { eventually } from "../browser/eventually.mjs";
import { start } from "../browser/server.mjs";
import { Network } from "../lab/network.mjs";

/** Name of the service. */
export const CALL = "call.byway.test";

/** The node of the first caller, that of the second one, and the owner of their room. */
export const [FRA, NYC, SGP] = /** @type {const} */ (["fra", "nyc", "sgp"]);
/** @typedef {"fra" | "nyc" | "sgp"} NodeName */
/** @type {NodeName[]} */ export const NODES = [FRA, NYC, SGP];

/** Last parts of addresses, in public and on the operator's own network. */
const HOSTS = { [FRA]: 11, [NYC]: 12, [SGP]: 13, broker: 40, visitor: 41 };
/** Public address of a node. @param {string} node */
export const inPublic = (node) => `203.0.113.${HOSTS[node]}`;
const onBus = (/** @type {string} */ node) => `10.0.0.${HOSTS[node]}`;

/** Public address of the first caller's router. */
const FIRST_CALLER = "203.0.113.21";

/**
 * Nodes in the order in which each client knows them.
 * @type {Record<string, NodeName[]>}
 */
const ORDERS = { "client-a": [FRA, SGP, NYC], "client-b": [NYC, SGP, FRA], visitor: [SGP, NYC, FRA] };
/** @typedef {keyof ORDERS} Client */

/** Longest time for nodes to know each other again, or to notice that they do not. */
const NOTICED_MS = 20_000;

const SERVERS = Object.fromEntries(Object.keys(HOSTS).map((node) => [node, [inPublic(node), onBus(node)]]));

export class Cluster {
  network = new Network({}, { servers: SERVERS });
  /** @type {Map<NodeName, Awaited<ReturnType<typeof start>>>} */ #nodes = new Map();
  /** @type {Map<string, import("playwright-core").Browser>} */ #browsers = new Map();
  #certificate = authority.issue(CALL);
  #folder = mkdtempSync(join(tmpdir(), "byway-broker-"));
  /** @type {import("node:child_process").ChildProcess | undefined} */ #broker;
  #regions;
  #delayMs = 0;
  #rooms = 0;

  /**
   * @param {object} [options]
   * @param {Partial<Record<NodeName, string>>} [options.regions] Regions of the nodes. Without
   *   them, pages have nothing to choose from, and each gets the relay of its own node.
   */
  constructor({ regions = {} } = {}) {
    this.#regions = regions;
  }

  /**
   * Switches everything on, for as long as the story goes on.
   * @param {import("node:test").TestContext} story
   */
  async open(story) {
    afterwards(story, () => {
      this.network.remove();
      rmSync(this.#folder, { recursive: true });
      authority.forget();
    });
    for (const [client, order] of Object.entries(ORDERS)) this.network.name(client, { [CALL]: order.map(inPublic) });
    afterwards(story, () => this.killBroker());
    await this.startBroker();
    afterwards(story, () => Promise.all([...this.#nodes.values()].map((node) => node.stop())));
    await Promise.all(NODES.map((node) => this.start(node)));
    afterwards(story, () => Promise.all([...this.#browsers.values()].map((browser) => browser.close())));
    await Promise.all(Object.keys(ORDERS).map(async (client) => {
      this.#browsers.set(client, await launchChromium({ on: this.network.on(client), windows: false }));
    }));
    await this.whole();
  }

  /** @param {Client} client */
  browser(client) {
    return this.#browsers.get(client);
  }

  /** Lines of the nodes since this time, for a scenario that fails. @param {number} since */
  logs(since) {
    const from = new Date(since).toISOString();
    return [...this.#nodes].flatMap(([name, { log }]) => log.filter((line) => line > from).map((line) => `${name} ${line}`)).sort((a, b) => a.slice(4).localeCompare(b.slice(4))).join("; ");
  }

  // --- Faults ---

  /** @param {NodeName} node */
  async start(node) {
    this.#nodes.set(node, await start(configuration(node, this.#certificate, this.#regions[node]), this.network.on(node)));
  }

  /** Kills a node, as a power cut would. @param {NodeName} node */
  async kill(node) {
    await this.#nodes.get(node).stop();
    this.#nodes.delete(node);
  }

  /** Tells a node to drain. @param {NodeName} node */
  drain(node) {
    this.#nodes.get(node).terminate();
  }

  /** Waits until a node that drains has ended. @param {NodeName} node */
  async drained(node) {
    await this.#nodes.get(node).ended;
    await this.kill(node);
  }

  async startBroker() {
    if (this.#runs()) return;
    const file = join(this.#folder, "nats.conf");
    writeFileSync(file, `listen: "${onBus("broker")}:4222"\n`);
    const [program, ...parameters] = [...this.network.on("broker"), "nats-server", "-c", file];
    const broker = spawn(program, parameters, { stdio: ["ignore", "ignore", "pipe"] });
    this.#broker = broker;
    for await (const line of createInterface(broker.stderr)) if (line.includes("Server is ready")) break;
    broker.stderr.resume();
  }

  async killBroker() {
    if (!this.#runs()) return;
    const ended = once(this.#broker, "exit");
    this.#broker.kill("SIGKILL");
    await ended;
  }

  #runs() {
    return this.#broker && this.#broker.exitCode === null && !this.#broker.signalCode;
  }

  /** Takes a node off the broker's network. @param {NodeName} node */
  cutFromBroker(node) {
    this.network.drop(`ip saddr ${onBus(node)}`, `ip daddr ${onBus(node)}`);
  }

  /** Takes the first caller's node off everything but that caller. */
  cutFromAllButItsCaller() {
    const [own, bus] = [inPublic(FRA), onBus(FRA)];
    this.network.drop(`ip saddr ${bus}`, `ip daddr ${bus}`, `ip saddr ${own} ip daddr != ${FIRST_CALLER}`, `ip daddr ${own} ip saddr != ${FIRST_CALLER}`);
  }

  /** Undoes both. */
  connect() {
    this.network.drop();
  }

  /** Delays messages between nodes. @param {number} ms */
  async delayBus(ms) {
    if (ms === this.#delayMs) return;
    this.#delayMs = ms;
    await this.network.serverCable("broker", ms ? { delayMs: ms / 2 } : undefined);
  }

  /** Everything is as it was before any fault. */
  async mend() {
    this.connect();
    await this.delayBus(0);
    await this.startBroker();
    await Promise.all(NODES.filter((node) => !this.#nodes.has(node)).map((node) => this.start(node)));
    await this.whole();
  }

  // --- State ---

  /** Waits until all nodes run and know each other. */
  async whole() {
    await Promise.all(NODES.map((node) => this.knows(node, { live: NODES.length - 1 })));
  }

  /**
   * Waits until a node has found these numbers of others in these states.
   *
   * @param {NodeName} node
   * @param {Partial<Record<"live" | "suspect" | "dead", number>>} presences
   */
  async knows(node, presences) {
    const [names, wanted] = [Object.keys(presences), Object.values(presences)];
    const series = names.map((presence) => `byway_cluster_nodes{presence="${presence}"}`);
    await eventually(`${node} finds ${JSON.stringify(presences)}`, async () => {
      const counts = await this.#nodes.get(node).metrics(...series);
      return counts.every((count, index) => count === wanted[index]) || null;
    }, NOTICED_MS);
  }

  /** A room that nobody has been in, and of which this node is the owner. @param {NodeName} node */
  roomOf(node) {
    for (;;) {
      const room = `tea-${(this.#rooms += 1)}`;
      if (ownerOf(room) === node) return room;
    }
  }

  /** Node that has a client's connections to the service. @param {Client} client */
  homeOf(client) {
    const address = { "client-a": FIRST_CALLER, "client-b": "203.0.113.22", visitor: inPublic("visitor") }[client];
    const homes = NODES.filter((node) => this.network.run(node, "ss", "-Htn", "state", "established", "sport", "=", ":443", "and", "dst", address).trim());
    return homes.join(" and ");
  }
}

/**
 * Owner of a room while all nodes live: the node with the largest hash, as the nodes choose it.
 * @param {string} room
 */
function ownerOf(room) {
  const weight = (/** @type {string} */ node) => createHash("sha1").update(`${node}\n${room}`).digest("hex").slice(0, 16);
  return NODES.reduce((best, node) => (weight(node) > weight(best) ? node : best));
}

/**
 * Calls may end for 5 s once a node is stopped. Peers in ranges that are kept for examples, as this
 * internet's are, have to be allowed.
 *
 * @param {NodeName} node
 * @param {{ cert: string, key: string }} certificate
 * @param {string} [region]
 */
const configuration = (node, { cert, key }, region = "") => `
realm = "byway.test"
[listen]
udp = ["${inPublic(node)}:3478"]
tcp = ["${inPublic(node)}:3478"]
tls = ["${inPublic(node)}:443"]
http = []
admin = ["127.0.0.1:9090"]
[tls]
cert = "${cert}"
key = "${key}"
[relay]
addresses = ["${inPublic(node)}"]
drain = "${DRAIN_S}s"
[credentials]
secrets = ["a-secret-of-all-nodes"]
[peers]
allow = ["203.0.113.0/24"]
[ice]
open_to_everyone = true
[cluster]
nats = ["nats://${onBus("broker")}:4222"]
node = "${node}"
region = "${region}"
advertise = ["stun:${inPublic(node)}:3478", "turn:${inPublic(node)}:3478?transport=udp", "turn:${inPublic(node)}:3478?transport=tcp"]
`;

/** Time that a node lets calls end. */
export const DRAIN_S = 5;
