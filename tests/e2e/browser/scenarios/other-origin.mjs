import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { echoes, videoFlows } from "../connections.mjs";
import { peers } from "../page.mjs";
import { startServer } from "../server.mjs";
import { open, room } from "../stage.mjs";

/** A web developer's whole page. */
const developersPage = (byway, room) => `<!doctype html>
<title>A page of its own</title>
<link rel="icon" href="data:,">
<script type="module">
  import { join, openCamera } from "${byway}/byway.js";

  const call = await join({ room: "${room}", stream: await openCamera() });
  call.addEventListener("peer", ({ peer }) => {
    const video = document.createElement("video");
    video.autoplay = video.playsInline = true;
    video.srcObject = peer.stream;
    document.body.append(video);
  });
</script>`;

test("a page on a listed origin calls the server's own page by ten lines", async (scenario) => {
  const site = await serve(scenario, (byway) => developersPage(byway, room(scenario)));
  const byway = await listing(scenario, site.origin);
  site.byway = byway.origin;

  const theirs = await open(scenario, site.origin);
  const ours = await open(scenario, `${byway.origin}/?${new URLSearchParams({ room: room(scenario), relay: "1" })}`);
  await ours.click("#join");
  await peers(ours, 1);
  await videoFlows(theirs, ours);
  await echoes(theirs);
});

test("a page on another origin gets neither signaling nor credentials", async (scenario) => {
  const site = await serve(scenario, () => "<!doctype html><title>Elsewhere</title><link rel=icon href=data:,>");
  const byway = await listing(scenario, "https://listed.example");
  const page = await open(scenario, site.origin, { tolerated: /^console: / });
  const got = await page.evaluate(async (origin) => {
    const socket = new WebSocket(`${origin.replace("http", "ws")}/ws`, "byway.v1");
    const opened = new Promise((resolve) => {
      socket.onopen = () => resolve(true);
      socket.onerror = () => resolve(false);
    });
    const readable = fetch(`${origin}/ice`).then(() => true, () => false);
    return { signaling: await opened, credentials: await readable };
  }, byway.origin);
  assert.deepEqual(got, { signaling: false, credentials: false });
});

/** A site on an origin of its own; its page is made when the Byway server's origin is known. */
async function serve(scenario, page) {
  const site = { byway: "", origin: "" };
  const http = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(page(site.byway));
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  site.origin = `http://127.0.0.1:${http.address().port}`;
  afterwards(scenario, () => {
    http.closeAllConnections?.();
    http.close();
  });
  return site;
}

/** A Byway server that lists `origin`. */
async function listing(scenario, origin) {
  const byway = await startServer({ allowedOrigins: [origin] });
  afterwards(scenario, () => byway.stop());
  return byway;
}
