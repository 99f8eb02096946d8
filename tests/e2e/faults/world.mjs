/**
 * A small internet with one installation of Byway: a machine with its own systemd, an operator who
 * makes mistakes, a visitor behind a NAT, and a server elsewhere that looks at it from outside.
 */
import { createHmac } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";

import { afterwards } from "../browser/afterwards.mjs";
import { authority } from "../browser/browsers.mjs";
import { nginxWithTls } from "../browser/nginx.mjs";
import { BINARY, start } from "../browser/server.mjs";
import { UNREACHABLE } from "../browser/visit.mjs";
import { Lab } from "../lab/lab.mjs";
import { Network, PUBLIC, serversIn } from "../lab/network.mjs";
import { Machine, run } from "../vps/machine.mjs";
import { toml } from "./configuration.mjs";

const ADDRESSES = serversIn(PUBLIC);
const [OUTSIDE, NOBODY] = ADDRESSES.other;

/** Names of the server, of one behind a 1:1 NAT, of one elsewhere, and of a machine without one. */
export const [NAME, CLOUD, BEYOND, ELSEWHERE] = ["call.example.org", "cloud.example.org", "beyond.example.org", "elsewhere.example.org"];
const NAMES = { [NAME]: ADDRESSES.server, [CLOUD]: [`${PUBLIC.v4}22`], [BEYOND]: [OUTSIDE], [ELSEWHERE]: [NOBODY] };

/** A room on its page. */
export const ROOM = `https://${NAME}/?room=tea`;

/** Secrets of the server, and of the one elsewhere. */
const [SECRET, SECRET_BEYOND] = ["a-secret-of-the-server-under-test", "a-secret-of-the-server-elsewhere"];

const [CONFIGURATION, CHAIN, KEY] = ["/etc/byway/turnserver.toml", "/etc/byway/chain.pem", "/etc/byway/key.pem"];
const DROP_IN = "/etc/systemd/system/byway.service.d/fault.conf";
const CLOCK = "/usr/local/lib/libfaketime.so.1";

/** Lines of the journal that the server has written, and the least severe of those that count. */
const [OF_SERVER, WARNING] = ["_SYSTEMD_UNIT=byway.service", 4];

const FILES = new URL("../../../", import.meta.url).pathname;

/** @typedef {{ cert: string, key: string }} Certificate */

export class World {
  network = new Network(NAMES, { prefixes: PUBLIC });
  lab = new Lab(this.network);
  /** @type {Machine} */ machine;
  /** Undoes what a fault changed, in the reverse order. @type {(() => unknown)[]} */ #undo = [];
  #sound = authority.issue(NAME);
  /** Place in the journal at which the present fault begins. */
  #cursor = "";

