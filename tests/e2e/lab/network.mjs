/**
 * An internet in network namespaces: servers in public, two routers, clients behind them.
 *
 *     server 203.0.113.10     other 203.0.113.30, .31
 *        |                       |
 *     ---+------ internet: 203.0.113.0/24, 2001:db8::/64 ------+---
 *           |                            |
 *        router-a  .21                router-b  .22      a NAT each, by the rules in nat/
 *           | 192.168.1.0/24             | 192.168.2.0/24
 *        client-a  .2                 client-b  .2       on IPv4, on IPv6 or on both
 *
 * Every namespace carries the process that made it in its name: networks of several processes, and
 * several of one, stand side by side, and what one that crashed has left is removed by the next.
 * The machine's own network is not touched. All of it takes root, iproute2, nftables, conntrack,
 * and python3 for bad cables.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { isLeftover } from "../browser/leftovers.mjs";

/**
 * Kind of router; nat/ has the rules of each.
 * @typedef {"full" | "addr" | "port" | "sym" | "udpblock" | "tls443" | "offline"
 *   | "one-to-one"} Kind
 */
/** @typedef {"a" | "b"} Side */
/** @typedef {"v4" | "v6" | "dual"} Families */

/**
 * Quality of a cable, each way.
 * @typedef {object} Quality
 * @property {number} [delayMs]
 * @property {number} [lossPercent]
 * @property {number} [kbps] Kilobits per second.
 */

/** Beginnings of all addresses of an internet. @typedef {{ v4: string, v6: string }} Prefixes */

/** For examples. A server takes them for private ones, unless its configuration allows them. */
const FOR_EXAMPLES = { v4: "203.0.113.", v6: "2001:db8:" };

/** Public ones, for servers without a word about addresses in their configuration. */
export const PUBLIC = { v4: "45.0.0.", v6: "2a00:0:" };

/** Addresses of the servers. @param {Prefixes} prefixes */
export const serversIn = ({ v4, v6 }) => ({
  server: [`${v4}10`, `${v6}:10`],
  other: [`${v4}30`, `${v4}31`, `${v6}:30`, `${v6}:31`],
});

export const ADDRESSES = serversIn(FOR_EXAMPLES);

/** @param {Prefixes} prefixes */
const routersIn = ({ v4, v6 }) => [`${v4}1`, `${v6}:1`];

/** @param {Prefixes} prefixes */
const sidesIn = ({ v4, v6 }) => ({
  a: { wan: [`${v4}21`, `${v6}:21`], lan: ["192.168.1.", `${v6}a::`] },
  b: { wan: [`${v4}22`, `${v6}:22`], lan: ["192.168.2.", `${v6}b::`] },
});
/** @type {Side[]} */ const BOTH = ["a", "b"];

/**
 * A bridge's, which is otherwise that of one of its cables and changes with them, unknown to those
 * who send to it.
 */
const OWN_HARDWARE_ADDRESS = "02:00:00:00:00:01";

const PREFIX = "byway-lab-";
const NAMESPACES = "/run/netns";
/**
 * Folder of a namespace, which replaces files of /etc for processes that enter it by
 * `ip netns exec`.
 */
const ETC = "/etc/netns";
const HERE = new URL(".", import.meta.url).pathname;

let count = 0;

export class Network {
  #prefix = `${PREFIX}${process.pid}-${(count += 1)}-`;
  /** Networks that `lay` built and nothing has changed since. @type {Map<Side, string>} */
  #laid = new Map();
  /** Ends of bad cables. @type {Map<string, { end: () => Promise<unknown> | false }>} */
  #carriers = new Map();
  #servers;
  /** Ways out of this internet. */
  #routers;
  #sides;

