/**
 * The real binary under test: started on ports the kernel picks, scraped over HTTP, stopped at the
 * end.
 */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { afterwards } from "./afterwards.mjs";
import { eventually } from "./eventually.mjs";

export const BINARY = process.env.BYWAY ?? new URL("../../../target/debug/byway", import.meta.url).pathname;

/** For a machine that builds meanwhile. */
const START_MS = 20_000;

/** By which credentials are signed. */
export const SECRET = "a-test-secret";

/** A port of the kernel's choice. */
const FREE = "127.0.0.1:0";

/** Listeners of TURN over TCP alone, beside the page. */
export const TCP_ALONE = { udp: null, tcp: FREE };

/** One TLS port and nothing else. */
export const tlsAlone = (certificate) => ({ udp: null, http: null, tls: FREE, certificate });

/**
 * Options of a scenario for its server; the rest is as `cargo run` gives it, but on loopback alone
 * and on free ports.
 *
 * @typedef {object} Options
 * @property {string | null} [udp] Where to listen; null: nowhere.
 * @property {string | null} [tcp]
 * @property {string | null} [tls] Needs a certificate.
 * @property {string | null} [http]
 * @property {{ cert: string, key: string }} [certificate] The paths of its files.
 * @property {string[]} [urls] What pages are told instead of these listeners.
 * @property {string[]} [allowedOrigins]
 * @property {string[]} [apiKeys]
 * @property {string} [ttl] How long credentials live.
 * @property {"open" | "token"} [access] Who may join.
 * @property {string} [resumeWindow] How long a lost member stays in its room.
 * @property {string[]} [peers] Networks that the relay sends to, which it refuses by default.
 * @property {string[]} [publicAddresses] What clients are told of the relay's addresses.
 * @property {string[]} [hosts] Further names that requests may have in Host.
 * @property {string} [secret] By which credentials are signed.
 */

/** @param {Options} options */
const config = ({ udp = FREE, tcp = null, tls = null, http = FREE, certificate, urls = [], allowedOrigins = [], apiKeys = [], ttl = "10m", access = "open", resumeWindow = "30s", peers = [], publicAddresses = [], hosts = [], secret = SECRET }) => `
realm = "byway.test"
[listen]
udp = ${listOf(udp)}
tcp = ${listOf(tcp)}
tls = ${listOf(tls)}
http = ${listOf(http)}
admin = ${listOf(FREE)}
[tls]
cert = "${certificate?.cert ?? ""}"
key = "${certificate?.key ?? ""}"
[relay]
addresses = ["127.0.0.1"]
public_addresses = ${JSON.stringify(publicAddresses)}
shards = 2
[credentials]
secrets = ["${secret}"]
ttl = "${ttl}"
[ice]
access = "${access}"
urls = ${JSON.stringify(urls)}
api_keys = ${JSON.stringify(apiKeys)}
[http]
hosts = ${JSON.stringify(hosts)}
[peers]
allow = ${JSON.stringify(peers)}
[signaling]
allowed_origins = ${JSON.stringify(allowedOrigins)}
resume_window = "${resumeWindow}"
`;

const listOf = (address) => JSON.stringify(address ? [address] : []);

/**
 * One that ends with its scenario.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {Options} options
 */
export async function startFor(scenario, options) {
  const server = await startServer(options);
  afterwards(scenario, () => server.stop());
  return server;
}

/** @param {Options} [options] */
export const startServer = (options = {}) => start(config(options));

/**
 * @param {string} configuration What its file holds.
 * @param {string[]} [on] What to put before its command, so that it runs on another node of a
 *   network.
 */
export async function start(configuration, on = []) {
  const directory = await mkdtemp(join(tmpdir(), "byway-"));
  const file = join(directory, "turnserver.toml");
  await writeFile(file, configuration);

  const [program, ...parameters] = [...on, BINARY, "--config", file, "serve"];
  const child = spawn(program, parameters, { env: { ...process.env, NO_COLOR: "1" }, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const log = [];
  const bound = await new Promise((resolve, reject) => {
    const fail = (why) => {
      clearTimeout(timer);
      reject(new Error(`${BINARY} ${why}; its log:\n${log.join("\n")}`));
    };
    const timer = setTimeout(() => fail("says nothing of listening"), START_MS);
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code) => fail(`ended with ${code}`));
    createInterface(child.stderr).on("line", (line) => {
      log.push(line);
      const listening = parseListening(line);
      if (!listening) return;
      clearTimeout(timer);
      resolve(listening);
    });
  }).catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });

  const metrics = async (...names) => {
    const text = await read(`http://${bound.admin[0]}/metrics`, on);
    return names.map((series) => {
      const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
      if (!line) throw new Error(`no series ${series} in:\n${text}`);
      return Number(line.slice(series.length));
    });
  };

  return {
    /** Origin of the page. */
    origin: bound.http ? `http://${bound.http[0]}` : bound.tls[0].replace(/^.*:/, "https://localhost:"),
    /** Its configuration, for commands beside it. */
    file,
    /** Origin of the operator's pages. */
    admin: `http://${bound.admin[0]}`,
    /** Its listeners, for a server that replaces it. */
    listen: { udp: bound.udp?.[0], tcp: bound.tcp?.[0], http: bound.http?.[0] },
    log,
    /** Runs `byway invite` with the configuration of this server. Returns the link. */
    async invite(...parameters) {
      const page = bound.http ? `http://${bound.http[0]}` : bound.tls[0].replace(/^.*:/, "https://localhost:");
      const run = ["--config", file, "invite", "--url", page, ...parameters];
      return (await promisify(execFile)(BINARY, run)).stdout.trim();
    },
    /** One series of /metrics by its full name. */
    metric: async (series) => (await metrics(series))[0],
    /** Several of one moment. */
    metrics,
    /**
     * As if every cable were pulled: its sockets stay, and nothing passes until `resume`. A busy
     * machine takes its time to stop a process, which answers meanwhile.
     */
    pause() {
      child.kill("SIGSTOP");
      return eventually("the server stopped", async () => /^State:\s*T/m.test(await readFile(`/proc/${child.pid}/status`, "utf8")));
    },
    resume: () => child.kill("SIGCONT"),
    /** Ends as a service manager ends it: without new callers, once its calls may end. */
    terminate: () => child.kill("SIGTERM"),
    /** Resolves when the process has ended. */
    ended,
    async stop() {
      child.kill("SIGKILL");
      await ended;
      await rm(directory, { recursive: true });
    },
  };
}

/** Reads a URL from the node where the server runs. */
async function read(url, on) {
  if (!on.length) return (await fetch(url)).text();
  const [program, ...parameters] = [...on, process.execPath, "--eval", "fetch(process.argv[1]).then((it) => it.text()).then(console.log)", url];
  return (await promisify(execFile)(program, parameters)).stdout;
}

/**
 * Reads the line that is logged once every socket is bound, as tests/support/mod.rs does:
 * `listening udp=127.0.0.1:40001 tcp=- http=127.0.0.1:40003 admin=127.0.0.1:40004`, where `-` is no
 * listener.
 */
function parseListening(line) {
  const [, lists] = line.split("listening ");
  if (lists === undefined) return null;
  const pairs = lists.split(/\s+/).map((list) => list.split("=")).filter(([, addresses]) => addresses && addresses !== "-");
  const bound = Object.fromEntries(pairs.map(([listener, addresses]) => [listener, addresses.split(",")]));
  return bound.admin ? bound : null;
}