  /**
   * Switches everything on, for as long as the story goes on.
   * @param {import("node:test").TestContext} story
   */
  async open(story) {
    afterwards(story, () => authority.forget());
    afterwards(story, () => this.lab.close());
    await this.lab.arrange({ a: { families: "dual" } });
    const machine = new Machine(process.env.BARE_SERVER, {
      namespace: this.network.namespace("server"),
      resolver: "127.0.0.1",
      forget: () => this.network.run("server", "nft", "flush", "ruleset"),
      trusted: [authority.file],
    });
    this.machine = machine;
    afterwards(story, () => machine.scrap());
    machine.write("/etc/hosts", ["127.0.0.1 localhost vps", "::1 localhost", ...Object.entries(NAMES)
      .flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}`))].join("\n") + "\n");
    machine.place(BINARY, "/usr/bin/byway", 0o755);
    machine.place(`${FILES}systemd/byway.service`, "/usr/lib/systemd/system/byway.service");
    machine.place(`${FILES}systemd/sysusers.conf`, "/usr/lib/sysusers.d/byway.conf");
    machine.place(`${FILES}systemd/sysctl.conf`, "/usr/lib/sysctl.d/60-byway.conf");
    machine.place(libfaketime(), CLOCK);
    await machine.boot();
    // A machine has these from its start. Here the network's kernel settings are out of its reach.
    for (const node of ["server", "client-b"]) this.network.run(node, "sysctl", "--quiet", "--write", "net.ipv4.ip_local_reserved_ports=49152-65535");
    await machine.run("systemd-sysusers");
    await this.#write(configuration({}));
    await this.#install(this.#sound);
    await machine.run("systemctl", "start", "byway");

    const beyond = await start(configuration({
      realm: BEYOND, "listen.udp": [`${OUTSIDE}:3478`], "listen.tcp": [`${OUTSIDE}:3478`], "listen.tls": [], "listen.http": ["127.0.0.1:8080"],
      "listen.admin": ["127.0.0.1:9090"], "tls.cert": "", "tls.key": "", "relay.addresses": [OUTSIDE], "credentials.secrets": [SECRET_BEYOND],
    }), this.network.on("other"));
    afterwards(story, () => beyond.stop());
  }

  /** Begins a fault: what the log says from now on is about it. */
  async begin() {
    // Of the same lines as below: otherwise journalctl skips the first one of them.
    const said = await this.machine.run("journalctl", OF_SERVER, "--lines=0", "--show-cursor");
    this.#cursor = /cursor: (.*)/.exec(said)?.[1] ?? "";
  }

  /** Everything is as it was before the fault. */
  async restore() {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }

  /** Has something undone after the fault. @param {() => unknown} undo */
  undo(undo) {
    this.#undo.push(undo);
  }

  // --- Faults of the network ---

  /**
   * Drops what comes to the machine from outside, as a provider's firewall does.
   * @param {string} packets In the words of nftables.
   */
  block(packets) {
    this.network.run("server", "nft", `table inet provider { chain input { type filter hook input priority 0; iifname eth0 ${packets} drop; }; }`);
    this.undo(() => this.network.run("server", "nft", "flush", "ruleset"));
  }

  /** The machine loses its IPv6 address, which its name still has. */
  loseIpv6() {
    const [, address] = ADDRESSES.server;
    this.network.run("server", "ip", "-6", "address", "delete", `${address}/64`, "dev", "eth0");
    this.undo(() => {
      this.network.run("server", "ip", "-6", "address", "add", `${address}/64`, "dev", "eth0");
      this.network.run("server", "ip", "-6", "route", "replace", "default", "via", `${PUBLIC.v6}:1`);
    });
  }

  // --- Faults of the installation ---

  /** Settings that differ, in force after a restart. @param {Settings} settings */
  async configure(settings) {
    await this.#write(configuration(settings));
    this.undo(() => this.#write(configuration({})));
    await this.restart();
  }

  /** Settings that differ, of which the server has not been told. @param {Settings} settings */
  async edit(settings) {
    await this.#write(configuration(settings));
    this.undo(() => this.#write(configuration({})));
  }

  /** A line of the configuration that an operator mistyped. @param {string} line */
  async mistype(line) {
    await this.#write(configuration({}) + line + "\n");
    this.undo(() => this.#write(configuration({})));
    await this.restart();
  }

  /**
   * Another certificate, in force.
   * @param {Certificate & { isAlone?: boolean }} certificate
   */
  async certify(certificate) {
    this.undo(async () => this.#install(this.#sound));
    await this.#install(certificate);
    await this.restart();
  }

  /** The key belongs to root alone, as certbot leaves it. */
  async hideKey() {
    await this.machine.run("chown", "root:root", KEY);
    this.undo(() => this.machine.run("chown", "byway:byway", KEY));
    await this.restart();
  }

  /** Lines of a drop-in for the service. @param {string[]} lines */
  async override(...lines) {
    this.machine.write(DROP_IN, ["[Service]", ...lines, ""].join("\n"));
    this.undo(async () => {
      await this.machine.run("rm", DROP_IN);
      await this.machine.run("systemctl", "daemon-reload");
    });
    await this.machine.run("systemctl", "daemon-reload");
    await this.restart();
  }

  /** The clock of the server is off. @param {string} by Such as "+2h". */
  misset(by) {
    return this.override(`Environment=LD_PRELOAD=${CLOCK} FAKETIME=${by} FAKETIME_DONT_FAKE_MONOTONIC=1`);
  }

  /** Another program of the machine has a TCP port before the server. @param {number} port */
  async occupy(port) {
    await this.machine.run("systemctl", "stop", "byway");
    const program = `use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => ${port}, Listen => 5, ReuseAddr => 1) or die $!; accept(my $c, $s) while 1`;
    await this.machine.run("systemd-run", "--unit=web", "--service-type=exec", "perl", "-e", program);
    this.undo(() => this.machine.run("systemctl", "stop", "web"));
    await this.machine.try("sh", "-c", `until ss -Hltn 'sport = :${port}' | grep -q .; do :; done`);
    await this.restart();
  }

  /** The server is stopped. */
  async stop() {
    this.undo(this.#sane);
    await this.machine.run("systemctl", "stop", "byway");
  }

  /** The reader of the log is gone. */
  async closeLog() {
    const units = ["systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald.service"];
    this.undo(this.#sane);
    this.undo(() => this.machine.run("systemctl", "start", ...units));
    await this.machine.run("systemctl", "stop", ...units);
    // A line that nobody reads.
    await this.machine.try("byway", "reload");
  }

  /**
   * A reverse proxy has port 443, configured with a mistake.
   * @param {(block: string) => string} alter
   */
  async proxy(alter) {
    const behind = { "listen.tls": [], "listen.http": ["127.0.0.1:8080"], "tls.cert": "", "tls.key": "", "http.hosts": [NAME] };
    await this.configure(behind);
    this.undo(await nginxWithTls(this.network.on("server"), this.#sound, alter));
  }

  /** Restarts the server, also where it does not start. */
  async restart() {
    // The last of all undoes: the server runs with what the others have put back.
    if (!this.#undo.includes(this.#sane)) this.#undo.unshift(this.#sane);
    await this.machine.try("systemctl", "restart", "byway");
  }

  #sane = () => this.machine.run("systemctl", "restart", "byway");

  /**
   * A server on a private address, behind a 1:1 NAT.
   * @param {import("node:test").TestContext} scenario
   */
  async cloud(scenario) {
    await this.lab.arrange({ a: { families: "dual" }, b: { nat: "one-to-one" } });
    const certificate = authority.issue(CLOUD);
    const server = await start(configuration({ realm: CLOUD, "listen.admin": ["127.0.0.1:9090"], "tls.cert": certificate.cert, "tls.key": certificate.key }), this.network.on("client-b"));
    this.undo(() => server.stop());
    return server;
  }

  /**
   * Two people are in a room for two.
   * @param {import("node:test").TestContext} scenario
   */
  async fillRoom(scenario) {
    await this.configure({ "signaling.max_members": 2 });
    for (let member = 0; member < 2; member += 1) {
      const page = await this.lab.join(scenario, "a", ROOM, { tolerated: UNREACHABLE });
      this.undo(() => page.context().close());
    }
  }

  // --- What is asked ---

  /** Lines of the server since the fault began, warnings and errors. */
  async log() {
    const said = await this.machine.run("journalctl", OF_SERVER, `--after-cursor=${this.#cursor}`, "--output=json", "--no-pager");
    const lines = said.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    return lines.filter((line) => Number(line.PRIORITY) <= WARNING).map((line) => line.MESSAGE);
  }

  /** `byway doctor` as root on the machine, with a relay elsewhere. */
  async doctor() {
    return this.machine.ask("byway", "doctor", "--json", ...from());
  }

  /** `byway doctor` beside the server behind a 1:1 NAT. @param {{ file: string }} server */
  async doctorInCloud({ file }) {
    return run(...this.network.on("client-b"), BINARY, "--config", file, "doctor", "--json", "--ca", authority.file, ...from());
  }

  /** `byway probe` of the visitor, with a credential from the operator. @param {string} [name] */
  async probe(name = NAME) {
    const credential = await this.machine.try("byway", "credential", "--user", "me");
    // Without a valid configuration there is none from the operator.
    const { username, password } = credential ? JSON.parse(credential) : signed(SECRET);
    return run(...this.network.on("client-a"), BINARY, "probe", name, "--ca", authority.file, "--username", username, "--password", password, "--json");
  }

  /** @param {string} text */
  async #write(text) {
    this.machine.write(CONFIGURATION, text);
    await this.machine.run("chown", "byway:byway", CONFIGURATION);
    await this.machine.run("chmod", "600", CONFIGURATION);
  }

