import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { pathBecomes, videoFlows } from "../connections.mjs";
import { elsewhere } from "../elsewhere.mjs";
import { eventually } from "../eventually.mjs";
import { startFor } from "../server.mjs";
import { firefox, open } from "../stage.mjs";

const PAGE = `<!doctype html>
<title>PeerJS as it is</title>
<link rel="icon" href="data:,">
<script src="/peerjs.js"></script>`;

/** The package as npm has it, on a site whose pages may use a server of the scenario's own. */
async function prepare(scenario) {
  const script = new URL("../node_modules/peerjs/dist/peerjs.min.js", import.meta.url);
  const origin = await elsewhere(scenario, { "/index.html": PAGE, "/peerjs.js": readFileSync(script) });
  const server = await startFor(scenario, { allowedOrigins: [origin] });
  return { server, openPage: (options) => open(scenario, origin, options) };
}

/**
 * A page with this id, or one of the server's choice, as docs/adapters.md has it. The
 * events are kept.
 */
async function arrive({ server, openPage }, { id, path = "/", policy = "all", ...options } = {}) {
  const page = await openPage(options);
  const { hostname, port } = new URL(server.origin);
  await page.evaluate(
    async ([origin, id, options, policy]) => {
      const config = await (await fetch(`${origin}/ice`)).json();
      const parameters = { ...options, config: { ...config, iceTransportPolicy: policy } };
      window.peer = id ? new Peer(id, parameters) : new Peer(parameters);
      window.events = [];
      window.heard = [];
      const keep = (name, detail = "") => window.events.push(`${name} ${detail}`.trim());
      const follow = (connection) => {
        window.data = connection;
        connection.on("open", () => keep("data"));
        connection.on("data", (text) => window.heard.push(text));
        connection.on("close", () => keep("data-closed"));
      };
      const watch = (call) => {
        window.call = call;
        call.on("stream", (stream) => {
          const video = document.createElement("video");
          video.autoplay = video.playsInline = video.muted = true;
          video.srcObject = stream;
          document.body.replaceChildren(video);
        });
        call.on("close", () => keep("call-closed"));
      };
      window.connectTo = (other) => follow(peer.connect(other));
      window.callTo = async (other) => watch(peer.call(other, await camera()));
      const camera = () => navigator.mediaDevices.getUserMedia({ audio: true, video: true });
      peer.on("open", () => keep("open"));
      peer.on("disconnected", () => keep("disconnected"));
      peer.on("error", ({ type }) => keep("error", type));
      peer.on("connection", follow);
      peer.on("call", async (call) => {
        watch(call);
        call.answer(await camera());
      });
    },
    [server.origin, id, { host: hostname, port: Number(port), path }, policy],
  );
  return page;
}

/** Waits until the page has seen this `times` times. */
const sees = (page, event, times = 1) =>
  eventually(`${event} ${times} times`, () =>
    page.evaluate(([event, times]) => window.events.filter((seen) => seen === event).length >= times || null, [event, times]),
  );

const idOf = (page) => page.evaluate(() => window.peer.id);

/** Says something over the data connection, and waits until the other side has it. */
async function tell(from, to, message) {
  await from.evaluate((message) => window.data.send(message), message);
  await eventually(message, () => to.evaluate((message) => window.heard.includes(message) || null, message));
}

/** A data connection from one page to the other, and a word each way. */
async function connect(ann, bob) {
  const before = await Promise.all([ann, bob].map((page) => page.evaluate(() => window.events.filter((event) => event === "data").length)));
  await ann.evaluate((id) => window.connectTo(id), await idOf(bob));
  await Promise.all([sees(ann, "data", before[0] + 1), sees(bob, "data", before[1] + 1)]);
  await tell(ann, bob, `from ann ${before[0]}`);
  await tell(bob, ann, `from bob ${before[1]}`);
}

async function callsOverTheRelay(site, ann, bob) {
  await connect(ann, bob);
  await ann.evaluate((id) => window.callTo(id), await idOf(bob));
  await videoFlows(ann, bob);
  await pathBecomes(["relay", "prflx"], ann, bob);
  const series = 'byway_relayed_bytes_total{direction="between_clients"}';
  const before = await site.server.metric(series);
  await videoFlows(ann, bob);
  assert.ok((await site.server.metric(series)) > before + 10_000, "the server relays what is seen");

  await ann.evaluate(() => window.call.close());
  await Promise.all([sees(ann, "call-closed"), sees(bob, "call-closed")]);
  await tell(ann, bob, "still here");

  await bob.evaluate(() => window.peer.destroy());
  await sees(ann, "data-closed");
  await eventually("Ann alone", async () => (await site.server.metric("byway_peerjs_peers")) === 1 || null);
}

test("two PeerJS pages connect and call over our relay, hang up, and one leaves", async (scenario) => {
  const site = await prepare(scenario);
  const ann = await arrive(site, { policy: "relay" });
  const bob = await arrive(site, { id: "bob", path: "/peerjs", policy: "relay" });
  await Promise.all([sees(ann, "open"), sees(bob, "open")]);
  assert.match(await idOf(ann), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  await callsOverTheRelay(site, ann, bob);
});

test("PeerJS in Firefox calls PeerJS in Chromium", { skip: withoutFirefox }, async (scenario) => {
  const site = await prepare(scenario);
  const ann = await arrive(site, { id: "ann", policy: "relay", browser: await firefox() });
  const bob = await arrive(site, { id: "bob", policy: "relay" });
  await Promise.all([sees(ann, "open"), sees(bob, "open")]);
  await callsOverTheRelay(site, ann, bob);
});

test("a PeerJS page that reconnects keeps its id and its connections", async (scenario) => {
  const site = await prepare(scenario);
  const [ann, bob] = [await arrive(site, { id: "ann" }), await arrive(site, { id: "bob" })];
  await Promise.all([sees(ann, "open"), sees(bob, "open")]);
  await connect(ann, bob);

  await ann.evaluate(() => window.peer.disconnect());
  await eventually("Bob alone", async () => (await site.server.metric("byway_peerjs_peers")) === 1 || null);
  await tell(bob, ann, "without the server");
  await ann.evaluate(() => window.peer.reconnect());
  await sees(ann, "open", 2);
  assert.equal(await idOf(ann), "ann");
  await tell(bob, ann, "with it again");
  await connect(bob, ann);
});

test("PeerJS learns who is not there, which id is taken, and that there is no list", async (scenario) => {
  const site = await prepare(scenario);
  const ann = await arrive(site, { id: "ann" });
  await sees(ann, "open");
  await ann.evaluate(() => window.connectTo("nobody"));
  const other = await arrive(site, { id: "ann" });
  await sees(other, "error unavailable-id");
  await sees(ann, "error peer-unavailable");

  const curious = await arrive(site, { tolerated: /401/ });
  await sees(curious, "open");
  await curious.evaluate(() => window.peer.listAllPeers());
  await sees(curious, "error server-error");
  // Ann's connection to the server has survived all of it.
  assert.deepEqual(await ann.evaluate(() => [window.peer.open, window.peer.disconnected]), [true, false]);
});
