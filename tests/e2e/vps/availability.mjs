/**
 * For how long a server took no callers: a client that asks again and again, over HTTPS for ICE
 * servers and over UDP for its address, from a node of its own.
 *
 * As a program, `availability.mjs NAME CA`, it answers each line of its input with the longest gaps
 * since the line before.
 */
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { createInterface } from "node:readline";

/** Often enough to tell a gap to a tenth of a second. */
const EVERY_MS = 100;
const PATIENCE_MS = 2000;

/**
 * Longest times without an answer, in milliseconds. @typedef {{ callers: number, stun: number }}
 * Gaps
 */

export class Availability {
  #child;
  #lines;

  /** @param {string[]} on @param {string} name @param {string} ca */
  constructor(on, name, ca) {
    const [program, ...parameters] = [...on, process.execPath, new URL(import.meta.url).pathname, name, ca];
    this.#child = spawn(program, parameters, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** Longest gaps since this was asked last. @returns {Promise<Gaps>} */
  async gaps() {
    this.#child.stdin.write("\n");
    const { value } = await this.#lines.next();
    return JSON.parse(value);
  }

  async end() {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

class Watch {
  #answered = performance.now();
  #longest = 0;

  answer() {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#answered);
    this.#answered = now;
  }

  /** The gap that is open now counts, too, and goes on. */
  take() {
    const longest = Math.max(this.#longest, performance.now() - this.#answered);
    this.#longest = 0;
    return Math.round(longest);
  }
}

function run(name, ca) {
  const [callers, stun] = [new Watch(), new Watch()];
  const trusted = readFileSync(ca);
  setInterval(() => {
    // A connection of its own each time, and the address that the name has now. Without a token it
    // gets no answer but 401; a server that is about to stop says 503 instead.
    const asked = request({ method: "POST", host: name, path: "/ice", family: 4, agent: false, ca: trusted, timeout: PATIENCE_MS }, (response) => {
      response.resume();
      if (response.statusCode < 500) callers.answer();
    });
    asked.on("timeout", () => asked.destroy()).on("error", () => {}).end();
  }, EVERY_MS);

  const socket = createSocket("udp4").on("message", () => stun.answer()).on("error", () => {});
  const binding = Buffer.from("000100002112a442" + "b".repeat(24), "hex");
  setInterval(async () => {
    const { address } = await lookup(name, 4).catch(() => ({}));
    if (address) socket.send(binding, 3478, address, () => {});
  }, EVERY_MS);

  createInterface(process.stdin)
    .on("line", () => console.log(JSON.stringify({ callers: callers.take(), stun: stun.take() })))
    .on("close", () => process.exit());
}

if (process.argv[1] === new URL(import.meta.url).pathname) run(process.argv[2], process.argv[3]);
