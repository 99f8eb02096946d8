/**
 * Networks do not meet, and what a crash leaves behind does not stay.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { afterwards } from "../browser/afterwards.mjs";
import { eventually } from "../browser/eventually.mjs";
import { Network } from "./network.mjs";

test("two networks stand side by side, on the same addresses", async (scenario) => {
  for (const name of ["one", "other"]) {
    const network = new Network();
    afterwards(scenario, () => network.remove());
    await serve(network, name);
    // Both are asked only when both are there.
    afterwards(scenario, () => assert.equal(ask(network), name));
  }
});

test("a network with all that runs in it goes with its remover", async () => {
  const network = new Network();
  const server = await serve(network, "anyone");
  const ended = once(server, "exit");
  network.remove();
  await ended;
  assert.deepEqual(leftOf(process.pid), []);
});

test("what a killed process has left is removed by the next network", async (scenario) => {
  const code = `
    import { Network } from ${JSON.stringify(new URL("network.mjs", import.meta.url).href)};
    import { spawn } from "node:child_process";
    const network = new Network();
    const [program, ...parameters] = [...network.on("server"), process.execPath, "--eval", "setInterval(() => {}, 1000)"];
    console.log(spawn(program, parameters, { stdio: "ignore" }).pid);`;
  const crashing = spawn(process.execPath, ["--input-type=module", "--eval", code], { stdio: ["ignore", "pipe", "inherit"] });
  const orphan = Number((await once(crashing.stdout, "data"))[0]);
  const killed = once(crashing, "exit");
  crashing.kill("SIGKILL");
  await killed;
  assert.equal(leftOf(crashing.pid).length, 14, "7 nodes, each with a namespace and its names");

  const network = new Network();
  afterwards(scenario, () => network.remove());
  assert.deepEqual(leftOf(crashing.pid), []);
  await eventually("the end of what ran there", () => !existsSync(`/proc/${orphan}`) || null);
});

test("a bad cable delays, loses and holds back", async (scenario) => {
  const network = new Network();
  afterwards(scenario, () => network.remove());
  const sink = `let count = 0;
    const socket = require("dgram").createSocket("udp4").bind(9, () => console.log("ready"));
    socket.on("message", (message, from) => String(message).startsWith("?") ? socket.send(message + " " + count, from.port, from.address) : count++);`;
  const [program, ...parameters] = [...network.on("server"), process.execPath, "--eval", sink];
  await once(spawn(program, parameters, { stdio: ["ignore", "pipe", "inherit"] }).stdout, "data");
  // As many as a socket's buffer holds until a slow reader comes: what is lost there no cable has
  // lost.
  const SENT = 200;
  // What is asked is asked until an answer comes, for that may be lost, too; first of all for a way
  // to be known there.
  const source = `const socket = require("dgram").createSocket("udp4");
    const send = (text) => socket.send(text, 9, "203.0.113.10");
    let before, begun;
    socket.on("message", (message) => {
      const [question, count] = String(message).split(" ");
      if (begun && question === "?before") return; // asked more than once
      if (begun) process.exit(console.log(count - before, performance.now() - begun));
      [before, begun] = [count, performance.now()];
      for (let sent = 0; sent < ${SENT}; sent += 1) send("x");
    });
    setInterval(() => send(begun ? "?after" : "?before"), 300);`;
  const measure = () => network.run("client-a", process.execPath, "--eval", source).split(" ").map(Number);

  await network.cable("a", { delayMs: 100, lossPercent: 20 });
  const [some, roundTripMs] = measure();
  // The chance of a fair share to lie outside is one in a million million.
  assert.ok(some > SENT * 0.6 && some < SENT * 0.95, `${some} of ${SENT} came through`);
  assert.ok(roundTripMs >= 200, `there and back in ${roundTripMs} ms`);

  await network.cable("a", { kbps: 100 });
  const [few] = measure();
  // 43 bytes each, and a queue of 150 ms: some 40 have a place at once.
  assert.ok(few > 10 && few < SENT / 2, `${few} of ${SENT} found a place in the queue`);

  await network.cable("a");
  const [all] = measure();
  assert.equal(all, SENT);
});

/**
 * A web server at the usual place, which says its name.
 * @param {Network} network
 * @param {string} name
 */
async function serve(network, name) {
  const code = `require("http").createServer((_, response) => response.end("${name}")).listen(80, "203.0.113.10", () => console.log("ready"))`;
  const [program, ...parameters] = [...network.on("server"), process.execPath, "--eval", code];
  const server = spawn(program, parameters, { stdio: ["ignore", "pipe", "inherit"] });
  await once(server.stdout, "data");
  return server;
}

/** @param {Network} network */
const ask = (network) =>
  network.run("client-a", process.execPath, "--eval", `fetch("http://203.0.113.10/").then((it) => it.text()).then(console.log)`).trim();

/** @param {number} pid */
const leftOf = (pid) =>
  ["/run/netns", "/etc/netns"].filter((folder) => existsSync(folder)).flatMap((folder) => readdirSync(folder)).filter((name) => name.startsWith(`byway-lab-${pid}-`));
