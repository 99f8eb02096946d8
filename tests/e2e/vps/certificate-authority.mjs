/**
 * Let's Encrypt on the lab's internet: its name and its directory, with Debian's pebble behind
 * them, and a name server. So a machine with the defaults gets its certificate from there.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { authority } from "../browser/browsers.mjs";
import { eventually } from "../browser/eventually.mjs";

/** Name of the authority's server. */
export const NAME = "acme-v02.api.letsencrypt.org";

const FRONT = new URL("front.mjs", import.meta.url).pathname;

export class CertificateAuthority {
  #folder = mkdtempSync(join(tmpdir(), "byway-pebble-"));
  #network;
  #node;
  #address;
  /** @type {import("node:child_process").ChildProcess[]} */ #processes = [];
  /** @type {import("node:child_process").ChildProcess} */ #front;

  /**
   * @param {import("../lab/network.mjs").Network} network
   * @param {string} node Where it runs.
   * @param {string} address Its IPv4 address there.
   */
  constructor(network, node, address) {
    [this.#network, this.#node, this.#address] = [network, node, address];
  }

  /** Of the certificates that it issues. */
  get root() {
    return join(this.#folder, "root.pem");
  }

  async start() {
    const [inner, outer] = [authority.issue("localhost"), authority.issue(NAME)];
    const configuration = { pebble: { listenAddress: "127.0.0.1:14000", managementListenAddress: "127.0.0.1:15000",
      certificate: inner.cert, privateKey: inner.key, httpPort: 80, tlsPort: 443, certificateValidityPeriod: VALIDITY_S } };
    const file = join(this.#folder, "pebble.json");
    writeFileSync(file, JSON.stringify(configuration));

    this.#spawn("pebble-challtestsrv", "-dns01", `${this.#address}:53`, "-management", "127.0.0.1:8055", "-defaultIPv4", "", "-defaultIPv6", "",
      "-http01", "", "-https01", "", "-tlsalpn01", "");
    this.#spawn("env", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "pebble", "-config", file, "-dnsserver", `${this.#address}:53`);
    this.#front = this.#spawn(process.execPath, FRONT, this.#address, outer.cert, outer.key, authority.file);
    await once(createInterface(this.#front.stdout), "line");

    const root = await eventually("the authority's root", () => this.#fetch("https://localhost:15000/roots/0").catch(() => null));
    writeFileSync(this.root, root);
    await this.name(NAME, [this.#address]);
  }

  /**
   * Tells the name server the addresses of a name.
   * @param {string} name
   * @param {string[]} addresses
   */
  async name(name, addresses) {
    const host = `${name}.`;
    for (const [path, family] of [["a", (ip) => !ip.includes(":")], ["aaaa", (ip) => ip.includes(":")]]) {
      await eventually("the name server", () => this.#fetch(`http://127.0.0.1:8055/clear-${path}`, { host }).then(() => true, () => null));
      const known = addresses.filter(family);
      if (known.length) await this.#fetch(`http://127.0.0.1:8055/add-${path}`, { host, addresses: known });
    }
  }

  /** From now on it suggests that all certificates be renewed at once (RFC 9773). */
  async suggestRenewal() {
    this.#front.stdin.write("renew\n");
    await once(createInterface(this.#front.stdout), "line");
  }

  async stop() {
    const ended = this.#processes.map((child) => child.exitCode === null && child.signalCode === null && once(child, "exit"));
    for (const child of this.#processes) child.kill("SIGKILL");
    await Promise.all(ended);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #spawn(...command) {
    const [program, ...parameters] = [...this.#network.on(this.#node), ...command];
    const child = spawn(program, parameters, { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
    child.on("exit", (code) => code && console.error(`${command.join(" ")} ended with ${code}:\n${said.slice(-2000)}`));
    this.#processes.push(child);
    return child;
  }

  /** Of the node's loopback. @param {string} url @param {object} [body] */
  async #fetch(url, body) {
    const code = `fetch(process.argv[1], process.argv[2] && { method: "POST", body: process.argv[2] }).then(async (it) => {
      if (!it.ok) throw new Error(it.status);
      process.stdout.write(await it.text());
    })`;
    const [program, ...parameters] = [...this.#network.on(this.#node), process.execPath, "--eval", code, url, ...(body ? [JSON.stringify(body)] : [])];
    const { stdout } = await promisify(execFile)(program, parameters, { env: { ...process.env, NODE_EXTRA_CA_CERTS: authority.file } });
    return stdout;
  }
}

/** As Let's Encrypt's: 90 days. */
const VALIDITY_S = 90 * 24 * 3600;
