import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { get } from "node:http";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { addressOf, enter, peers } from "../page.mjs";
import { open, room, server } from "../stage.mjs";

/** A phone far away: round trip, and bytes a second both ways. */
const SLOW = { offline: false, latency: 400, downloadThroughput: 50_000, uploadThroughput: 50_000 };

/** At 50 kB/s they take 0.96 s. */
const DOCUMENT_BYTES = 48_000;

test("the document of the page is small, and holds its style and its script", async () => {
  const { headers, body } = await compressed(server.origin, "br");
  assert.equal(headers["content-encoding"], "br");
  assert.ok(body.length <= DOCUMENT_BYTES, `${body.length} bytes, at most ${DOCUMENT_BYTES}`);
  const html = await (await fetch(server.origin)).text();
  assert.match(html, /<style>/);
  assert.match(html, /<script type="module">/);
});

test("over a slow network the page is usable after one request", async (scenario) => {
  const page = await open(scenario, "about:blank");
  const requests = requestsOf(page);
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  await session.send("Network.emulateNetworkConditions", SLOW);
  await page.addInitScript(() => {
    const look = () => {
      const join = document.querySelector("#join");
      const usable = document.querySelector("#call[data-state]:not([hidden])") && join && !join.disabled;
      if (usable) window.usableMs = performance.now();
      else requestAnimationFrame(look);
    };
    look();
  });
  await page.goto(addressOf(server.origin, room(scenario)), { waitUntil: "commit" });
  const usableMs = await eventually("the page is usable", () => page.evaluate(() => window.usableMs ?? null));
  // A busy machine is slower than the network: the bytes and the requests are what is asserted.
  scenario.diagnostic(`usable after ${Math.round(usableMs)} ms at 400 ms and 50 kB/s`);
  const code = requests.filter(({ type }) => ["document", "script", "stylesheet"].includes(type));
  assert.deepEqual(code.map(({ type }) => type), ["document"], code.map(({ url }) => url).join("\n"));
});

test("a whole call asks nobody but the server", async (scenario) => {
  const address = addressOf(server.origin, room(scenario));
  const [page, other] = [await open(scenario, address), await open(scenario, address)];
  const requests = [page, other].map(requestsOf);
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.reload();
  await enter(page);
  await enter(other);
  await Promise.all([peers(page, 1), peers(other, 1)]);
  await videoFlows(page, other);
  for (const panel of ["people", "chat", "photo", "gif", "record", "info", "settings"]) {
    await page.click(`#${panel}`);
    await page.locator(`#${panel}[aria-expanded=true]`).waitFor();
  }
  await eventually("the last panel was fetched", () => requests[0].some(({ url }) => url.endsWith("/panels/settings.js")));
  const urls = [...requests.flat().map(({ url }) => url), ...sockets];
  const foreign = urls.filter((url) => !/^(data|blob):/.test(url) && new URL(url).host !== new URL(server.origin).host);
  assert.deepEqual(foreign, []);
  assert.ok(sockets.length >= 1 && urls.length > 3, "the requests were seen");
});

test("the files work without the build, from any static file server", async (scenario) => {
  const name = room(scenario);
  // Chromium takes a document from a test for one of the public internet, which asks for a device.
  const page = await open(scenario, "about:blank", { permissions: ["camera", "microphone", "local-network-access"] });
  const served = new Set();
  await page.route(`${server.origin}/**`, (route) => {
    const path = new URL(route.request().url()).pathname.replace(/^\/$/, "/index.html").slice(1);
    const file = fileURLToPath(new URL(`../../../../static/${path}`, import.meta.url));
    if (!existsSync(file)) return route.continue();
    served.add(path);
    return route.fulfill({ path: file });
  });
  await page.goto(addressOf(server.origin, name));
  await enter(page);
  const linked = await open(scenario, addressOf(server.origin, name));
  await enter(linked);
  await videoFlows(page, linked);
  assert.ok(served.has("app.js") && served.has("byway/call.js"), "each file was fetched for itself");
});

