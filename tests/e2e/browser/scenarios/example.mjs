/** The complete client that docs/signaling.md shows to developers, as it stands there. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { hasRolledBack } from "../connections.mjs";
import { elsewhere } from "../elsewhere.mjs";
import { eventually } from "../eventually.mjs";
import { startFor } from "../server.mjs";
import { firefox, open, room } from "../stage.mjs";

/** Rounds in which both begin at once. */
const TIMES = Number(process.env.TIMES ?? 10);

const DOCUMENT = new URL("../../../../docs/signaling.md", import.meta.url);

/** The address in it that every reader replaces. */
const SERVER = "wss://call.example.org/ws";

const PAGE = '<!doctype html><title>Example</title><link rel="icon" href="data:,"><body><script type="module" src="client.js"></script>';

const BROWSERS = {
  Chromium: { skip: false, choose: async () => ({}) },
  Firefox: { skip: withoutFirefox, choose: async () => ({ browser: await firefox() }) },
};

for (const [first, { choose: chooseFirst, skip }] of Object.entries(BROWSERS)) {
  for (const [second, { choose: chooseSecond }] of Object.entries(BROWSERS)) {
    const skipped = skip || BROWSERS[second].skip;
    test(`threat 46: the example of the document calls, ${second} after ${first}`, { skip: skipped }, async (scenario) => {
      const site = await publish(scenario);
      const pages = [await open(scenario, site, await chooseFirst()), await open(scenario, site, await chooseSecond())];
      for (const page of pages) await page.addInitScript(follow);
      for (const page of pages) await visit(page, site, room(scenario));
      await Promise.all(pages.map(sees));
      await pages[1].goto("about:blank");
      await eventually("no picture of who left", () => pages[0].evaluate(() => !document.querySelector("video") || null));
    });
  }
}

test("threat 46: the example of the document calls where both begin at once", async (scenario) => {
  const site = await publish(scenario);
  const pages = [await open(scenario, site), await open(scenario, site)];
  const [early, late] = pages;
  await early.addInitScript(follow, { offersToo: true });
  await late.addInitScript(follow, { hearsJustThen: true });
  for (let round = 0; round < TIMES; round += 1) {
    for (const page of pages) await visit(page, site, `${room(scenario)}-${round}`);
    await Promise.all(pages.map(sees));
    assert.ok(await late.evaluate(() => window.collided), "no two offers met");
    assert.ok(!(await hasRolledBack(late)), "a first offer was rolled back");
    for (const page of pages) await page.goto("about:blank");
  }
});

/** Serves the example to the browsers, with a server that lets its pages in. */
async function publish(scenario) {
  const document = await readFile(DOCUMENT, "utf8");
  const [, example] = /^### A complete client$.*?^```js\n(.*?)^```$/ms.exec(document) ?? [];
  assert.ok(example?.includes(SERVER), "the document has no example");
  assert.ok(example.split("\n").length <= 41, "the example has more than 40 lines");
  const files = { "/index.html": PAGE };
  const site = await elsewhere(scenario, files);
  const server = await startFor(scenario, { allowedOrigins: [site] });
  files["/client.js"] = example.replace(SERVER, `${server.origin.replace("http", "ws")}/ws`);
  return site;
}

async function visit(page, site, room) {
  await page.goto("about:blank"); // another room alone would not load the page again
  await page.goto(`${site}/#${room}`);
  // In the room, with all that is told to who enters.
  await eventually("a place in the room", () => page.evaluate(() => window.entered || null));
}

/** Waits until the other one's picture moves. */
const sees = (page) =>
  eventually("a picture that moves", () => page.evaluate(() => document.querySelector("video")?.videoWidth > 0 && document.querySelector("video").currentTime > 0.2 || null));

/**
 * Runs in the page, before the example: tells when it is in the room.
 *
 * @param {{ offersToo?: boolean, hearsJustThen?: boolean }} meddling `offersToo`: it takes itself
 *   for a latecomer where it was there first. `hearsJustThen`: of the other one it hears the offer,
 *   just when it has set its own first one.
 */
function follow({ offersToo = false, hearsJustThen = false } = {}) {
  let held = hearsJustThen ? [] : null;
  let holds = () => {};
  const offered = new Promise((resolve) => (holds = resolve));
  window.WebSocket = class extends window.WebSocket {
    set onmessage(hear) {
      super.onmessage = (event) => {
        const { type, ...peer } = JSON.parse(event.data);
        if (type === "signal" && held) {
          held.push(() => hear(event));
          return holds();
        }
        const joined = { type: "joined", peers: [peer] };
        hear(type === "peer-joined" && offersToo ? new MessageEvent("message", { data: JSON.stringify(joined) }) : event);
        window.entered ||= type === "joined";
      };
    }
  };
  if (!hearsJustThen) return;
  const { setLocalDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setLocalDescription = async function (...parameters) {
    await offered;
    await setLocalDescription.apply(this, parameters);
    window.collided ||= this.signalingState === "have-local-offer";
    const hearing = held ?? [];
    held = null;
    for (const hear of hearing) hear();
  };
}