  /**
   * Both routers are port-restricted cones at first, and both clients on IPv4.
   *
   * @param {Record<string, string[]>} names What every node knows of names: their addresses.
   * @param {object} [internet]
   * @param {Prefixes} [internet.prefixes]
   * @param {string} [internet.resolver] Name server of all other names. Nobody answers on loopback,
   *   and the kernel says so at once: an unreachable one takes a `turns:` name 13 s instead.
   * @param {Record<string, string[]>} [internet.servers] Public nodes and their addresses.
   */
  constructor(names = {}, { prefixes = FOR_EXAMPLES, resolver = "127.0.0.1", servers = serversIn(prefixes) } = {}) {
    [this.#servers, this.#routers, this.#sides] = [servers, routersIn(prefixes), sidesIn(prefixes)];
    removeLeftovers();
    try {
      this.#build(names, resolver);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /**
   * Words before a command that make it run on a node such as `client-a`.
   * @param {string} node
   */
  on(node) {
    return ["ip", "netns", "exec", this.#prefix + node];
  }

  /** Network namespace of a node. @param {string} node */
  namespace(node) {
    return `${NAMESPACES}/${this.#prefix}${node}`;
  }

  /**
   * Runs a command on a node and gives what it prints.
   * @param {string} node
   * @param {string[]} command
   */
  run(node, ...command) {
    const [program, ...parameters] = [...this.on(node), ...command];
    return execFileSync(program, parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  /**
   * Plugs a client in and lays its router's cable, but for what is there as it is to be.
   *
   * @param {Side} side
   * @param {{ router?: Side, families?: Families, cable?: Quality }} where
   */
  async lay(side, { cable, ...where }) {
    const wanted = JSON.stringify({ cable, ...where });
    if (this.#laid.get(side) === wanted) return;
    this.plug(side, where);
    await this.cable(side, cable);
    this.#laid.set(side, wanted);
  }

  /**
   * Makes a router one of a kind, which has translated nothing yet.
   * @param {Side} side
   * @param {Kind} kind
   */
  nat(side, kind) {
    const client = `client=${this.#sides[side].lan[0]}2`;
    this.run(`router-${side}`, "nft", "-I", `${HERE}nat`, "-D", client, "-f", `${HERE}nat/${kind}.nft`);
    this.forgetMappings(side);
  }

  /**
   * As a router does that was restarted: it translates everything again.
   * @param {Side} side
   * @param {"udp"} [protocol] Only its own.
   */
  forgetMappings(side, protocol) {
    this.run(`router-${side}`, "conntrack", ...(protocol ? ["--delete", "--proto", protocol] : ["--flush"]));
  }

  /**
   * Plugs a client into a router, its own unless another is named; it leaves the one before.
   *
   * @param {Side} client
   * @param {{ router?: Side, families?: Families }} [where]
   */
  plug(client, { router = client, families = "v4" } = {}) {
    this.unplug(client);
    const node = `client-${client}`;
    const [v4, v6] = this.#sides[router].lan;
    // The second one in a home has an address of its own.
    const host = router === client ? 2 : 3;
    this.#ip(`router-${router}`, `link add ${node} type veth peer name eth0 netns ${this.#prefix}${node}`,
      `link set ${node} master lan`, `link set ${node} up`);
    this.#set(node, { "ipv6/conf/eth0/disable_ipv6": families === "v4" });
    this.#ip(node, "link set eth0 up",
      ...(families === "v6" ? [] : [`address add ${v4}${host}/24 dev eth0`, `route add default via ${v4}1`]),
      ...(families === "v4" ? [] : [`address add ${v6}${host}/64 dev eth0`, `route add default via ${v6}1`]));
  }

  /** @param {Side} client */
  unplug(client) {
    this.#laid.delete(client);
    this.#cut(`client-${client}`, "eth0");
  }

  /**
   * Gives a node another IPv4 address in its network, as DHCP and providers do, and returns it.
   * Translations of a router are lost with the one before.
   *
   * @param {string} node
   * @returns {string}
   */
  renumber(node) {
    this.#laid.delete(/** @type {Side} */ (node.at(-1)));
    const device = node.startsWith("router") ? "wan" : "eth0";
    const [{ addr_info: [{ local }] }] = JSON.parse(this.run(node, "ip", "-json", "-4", "address", "show", "dev", device));
    const [{ gateway }] = JSON.parse(this.run(node, "ip", "-json", "-4", "route", "show", "default"));
    const other = local.replace(/\d+$/, (host) => String((Number(host) + 50) % 100));
    this.#ip(node, `address delete ${local}/24 dev ${device}`, `address add ${other}/24 dev ${device}`, `route add default via ${gateway}`);
    return other;
  }

  /**
   * Whether a server knows a way to more than its neighbours; without one, sending there fails with
   * ENETUNREACH.
   * @param {string} node
   * @param {boolean} known
   */
  route(node, known) {
    this.#ip(node, ...this.#routers.map((address) => `route ${known ? "add" : "delete"} default via ${address}`));
  }

  /**
   * Puts a cable between a router and the internet: a perfect one, or of this quality. What the
   * router has translated is lost with the one before.
   *
   * @param {Side} side
   * @param {Quality} [quality]
   */
  async cable(side, quality) {
    this.#laid.delete(side);
    const router = `router-${side}`;
    await this.#carriers.get(side)?.end();
    this.#carriers.delete(side);
    this.#cut("internet", router);
    if (quality) await this.#carry(side, [`${router}:wan`, `internet:${router}`], quality);
    else this.#ip("internet", `link add ${router} type veth peer name wan netns ${this.#prefix}${router}`);
    this.#reconnect(side);
  }

  /**
   * Puts a cable between a public node and the internet: a perfect one, or of this quality. The
   * node keeps its addresses and its connections.
   *
   * @param {string} node
   * @param {Quality} [quality]
   */
  async serverCable(node, quality) {
    // Neighbours believe in a hardware address for seconds.
    const [{ address }] = JSON.parse(this.run(node, "ip", "-json", "link", "show", "eth0"));
    await this.#carriers.get(node)?.end();
    this.#carriers.delete(node);
    this.#cut("internet", node);
    if (quality) await this.#carry(node, [`${node}:eth0`, `internet:${node}`], quality);
    else this.#ip("internet", `link add ${node} type veth peer name eth0 netns ${this.#prefix}${node}`);
    this.#ip("internet", `link set ${node} master bridge`, `link set ${node} up`);
    this.#ip(node, `link set eth0 address ${address}`);
    this.#join(node, "eth0", this.#servers[node]);
  }

  /**
   * Drops packets between public nodes on their way, so that neither end learns of it. It replaces
   * the rules before.
   * @param {string[]} packets In the words of nftables.
   */
  drop(...packets) {
    const rules = packets.map((packet) => `${packet} drop;`).join(" ");
    this.run("internet", "nft", `table bridge cut; delete table bridge cut; table bridge cut { chain forward { type filter hook forward priority 0; ${rules} }; }`);
  }

  /**
   * Replaces the names that a node knows, and their addresses.
   * @param {string} node
   * @param {Record<string, string[]>} names
   */
  name(node, names) {
    writeFileSync(`${ETC}/${this.#prefix}${node}/hosts`, hostsFile(names));
  }

  /** All of it, with every process that runs there. */
  remove() {
    for (const carrier of this.#carriers.values()) carrier.end();
    removeNamespaces((name) => name.startsWith(this.#prefix));
  }

  /** @param {Record<string, string[]>} names @param {string} resolver */
  #build(names, resolver) {
    for (const node of ["internet", ...Object.keys(this.#servers), ...BOTH.flatMap((side) => [`router-${side}`, `client-${side}`])]) {
      const etc = `${ETC}/${this.#prefix}${node}`;
      mkdirSync(etc, { recursive: true });
      writeFileSync(`${etc}/hosts`, hostsFile(names));
      writeFileSync(`${etc}/resolv.conf`, `nameserver ${resolver}\n`);
      execFileSync("ip", ["netns", "add", this.#prefix + node]);
      this.#ip(node, "link set lo up");
      this.#set(node, { "ipv6/conf/all/accept_dad": 0, "ipv6/conf/default/accept_dad": 0 });
    }
    this.#buildInternet();
    for (const node of Object.keys(this.#servers)) {
      this.#ip("internet", `link add ${node} type veth peer name eth0 netns ${this.#prefix}${node}`,
        `link set ${node} master bridge`, `link set ${node} up`);
      this.#join(node, "eth0", this.#servers[node]);
    }
    for (const side of BOTH) {
      const router = `router-${side}`;
      this.#set(router, { "ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1 });
      const [v4, v6] = this.#sides[side].lan;
      this.#ip(router, `link add lan address ${OWN_HARDWARE_ADDRESS} type bridge`,
        `address add ${v4}1/24 dev lan`, `address add ${v6}1/64 dev lan`, "link set lan up");
      this.#ip("internet", `link add ${router} type veth peer name wan netns ${this.#prefix}${router}`);
      this.#reconnect(side);
      this.nat(side, "port");
      this.plug(side);
    }
  }

  /**
   * Datagrams to unknown addresses of this internet disappear there, as it does in the real one.
   * Without a route at all, sending to it would fail at the sender, which no server sees of
   * another's private addresses.
   */
  #buildInternet() {
    this.#set("internet", { "ipv6/conf/all/forwarding": 1 });
    const addresses = this.#routers.map((address) => `address add ${withLength(address)} dev bridge`);
    this.#ip("internet", `link add bridge address ${OWN_HARDWARE_ADDRESS} type bridge`, ...addresses, "link set bridge up",
      "route add blackhole default", "route add blackhole ::/0");
  }

  /** The router's end of a new cable. @param {Side} side */
  #reconnect(side) {
    const router = `router-${side}`;
    const { wan, lan } = this.#sides[side];
    // The end that was there before had another hardware address, which the internet believes in
    // for seconds.
    this.#ip("internet", `link set ${router} master bridge`, `link set ${router} up`, `route replace ${lan[1]}/64 via ${wan[1]}`,
      "neighbour flush dev bridge");
    this.#join(router, "wan", wan);
  }

  /** @param {string} node @param {string} device @param {string[]} addresses */
  #join(node, device, addresses) {
    this.#ip(node, ...addresses.map((address) => `address add ${withLength(address)} dev ${device}`), `link set ${device} up`,
      ...this.#routers.filter((router) => addresses.some((address) => isV6(address) === isV6(router))).map((address) => `route add default via ${address}`));
  }

  /**
   * A process that carries the frames of a cable.
   * @param {string} cable A side, or a public node.
   * @param {string[]} ends Each a node and its device.
   * @param {Quality} quality
   */
  async #carry(cable, ends, { delayMs = 0, lossPercent = 0, kbps = 0 }) {
    const parameters = [...ends.map((end) => this.#prefix + end), ...[delayMs, lossPercent, kbps].map(String)];
    const carrier = spawn("python3", [`${HERE}cable.py`, ...parameters], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(carrier, "exit");
    this.#carriers.set(cable, { end: () => carrier.kill() && ended });
    const ready = once(createInterface(carrier.stdout), "line");
    await Promise.race([ready, ended.then(([code]) => Promise.reject(new Error(`cable.py ended with ${code}`)))]);
  }

  /**
   * Deletes a device, if it is there, and with it the other end.
   * @param {string} node
   * @param {string} device
   */
  #cut(node, device) {
    try {
      this.#ip(node, `link delete ${device}`);
    } catch {
      // It was not there: the first cable, or a TAP that went with its process.
    }
  }

  /** Commands of `ip` on a node. @param {string} node @param {string[]} commands */
  #ip(node, ...commands) {
    execFileSync("ip", ["-n", this.#prefix + node, "-batch", "-"], { input: commands.join("\n"), stdio: ["pipe", "pipe", "pipe"] });
  }

  /**
   * Settings of a node's kernel, below /proc/sys/net.
   * @param {string} node
   * @param {Record<string, number | boolean>} settings
   */
  #set(node, settings) {
    const lines = Object.entries(settings).map(([path, value]) => `echo ${Number(value)} > /proc/sys/net/${path}`);
    this.run(node, "sh", "-c", lines.join(" && "));
  }
}

/** @param {string} address */
const isV6 = (address) => address.includes(":");

/** @param {string} address */
const withLength = (address) => `${address}/${isV6(address) ? 64 : 24}`;

/**
 * Chromium asks with a full stop at the end for the UDP address of a TURN server, which a resolver
 * of names takes off.
 * @param {Record<string, string[]>} names
 */
const hostsFile = (names) => Object.entries({ localhost: ["127.0.0.1", "::1"], ...names })
  .flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name} ${name}.\n`)).join("");

/** Removes what networks of ended processes have left. */
function removeLeftovers() {
  removeNamespaces((name) => isLeftover(name, PREFIX));
}

/** @param {(name: string) => boolean} chosen */
function removeNamespaces(chosen) {
  const present = (folder) => (existsSync(folder) ? readdirSync(folder).filter(chosen) : []);
  for (const name of present(NAMESPACES)) {
    try {
      removeNamespace(name);
    } catch (error) {
      // Two may find the same leftovers; the other one was faster.
      if (existsSync(`${NAMESPACES}/${name}`)) throw error;
    }
  }
  for (const name of present(ETC)) rmSync(`${ETC}/${name}`, { recursive: true, force: true });
}

/** Deleting one ends none of its processes. @param {string} name */
function removeNamespace(name) {
  const ip = (...parameters) => execFileSync("ip", parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  for (const pid of ip("netns", "pids", name).split(/\s+/).filter(Boolean)) kill(Number(pid));
  ip("netns", "delete", name);
}

/** @param {number} pid */
function kill(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