  /** @param {Certificate & { isAlone?: boolean }} certificate `isAlone`: without its issuer's. */
  async #install({ cert, key, isAlone = false }) {
    const chain = [cert, ...(isAlone ? [] : [authority.file])];
    this.machine.write(CHAIN, chain.map((file) => readFileSync(file, "utf8")).join(""));
    this.machine.place(key, KEY, 0o600);
    await this.machine.run("chown", "byway:byway", CHAIN, KEY);
  }
}

/** Settings of the server, as `byway init` writes them for a public machine. */
const SOUND = {
  realm: NAME,
  "listen.udp": ["0.0.0.0:3478", "[::]:3478", "0.0.0.0:443", "[::]:443"],
  "listen.tcp": ["0.0.0.0:3478", "[::]:3478"],
  "listen.tls": ["0.0.0.0:443", "[::]:443"],
  "listen.http": [],
  "listen.admin": ["unix:/run/byway/admin.sock", "127.0.0.1:9090"],
  "tls.cert": CHAIN,
  "tls.key": KEY,
  "relay.addresses": ["0.0.0.0", "::"],
  // No call is to end well here.
  "relay.drain": "0s",
  // As many as the descriptors of a container allow.
  "quota.allocations": 5000,
  "credentials.secrets": [SECRET],
  "ice.access": "open",
  "ice.open_to_everyone": true,
};

/** @typedef {import("./configuration.mjs").Settings} Settings */

/** @param {Settings} settings */
const configuration = (settings) => toml(SOUND, settings);

/** Arguments that name the relay elsewhere. */
function from() {
  const { username, password } = signed(SECRET_BEYOND);
  return ["--from", `turn:${BEYOND}`, "--username", username, "--password", password];
}

/** A credential for an hour. @param {string} secret */
function signed(secret) {
  const username = `${Math.floor(Date.now() / 1000) + 3600}:me`;
  return { username, password: createHmac("sha1", secret).update(username).digest("base64") };
}

/** Debian has it in a folder of the architecture. */
function libfaketime() {
  const places = readdirSync("/usr/lib").map((folder) => `/usr/lib/${folder}/faketime/libfaketime.so.1`);
  const found = places.find((path) => existsSync(path));
  if (!found) throw new Error("libfaketime is not installed");
  return found;
}
