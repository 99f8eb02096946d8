/**
 * The real binary under test: started on ports the kernel picks, scraped over HTTP, stopped at the end.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const BINARY = process.env.BYWAY ?? new URL("../../target/debug/byway", import.meta.url).pathname;

/** For a machine that builds meanwhile. */
const START_MS = 20_000;

/** Loopback alone, and the defaults for everything else: what `cargo run` gives, on free ports. */
const config = ({ udp = "127.0.0.1:0", http = "127.0.0.1:0", urls = [], allowedOrigins = [] }) => `
realm = "byway.test"
[listen]
udp = ["${udp}"]
tcp = []
http = ["${http}"]
admin = ["127.0.0.1:0"]
[relay]
addresses = ["127.0.0.1"]
shards = 2
[credentials]
secrets = ["a-test-secret"]
[ice]
urls = ${JSON.stringify(urls)}
[signaling]
allowed_origins = ${JSON.stringify(allowedOrigins)}
`;

/** @param {{ udp?: string, http?: string, urls?: string[], allowedOrigins?: string[] }} [options] */
export async function startServer(options = {}) {
  const directory = await mkdtemp(join(tmpdir(), "byway-"));
  const file = join(directory, "turnserver.toml");
  await writeFile(file, config(options));

  const child = spawn(BINARY, ["--config", file, "serve"], {
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const log = [];
  const bound = await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${BINARY} ${why}; its log:\n${log.join("\n")}`));
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

  return {
    /** Where the page is. */
    origin: `http://${bound.http[0]}`,
    /** Where it listens, for another one to take its place. */
    listen: { udp: bound.udp[0], http: bound.http[0] },
    log,
    /** One series of /metrics by its full name. */
    async metric(series) {
      const text = await (await fetch(`http://${bound.admin[0]}/metrics`)).text();
      const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
      if (!line) throw new Error(`no series ${series} in:\n${text}`);
      return Number(line.slice(series.length));
    },
    /** As if every cable were pulled: its sockets stay, and nothing passes until `resume`. */
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    async stop() {
      child.kill("SIGKILL");
      await ended;
      await rm(directory, { recursive: true });
    },
  };
}

/**
 * Reads the line that is logged once every socket is bound, as tests/support/mod.rs does:
 * `listening udp=127.0.0.1:40001 http=127.0.0.1:40003 admin=127.0.0.1:40004`.
 */
function parseListening(line) {
  const [, lists] = line.split("listening ");
  if (lists === undefined) return null;
  const pairs = lists.split(/\s+/).map((list) => list.split("="));
  const bound = Object.fromEntries(pairs.map(([listener, addresses]) => [listener, (addresses ?? "").split(",")]));
  return bound.udp && bound.http && bound.admin ? bound : null;
}
