/**
 * Janus, a media server, with its TURN REST API pointed at Byway. It asks there when a call begins.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";

import { eventually } from "../browser/eventually.mjs";

/** Offer as of a browser: one audio track, and no candidate. */
const OFFER = [
  "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=mid:0", "a=sendrecv", "a=rtcp-mux", "a=setup:actpass",
  "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx",
  `a=fingerprint:sha-256 ${Array(32).fill("AA").join(":")}`, "a=rtpmap:111 opus/48000/2", "",
].join("\r\n");

/** Reason to skip Janus, or false. */
export function lackOfJanus() {
  if (spawnSync("janus", ["--version"]).error) return "there is no janus";
  const outside = Object.values(networkInterfaces()).flat().some(({ internal }) => !internal);
  return outside ? false : "Janus makes no call on a machine without any interface but loopback";
}

/**
 * Has Janus begin a call; its answer, with its candidates.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {{ url: string, key: string, method: string }} rest Where it asks, with what and how.
 */
export async function askThroughJanus(scenario, { url, key, method }) {
  const folder = await mkdtemp(join(tmpdir(), "byway-janus-"));
  const port = await freePort();
  const plain = join(folder, "none");
  await mkdir(plain);
  const others = async (kind, only) => (await readdir(`${await library()}/${kind}`)).filter((name) => name.endsWith(".so") && !name.includes(only)).join(",");
  await writeFile(join(folder, "janus.jcfg"), `
general: { configs_folder = "${folder}" plugins_folder = "${await library()}/plugins" transports_folder = "${await library()}/transports"
  events_folder = "${plain}" loggers_folder = "${plain}" debug_level = 4 debug_colors = false admin_secret = "unused" }
nat: { nice_debug = false turn_rest_api = "${url}" turn_rest_api_key = "${key}" turn_rest_api_method = "${method}" ice_ignore_list = "vmnet" }
plugins: { disable = "${await others("plugins", "echotest")}" }
transports: { disable = "${await others("transports", "_http")}" }
`);
  await writeFile(join(folder, "janus.transport.http.jcfg"), `
general: { json = "plain" base_path = "/janus" http = true port = ${port} ip = "127.0.0.1" https = false }
admin: { admin_http = false admin_https = false }
`);
  const log = [];
  const child = spawn("janus", ["--config", join(folder, "janus.jcfg"), "--configs-folder", folder], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => log.push(String(text)));
  scenario.after(async () => {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true });
  });

  let count = 0;
  const say = async (path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}/janus${path}`, {
      method: body ? "POST" : "GET",
      body: body && JSON.stringify({ transaction: `t${++count}`, ...body }),
    });
    return answer.json();
  };
  await eventually("Janus listens", () => say("/info").catch(() => null));
  const session = (await say("", { janus: "create" })).data.id;
  const handle = (await say(`/${session}`, { janus: "attach", plugin: "janus.plugin.echotest" })).data.id;
  await say(`/${session}/${handle}`, { janus: "message", body: { audio: true }, jsep: { type: "offer", sdp: OFFER } });
  const jsep = await eventually("Janus answers the call", async () => (await say(`/${session}?maxev=1`)).jsep, 30_000);
  return { sdp: jsep.sdp, log };
}

/** Folder of its modules: the distribution has them beside its libraries. */
async function library() {
  const [machine] = (await readdir("/usr/lib")).filter((name) => name.endsWith("-linux-gnu"));
  return `/usr/lib/${machine}/janus`;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
