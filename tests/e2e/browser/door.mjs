/**
 * Starts Firefox on another node of a network, where who drives it cannot reach the port that it
 * waits at: that is on the node's own loopback. The same port of ours leads there.
 *
 *     node door.mjs '["ip", "netns", "exec", "NAME"]' FIREFOX --remote-debugging-port=0 ...
 *
 * It has to be the same, because Firefox rejects clients that request another.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

const [on, ...command] = [JSON.parse(process.argv[2]), ...process.argv.slice(3)];

const door = createServer(lead);
await once(door.listen(0, "127.0.0.1"), "listening");
const { port } = door.address();

const itsPort = (word) => (word === "--remote-debugging-port=0" ? `--remote-debugging-port=${port}` : word);
const firefox = onNode(command.map(itsPort), "inherit");
firefox.once("exit", (code) => process.exit(code ?? 1));
process.once("SIGTERM", () => firefox.kill());

/** Copies a connection to a process on that node, which copies it to the port. */
function lead(here) {
  const copy = `const there = require("net").connect(${port}, "127.0.0.1"); process.stdin.pipe(there).pipe(process.stdout)`;
  const copier = onNode([process.execPath, "--eval", copy], ["pipe", "pipe", "inherit"]);
  for (const stream of [here, copier.stdin, copier.stdout]) stream.on("error", () => here.destroy());
  here.pipe(copier.stdin);
  copier.stdout.pipe(here);
  here.once("close", () => copier.kill());
}

function onNode(words, stdio) {
  const [program, ...parameters] = [...on, ...words];
  return spawn(program, parameters, { stdio });
}
