/**
 * A real nginx before a server, with the configuration that docs/install.md gives.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterwards } from "./afterwards.mjs";
import { eventually } from "./eventually.mjs";

/** Not on everybody's path. */
const NGINX = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].find(existsSync);

/** Reason to skip scenarios with nginx, or false. */
export const withoutNginx = !NGINX && "nginx is not installed";

const MANUAL = new URL("../../../docs/install.md", import.meta.url);

/**
 * Starts nginx with the block of docs/install.md for a path, for as long as the scenario.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {string} path Where the page is to be: "/" or "/call/".
 * @param {string} server The address and port of the server's plain HTTP.
 * @param {(block: string) => string} [alter] A mistake that an administrator makes in it.
 * @returns {Promise<string>} The URL of the page.
 */
export async function nginxFor(scenario, path, server, alter = (block) => block) {
  const block = await blockFor(path, server);
  const folder = await mkdtemp(join(tmpdir(), "byway-nginx-"));
  afterwards(scenario, () => rm(folder, { recursive: true }));
  // Another process may take the free port before nginx does.
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const port = await freePort();
    const file = join(folder, "nginx.conf");
    await writeFile(file, configuration(folder, `listen 127.0.0.1:${port};`, alter(block)));
    const child = spawn(NGINX, ["-c", file, "-p", folder], { stdio: ["ignore", "ignore", "inherit"] });
    const ended = once(child, "close");
    const page = `http://localhost:${port}${path}`;
    const running = await Promise.race([
      eventually("nginx answers", async () => (await fetch(page).catch(() => null)) !== null || null).then(() => true),
      ended.then(() => false),
    ]);
    if (!running) continue;
    afterwards(scenario, () => {
      child.kill("SIGTERM");
      return ended;
    });
    return page;
  }
  throw new Error("nginx does not start; its complaints are above");
}

/**
 * Starts nginx with the block of docs/install.md for "/" before a server's plain HTTP at
 * 127.0.0.1:8080, on a node of a network and with TLS on its port 443. It is there until the
 * returned function ends it.
 *
 * @param {string[]} on Words before its command, which make it run on that node.
 * @param {{ cert: string, key: string }} certificate
 * @param {(block: string) => string} [alter] A mistake that an administrator makes in the block.
 */
export async function nginxWithTls(on, { cert, key }, alter = (block) => block) {
  const folder = await mkdtemp(join(tmpdir(), "byway-nginx-"));
  const file = join(folder, "nginx.conf");
  const listen = `listen 443 ssl; listen [::]:443 ssl; ssl_certificate ${cert}; ssl_certificate_key ${key};`;
  await writeFile(file, configuration(folder, listen, alter(await blockFor("/", "127.0.0.1:8080"))));
  const [program, ...parameters] = [...on, NGINX, "-c", file, "-p", folder];
  const child = spawn(program, parameters, { stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(child, "close");
  await eventually("nginx has written its pid, after it has bound its ports", () => existsSync(join(folder, "pid")) || null, 15_000, 20);
  return async () => {
    child.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true });
  };
}

/**
 * The block of docs/install.md for a path.
 * @param {string} path
 * @param {string} server
 */
async function blockFor(path, server) {
  const blocks = (await readFile(MANUAL, "utf8")).split("```nginx\n").slice(1).map((rest) => rest.split("```")[0]);
  const block = blocks.find((candidate) => candidate.startsWith(`location ${path} {`));
  if (!block) throw new Error(`docs/install.md has no nginx block for ${path}`);
  return block.replaceAll("127.0.0.1:8080", server);
}

/** Root's nginx serves as nobody, who may not enter the folder. */
const user = process.getuid() === 0 ? "user root;" : "";

const configuration = (folder, listen, block) => `
${user}
daemon off;
pid ${folder}/pid;
error_log stderr warn;
events {}
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n  ")}
  server {
    ${listen}
    ${block}
  }
}
`;

async function freePort() {
  const probe = createServer();
  await once(probe.listen(0, "127.0.0.1"), "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}
