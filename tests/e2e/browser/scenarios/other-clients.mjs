/** Calls of the module with clients that know nothing of its streams: docs/signaling.md has one. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { elsewhere } from "../elsewhere.mjs";
import { eventually } from "../eventually.mjs";
import { pictureMoves } from "../module.mjs";
import { startFor } from "../server.mjs";
import { firefox, open, room } from "../stage.mjs";

const DOCUMENT = new URL("../../../../docs/signaling.md", import.meta.url);
const SERVER = "wss://call.example.org/ws";
const BOTH = "getUserMedia({ audio: true, video: true })";
const HEAD = '<!doctype html><title>Example</title><link rel="icon" href="data:,"><body>';

const BROWSERS = {
  Chromium: { skip: false, choose: async () => ({}) },
  Firefox: { skip: withoutFirefox, choose: async () => ({ browser: await firefox() }) },
};

for (const [name, { skip, choose }] of Object.entries(BROWSERS)) {
  for (const comesFirst of ["module", "client"]) {
    test(`${name}: another client and the module see each other, the ${comesFirst} first`, { skip }, async (scenario) => {
      const { site, server } = await publish(scenario, BOTH);
      const enter = {
        client: async () => enterClient(await open(scenario, site, await choose()), site, scenario),
        module: async () => enterModule(await open(scenario, site), server, scenario),
      };
      const pages = {};
      for (const which of comesFirst === "module" ? ["module", "client"] : ["client", "module"]) pages[which] = await enter[which]();
      await sees(pages.client);
      await eventually("a peer", () => pages.module.evaluate(() => window.call.peers.length > 0 || null));
      await pictureMoves(pages.module);
      assert.deepEqual(await pages.module.evaluate(() => [...window.call.peers[0].streams.keys()]), ["camera"]);
      const kinds = await pages.module.evaluate(() => window.call.peers[0].stream.getTracks().map(({ kind }) => kind).sort());
      assert.deepEqual(kinds, ["audio", "video"]);
    });

    test(`${name}: a client that has only sound gets the module's picture, the ${comesFirst} first`, { skip }, async (scenario) => {
      const { site, server } = await publish(scenario, "getUserMedia({ audio: true })");
      const client = await open(scenario, site, await choose());
      const module = await open(scenario, site);
      if (comesFirst === "client") await enterClient(client, site, scenario);
      await enterModule(module, server, scenario);
      if (comesFirst === "module") await enterClient(client, site, scenario);
      await sees(client);
      await eventually("its sound", () =>
        module.evaluate(() => window.call.peers[0]?.stream.getAudioTracks().length > 0 || null),
      );
    });
  }
}

/** Serves the example of the document, changed to what it sends. */
async function publish(scenario, devices) {
  const [, example] = /^### A complete client$.*?^```js\n(.*?)^```$/ms.exec(await readFile(DOCUMENT, "utf8")) ?? [];
  assert.ok(example?.includes(SERVER) && example.includes(BOTH), "the document has no example");
  const files = { "/index.html": HEAD, "/client.html": `${HEAD}<script type="module" src="client.js"></script>` };
  const site = await elsewhere(scenario, files);
  const server = await startFor(scenario, { allowedOrigins: [site] });
  files["/client.js"] = example.replace(SERVER, `${server.origin.replace("http", "ws")}/ws`).replace(BOTH, devices);
  return { site, server };
}

async function enterClient(page, site, scenario) {
  await page.addInitScript(() => {
    window.WebSocket = class extends window.WebSocket {
      set onmessage(hear) {
        super.onmessage = (event) => {
          hear(event);
          window.entered ||= JSON.parse(event.data).type === "joined";
        };
      }
    };
  });
  await page.goto(`${site}/client.html#${room(scenario)}`);
  await eventually("a place in the room", () => page.evaluate(() => window.entered || null));
  return page;
}

async function enterModule(page, server, scenario) {
  // The room of the example is its fragment.
  await page.evaluate(async ([origin, room]) => {
    const { join, openCamera } = await import(`${origin}/byway.js`);
    window.call = await join({ room, stream: await openCamera() });
  }, [server.origin, `#${room(scenario)}`]);
  return page;
}

/** Waits until the peer's picture moves in the example's page. */
const sees = (page) =>
  eventually("a picture that moves", () =>
    page.evaluate(() => (document.querySelector("video")?.videoWidth > 0 && document.querySelector("video").currentTime > 0.2) || null),
  );