test("own scripts alone become workers, and nobody makes another policy", async (scenario) => {
  const page = await open(scenario, "/", { tolerated: /Trusted|policy/i });
  const seen = await page.evaluate(async () => {
    const { ownUrl } = await import("/page/own-url.js");
    const nameOf = (act) => {
      try {
        return act() && "allowed";
      } catch ({ name }) {
        return name;
      }
    };
    return {
      policy: nameOf(() => window.trustedTypes.createPolicy("other", { createScriptURL: (url) => url })),
      plain: nameOf(() => new Worker("/page/own-url.js", { type: "module" })),
      own: nameOf(() => new Worker(ownUrl("page/own-url.js"), { type: "module" })),
      foreign: ["https://example.org/page/x.js", "//example.org/page/x.js", "../x.js", "blob:https://example.org/1", "page/../../x.js",
        "data:text/javascript,1"].map((url) => nameOf(() => ownUrl(url))),
    };
  });
  assert.deepEqual(seen, { policy: "TypeError", plain: "TypeError", own: "allowed", foreign: Array(6).fill("TypeError") });
});

test("the policy allows worklets, WebAssembly and modules of the server, and nothing inline", async (scenario) => {
  const page = await open(scenario, "/", { tolerated: /inline|eval|Trusted/i });
  const seen = await page.evaluate(async () => {
    const { qrcode } = await import("/vendor/qrcode-generator/qrcode.js");
    const { RnnoiseWorkletNode, loadRnnoise } = await import("/vendor/noise-suppressor/index.js");
    const at = (name) => `/vendor/noise-suppressor/${name}`;
    const wasmBinary = await loadRnnoise({ url: at("rnnoise.wasm"), simdUrl: at("rnnoise_simd.wasm") });
    const context = new AudioContext({ sampleRate: 48_000 });
    await context.audioWorklet.addModule(at("rnnoise-worklet.js"));
    const node = new RnnoiseWorkletNode(context, { maxChannels: 1, wasmBinary });
    const source = new OscillatorNode(context);
    const listener = new AnalyserNode(context);
    source.connect(node).connect(listener);
    source.start();
    const violations = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => violations.push(violatedDirective));
    const inline = document.createElement("style");
    inline.textContent = "body { display: none }";
    document.head.append(inline);
    // Of a task of the page: what the debugger evaluates is exempt.
    const evaluated = await new Promise((resolve) => {
      setTimeout(() => {
        try {
          resolve(String(new Function("return 1")()));
        } catch (error) {
          resolve(error.name);
        }
      });
    });
    const heard = () => {
      const samples = new Float32Array(listener.fftSize);
      listener.getFloatTimeDomainData(samples);
      return samples.some((sample) => sample !== 0);
    };
    window.heard = heard;
    return { wasm: wasmBinary.byteLength, qr: typeof qrcode, evaluated, violations };
  });
  assert.ok(seen.wasm > 100_000);
  assert.equal(seen.qr, "function");
  assert.equal(seen.evaluated, "EvalError");
  assert.ok(seen.violations.some((directive) => directive.startsWith("style-src")), String(seen.violations));
  await eventually("sound came through the worklet", () => page.evaluate(() => window.heard()));
});

test("the page can be installed, and nothing of it outlives an upgrade", async (scenario) => {
  const page = await open(scenario, "/");
  const session = await page.context().newCDPSession(page);
  const { errors, url, data } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const manifest = JSON.parse(data);
  assert.ok(manifest.name && manifest.short_name && manifest.display === "standalone");
  for (const { src, sizes, type } of manifest.icons.filter(({ sizes }) => sizes !== "any")) {
    const icon = await fetch(new URL(src, url));
    assert.equal(icon.headers.get("content-type"), type, src);
    const bytes = Buffer.from(await icon.arrayBuffer());
    assert.equal(`${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`, sizes, src);
  }
  assert.ok(manifest.icons.some(({ purpose }) => purpose === "maskable"));
  const workers = await page.evaluate(() => navigator.serviceWorker.getRegistrations().then(({ length }) => length));
  assert.equal(workers, 0, "a service worker could serve files of the version before");
});

/** Requests of a page from now on. */
function requestsOf(page) {
  const requests = [];
  page.on("request", (request) => requests.push({ url: request.url(), type: request.resourceType() }));
  return requests;
}

/** A response as it was sent: `fetch` would unpack it. */
const compressed = (url, encoding) =>
  new Promise((resolve, reject) => {
    get(url, { headers: { "accept-encoding": encoding } }, async (response) => {
      resolve({ headers: response.headers, body: Buffer.concat(await response.toArray()) });
    }).on("error", reject);
  });
