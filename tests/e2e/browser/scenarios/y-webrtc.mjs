import assert from "node:assert/strict";
import { test } from "node:test";

import { build } from "esbuild";

import { pathBecomes } from "../connections.mjs";
import { elsewhere } from "../elsewhere.mjs";
import { eventually } from "../eventually.mjs";
import { startFor } from "../server.mjs";
import { open } from "../stage.mjs";

const PAGE = `<!doctype html>
<title>y-webrtc as it is</title>
<link rel="icon" href="data:,">
<script type="module" src="/app.js"></script>`;

const APP = `
import { Doc } from "yjs";
import { WebrtcProvider } from "y-webrtc";
Object.assign(window, { Doc, WebrtcProvider });
`;

/** The packages as npm has them, put into one file as developers do. */
const bundled = build({
  stdin: { contents: APP, resolveDir: new URL("..", import.meta.url).pathname },
  bundle: true,
  format: "esm",
  platform: "browser",
  define: { global: "globalThis" },
  write: false,
});

async function prepare(scenario) {
  const [{ contents }] = (await bundled).outputFiles;
  const origin = await elsewhere(scenario, { "/index.html": PAGE, "/app.js": contents });
  const server = await startFor(scenario, { allowedOrigins: [origin] });
  return { server, openPage: () => open(scenario, origin) };
}

/** A page that edits the document of this room, as docs/adapters.md has it. */
async function edit({ server, openPage }, room, { policy = "all", ...options } = {}) {
  const page = await openPage();
  await page.evaluate(
    async ([origin, room, policy, options]) => {
      const config = await (await fetch(`${origin}/ice`)).json();
      window.doc = new Doc();
      window.provider = new WebrtcProvider(room, doc, {
        signaling: [`${origin.replace("http", "ws")}/y-webrtc`],
        peerOpts: { config: { ...config, iceTransportPolicy: policy } },
        ...options,
      });
    },
    [server.origin, room, policy, options],
  );
  return page;
}

const write = (page, text) => page.evaluate((text) => window.doc.getText("tea").insert(0, text), text);

/** Waits until the page has this in its copy of the document. */
const reads = (page, text) =>
  eventually(`"${text}" in the document`, () =>
    page.evaluate((text) => window.doc.getText("tea").toString().includes(text) || null, text),
  );

for (const options of [{}, { password: "earl grey" }]) {
  const kind = options.password ? "behind a password" : "in the open";
  test(`two y-webrtc documents ${kind} become one over our relay`, async (scenario) => {
    const site = await prepare(scenario);
    const ann = await edit(site, "tea party", { policy: "relay", ...options });
    await write(ann, "written before ");
    const bob = await edit(site, "tea party", { policy: "relay", ...options });
    await reads(bob, "written before");
    await write(bob, "and after ");
    await reads(ann, "and after");
    await pathBecomes(["relay", "prflx"], ann, bob);
    assert.equal(await site.server.metric("byway_topics"), 1);

    await ann.evaluate(() => window.provider.disconnect());
    await eventually("Bob alone", () => bob.evaluate(() => window.provider.room.webrtcConns.size === 0 || null));
    await bob.evaluate(() => window.provider.disconnect());
    await eventually("no topic", async () => (await site.server.metric("byway_topics")) === 0 || null);
  });
}

test("documents of two rooms stay two, and y-webrtc comes back by itself", async (scenario) => {
  const site = await prepare(scenario);
  const [ann, bob] = [await edit(site, "tea"), await edit(site, "coffee")];
  await eventually("two topics", async () => (await site.server.metric("byway_topics")) === 2 || null);
  await ann.evaluate(() => window.provider.signalingConns[0].ws.close());
  const late = await edit(site, "tea");
  await write(ann, "to tea ");
  await write(bob, "to coffee ");
  await reads(late, "to tea");
  assert.equal(await bob.evaluate(() => window.doc.getText("tea").toString()), "to coffee ");
});
