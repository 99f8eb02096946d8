/** A page that cannot reach its server finds out why, as far as a browser tells it. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { words as english } from "../../../../static/page/words/en.js";
import { words as chinese } from "../../../../static/page/words/zh.js";
import { afterwards } from "../afterwards.mjs";
import { layCable } from "../cable.mjs";
import { Authority } from "../certificates.mjs";
import { nginxFor, withoutNginx } from "../nginx.mjs";
import { startFor, startServer, tlsAlone } from "../server.mjs";
import { open, server } from "../stage.mjs";

/** Browsers log each failed request. */
const FAILURES = /Failed to load resource|WebSocket connection to|blocked by CORS policy/;

/** Cases of servers that are out of reach. Each prepares one, and returns its URL. */
const ELSEWHERE = {
  "a name that nobody knows": ["name-stopped", () => "http://no-such-name.invalid/"],
  "a name that nobody knows, over TLS": ["name-certificate-stopped", () => "https://no-such-name.invalid/"],
  "a server that is stopped": ["stopped", stoppedServer],
  "a certificate that the browser does not accept": ["certificate-stopped", withWrongCertificate],
  "a server that does not list the page's origin": ["origin", async (scenario) => (await startFor(scenario, {})).origin],
  "a server that does not answer": ["silent", withDeadCable],
  "a server that is back": ["back", allowing],
};

for (const [what, [name, serverFor]] of Object.entries(ELSEWHERE)) {
  test(`a page says why it cannot reach ${what}`, async (scenario) => {
    const url = await serverFor(scenario);
    // The policy of our own page allows its own server alone.
    const page = await open(scenario, "/byway.js", { bypassCSP: true, tolerated: FAILURES });
    await tells(page, url, name);
  });
}

test("a page says that its device is offline", async (scenario) => {
  const page = await open(scenario, "/byway.js", { tolerated: FAILURES });
  await page.evaluate(load);
  await page.context().setOffline(true);
  await tells(page, server.origin, "offline");
});

/** Mistakes in the configuration of a proxy, by the reason that the page finds. */
const MISTAKES = {
  upgrade: (block) => block.replace(/.*Upgrade.*\n.*Connection.*\n/, ""),
  origin: (block) => block.replace(/.*proxy_set_header Host.*\n/, ""),
  host: (block) => block.replace("$http_host", "another.example.org"),
  other: () => "location / { return 404; }",
};

for (const [name, alter] of Object.entries(MISTAKES)) {
  test(`a page says which mistake its proxy has: ${name}`, { skip: withoutNginx }, async (scenario) => {
    const { listen } = await startFor(scenario, {});
    const url = await nginxFor(scenario, "/", listen.http, alter);
    const page = await onProxy(scenario, url);
    await tells(page, url, name);
  });
}

test("a page says that the server behind its proxy is stopped", { skip: withoutNginx }, async (scenario) => {
  const url = await nginxFor(scenario, "/call/", "127.0.0.1:9");
  await tells(await onProxy(scenario, url), url, "behind-proxy");
});

/** Opens a page of the proxy's origin, with the module in it, whatever the proxy answers. */
async function onProxy(scenario, url) {
  const module = await (await fetch(new URL("/page/reach.js", server.origin))).text();
  const page = await open(scenario, "/byway.js", { tolerated: FAILURES });
  const { origin } = new URL(url);
  await page.route(`${origin}/stand-in*`, (route) =>
    route.fulfill(route.request().url().endsWith(".js") ? { contentType: "text/javascript", body: module } : { contentType: "text/html", body: "" }));
  await page.goto(`${origin}/stand-in`);
  await page.evaluate(async () => (window.reach = await import("/stand-in.js")));
  return page;
}

/** Asserts the reason, and that both languages have a whole sentence for it. */
async function tells(page, url, name) {
  await page.evaluate(load);
  const { key, values } = await page.evaluate((it) => window.reach.whyUnreachable(it), url);
  assert.equal(key, `reach.${name}`, JSON.stringify(values));
  for (const words of [english, chinese]) {
    const sentence = words[key].replace(/\{(\w+)\}/g, (_, value) => values[value]);
    assert.doesNotMatch(sentence, /undefined|[{}]/);
  }
}

/** Runs in the page. */
async function load() {
  window.reach ??= await import("/page/reach.js");
}

async function stoppedServer() {
  const stopped = await startServer();
  await stopped.stop();
  return stopped.origin;
}

async function withWrongCertificate(scenario) {
  const unknown = new Authority();
  afterwards(scenario, () => unknown.forget());
  const { origin } = await startFor(scenario, tlsAlone(unknown.issue()));
  return origin;
}

async function withDeadCable(scenario) {
  const cable = await layCable(scenario, new URL(server.origin).host);
  cable.die();
  return cable.origin;
}

async function allowing(scenario) {
  return (await startFor(scenario, { allowedOrigins: [server.origin] })).origin;
}
