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

/** A web server at the usual place, which says its name. @param {Network} network @param {string} name */
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
