/** The self-test page names what keeps calls from working, and calls nothing good that fails. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { test } from "node:test";

import { words as chinese } from "../../../../static/check/words/zh.js";
import { afterwards } from "../afterwards.mjs";
import { findsNothing } from "../axe.mjs";
import { FAKE_DEVICES, launchChromium, withoutFirefox } from "../browsers.mjs";
import { eventually } from "../eventually.mjs";
import { nginxFor, withoutNginx } from "../nginx.mjs";
import { startFor } from "../server.mjs";
import { firefox, open } from "../stage.mjs";
import { visit } from "../visit.mjs";

/** For a person to look at. */
const SCREENSHOTS = new URL("../../../../target/screenshots/", import.meta.url).pathname;
await mkdir(SCREENSHOTS, { recursive: true });

/** Complaints of browsers about requests and paths that fail, which these scenarios are about. */
const FAILURES = /Failed to load resource|WebSocket connection to|ICE failed|Cross-Origin-Opener-Policy header has been ignored/;

const LOOPBACK = ["127.0.0.0/8"];
/** Nobody listens there. */
const NOWHERE = "127.0.0.1:1999";

/**
 * Opens a server's page in a phone's or a desk's window, and waits for its end.
 * @returns {Promise<{ page: import("playwright-core").Page, verdict: string, findings: Map<string,
 *   any>, rows: any[], loops: Record<string, any> }>} Findings by check.
 */
async function check(scenario, url, options = {}) {
  const page = await open(scenario, url, { tolerated: FAILURES, ...options });
  return { page, ...(await end(page)) };
}

async function end(page) {
  await page.locator("main[data-state=done]").waitFor();
  const { verdict, findings, ...figures } = await page.evaluate(() => document.querySelector("main").results);
  assert.equal(await page.getAttribute("main", "data-verdict"), verdict);
  return { verdict, findings: new Map(findings.map((each) => [each.check, each])), ...figures };
}

/** A finding as `STATE REASON FAULT`. */
const short = (finding) => finding && `${finding.state} ${finding.reason} ${finding.fault}`;

/** State and code of the row of a URL. */
const row = async (page, url) => {
  const line = page.locator(`tr[data-url="${url}"]`);
  return `${await line.getAttribute("data-state")} ${await line.getAttribute("data-code")}`;
};

/** Asserts that a fault has both remedies, and leads to its entry. */
async function explains(page, fault) {
  const item = page.locator(`[data-fault="${fault}"]`);
  for (const who of [".visitor", ".operator"]) assert.ok((await item.locator(who).innerText()).trim().split("\n").length > 1, `${fault} ${who}`);
  assert.equal(await item.locator("a").getAttribute("href"), `help#${fault}`);
}

const picture = (page, name) => page.screenshot({ path: `${SCREENSHOTS}check-${name}.png`, fullPage: true });

test("where calls work, every row of the check is good", async (scenario) => {
  const server = await startFor(scenario, { tcp: "127.0.0.1:0", peers: LOOPBACK });
  const { page, verdict, findings, rows, loops } = await check(scenario, `${server.origin}/check`, { reducedMotion: "reduce" });
  assert.equal(short(findings.get("host-loop")), "ok host-loop-ok null");
  assert.equal(verdict, "ok");
  assert.deepEqual(rows.map(({ url }) => url), [
    `stun:${server.listen.udp}`, `turn:${server.listen.udp}?transport=udp`, `turn:${server.listen.tcp}?transport=tcp`,
  ]);
  for (const { url } of rows) assert.equal(await row(page, url), "ok null");
  for (const { relayed, roundTripMs } of rows.slice(1)) {
    assert.match(relayed, /^127\.0\.0\.1:\d+$/);
    assert.ok(roundTripMs > 0 && roundTripMs < 500, `${roundTripMs} ms`);
  }
  for (const name of ["relay", "host"]) {
    assert.equal(loops[name].flow.loss, 0, name);
    assert.ok(loops[name].flow.bps > 300_000, `${name} ${loops[name].flow.bps}`);
    assert.match(await page.getAttribute(`tr[data-loop=${name}]`, "data-grade"), /good|fair|poor/);
  }
  assert.ok((await page.locator("#candidates tr").count()) > 3);
  await findsNothing(page, "check of a good server");
  await picture(page, "good");

  // The report of the operator, and the devices, which are opened on demand only.
  // The page's own policy forbids to read the clipboard.
  await page.evaluate(() => (navigator.clipboard.writeText = async (text) => void (window.copied = text)));
  const copied = async (button) => {
    await page.evaluate(() => (window.copied = null));
    await page.click(button);
    return eventually("a copy", () => page.evaluate(() => window.copied));
  };
  const report = JSON.parse(await copied("#copy-json"));
  assert.equal(report.verdict, "ok");
  assert.deepEqual(Object.keys(report.findings[0]), ["check", "state", "fault", "what", "evidence", "remedy"]);
  const text = await copied("#copy-text");
  assert.match(text, /^Byway connection check, /);
  for (const told of [text, JSON.stringify(report)]) assert.doesNotMatch(told, /credential"|username|\d{10}:[\w-]{22}/);
  await page.click("#devices");
  await page.locator("[data-check=devices][data-state=ok]").waitFor();
});

test("a UDP port where nobody listens is named, and TCP still counts", async (scenario) => {
  const tcp = await startFor(scenario, { udp: null, tcp: "127.0.0.1:0" });
  const [wrong, right] = [`turn:${NOWHERE}?transport=udp`, `turn:${tcp.listen.tcp}?transport=tcp`];
  const server = await startFor(scenario, { urls: [wrong, right] });
  const { page, verdict, findings } = await check(scenario, `${server.origin}/check`, { colorScheme: "dark", reducedMotion: "reduce" });
  assert.match(await row(page, wrong), /^failed/);
  assert.equal(await row(page, right), "ok null");
  assert.equal(short(findings.get("udp")), "warning udp-blocked udp-blocked");
  assert.equal(short(findings.get("host-loop")), "skipped host-loop-no-udp null", "a loss would prove nothing");
  assert.equal(verdict, "limited");
  await explains(page, "udp-blocked");
  await findsNothing(page, "UDP blocked, dark");
  await picture(page, "udp-dark");
});

test("credentials that the relay refuses, and a name that does not resolve, are named", async (scenario) => {
  const other = await startFor(scenario, { secret: "another-secret" });
  const [refused, unknown] = [`turn:${other.listen.udp}?transport=udp`, "turn:no-such-name.invalid:3478?transport=udp"];
  const server = await startFor(scenario, { urls: [refused, unknown] });
  const phone = { viewport: { width: 360, height: 740 }, reducedMotion: "reduce" };
  const { page, verdict, findings } = await check(scenario, `${server.origin}/check`, phone);
  assert.equal(await row(page, refused), "failed 401");
  assert.equal(short(findings.get("credentials")), "failed credentials-refused credentials-refused");
  assert.equal(short(findings.get("name")), "failed name-unresolved name-unresolved");
  assert.equal(short(findings.get("relay-loop")), "skipped relay-loop-untested null");
  assert.equal(verdict, "failed");
  for (const fault of ["credentials-refused", "name-unresolved"]) await explains(page, fault);
  await fits(page);
  await picture(page, "refused-phone");
});

test("only the call from relay to device shows a wrong public address", async (scenario) => {
  const port = 20_000 + (process.pid % 10_000);
  const udp = `127.0.0.1:${port}`;
  const server = await startFor(scenario, {
    udp, peers: LOOPBACK, publicAddresses: ["127.0.0.9"], urls: [`stun:${udp}`, `turn:${udp}?transport=udp`],
  });
  const { page, verdict, findings, loops } = await check(scenario, `${server.origin}/check`, { colorScheme: "dark" });
  assert.equal(short(findings.get("relay-loop")), "ok relay-loop-ok null", "it is shortened in memory");
  assert.equal(loops.relay.flow.loss, 0);
  assert.equal(short(findings.get("host-loop")), "failed wrong-public-address wrong-public-address");
  assert.match(findings.get("host-loop").evidence, /127\.0\.0\.9/);
  assert.equal(await page.getAttribute("tr[data-loop=host]", "data-state"), "failed");
  assert.equal(verdict, "failed");
  await explains(page, "wrong-public-address");
  await picture(page, "wrong-address-dark");
});

test("relay ports are not judged from a network that the relay refuses", async (scenario) => {
  const server = await startFor(scenario, {});
  const { page, verdict, findings } = await check(scenario, `${server.origin}/check?relay=1`, { locale: "zh-CN" });
  assert.equal(short(findings.get("host-loop")), "skipped host-loop-refused null");
  assert.equal(verdict, "incomplete");
  // The relay is forced: no STUN server is asked.
  assert.equal(await page.locator("tr[data-url^=stun]").count(), 0);
  assert.equal(short(findings.get("nat")), "skipped nat-relay-only null");
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  assert.equal(await page.locator("#verdict").innerText(), chinese["verdict.incomplete"]);
  await findsNothing(page, "check in Chinese");
  await picture(page, "chinese");
});

test("without an invitation, what needs none is checked, and a good one opens the rest", async (scenario) => {
  const server = await startFor(scenario, { access: "token" });
  const none = await check(scenario, `${server.origin}/check`);
  assert.equal(short(none.findings.get("access")), "skipped token-missing access");
  assert.equal(short(none.findings.get("websocket")), "ok websocket-ok null");
  assert.deepEqual(none.rows.map(({ url, works }) => `${url} ${works}`), [`stun:${server.listen.udp} true`]);
  assert.equal(none.verdict, "incomplete");
  await explains(none.page, "access");
  await picture(none.page, "no-token");

  const fragment = new URL(await server.invite("--room", "check", "--ttl", "1h")).hash;
  const bad = await check(scenario, `${server.origin}/check${fragment}x`);
  assert.equal(short(bad.findings.get("access")), "failed token-refused access");
  assert.equal(bad.verdict, "failed");

  const opened = await check(scenario, `${server.origin}/check${fragment}`);
  assert.equal(short(opened.findings.get("relay-loop")), "ok relay-loop-ok null");
  assert.equal(await opened.page.getAttribute("#back", "href"), `${server.origin}/${fragment}`);
});

test("an expired invitation is named", async (scenario) => {
  const server = await startFor(scenario, { access: "token" });
  const [header, , signature] = new URL(await server.invite("--room", "check")).hash.replace("#token=", "").split(".");
  // The server checks the signature first, so it has to say so itself: a stand-in for time.
  const page = await open(scenario, "/byway.js", { tolerated: FAILURES });
  await page.route(`${server.origin}/ice`, (route) =>
    route.fulfill({ status: 401, contentType: "application/problem+json", body: JSON.stringify({ code: "token-expired" }) }));
  await page.goto(`${server.origin}/check#token=${header}.e30.${signature}`);
  const { findings } = await end(page);
  assert.equal(short(findings.get("access")), "failed token-expired access");
  await explains(page, "access");
});

test("a page that is not secure, and a clock that is wrong, are named", async (scenario) => {
  const server = await startFor(scenario, { hosts: ["call.example.test"] });
  const browser = await launchChromium({ devices: [FAKE_DEVICES, "--host-resolver-rules=MAP call.example.test 127.0.0.1"] });
  afterwards(scenario, () => browser.close());
  const url = new URL("/check", server.origin);
  url.hostname = "call.example.test";
  const page = await visit(scenario, browser, "about:blank", { tolerated: FAILURES });
  await page.addInitScript(() => {
    const { now } = Date;
    Date.now = () => now() + 300_000;
  });
  await page.goto(url.href);
  const { verdict, findings } = await end(page);
  assert.equal(short(findings.get("browser")), "failed insecure-origin insecure-origin");
  assert.equal(short(findings.get("clock")), "warning clock-off clock-off");
  assert.ok(Math.abs(findings.get("clock").values.seconds - 300) < 10, JSON.stringify(findings.get("clock")));
  assert.equal(verdict, "failed");
  for (const fault of ["insecure-origin", "clock-off"]) await explains(page, fault);
  await picture(page, "insecure");
});

test("a browser that blocks local addresses is named, and nothing is called good", async (scenario) => {
  const server = await startFor(scenario, { tcp: "127.0.0.1:0" });
  // As if the page came from the internet, with the relay on a local network.
  const browser = await launchChromium({
    devices: [FAKE_DEVICES, `--ip-address-space-overrides=${new URL(server.origin).host}=public`, "--enable-features=LocalNetworkAccessChecksWebRTC"],
    // The one without windows has no such permission.
    windows: true,
  });
  afterwards(scenario, () => browser.close());
  const page = await visit(scenario, browser, `${server.origin}/check`, { tolerated: FAILURES });
  const { verdict, findings, rows } = await end(page);
  assert.deepEqual(rows.map(({ works }) => works), [false, false, false]);
  assert.equal(short(findings.get("local-network")), "failed local-network local-network-access");
  assert.equal(verdict, "failed");
  await explains(page, "local-network-access");
  await picture(page, "local-network");
});

/** Mistakes in the configuration of a proxy, with the finding. */
const MISTAKES = {
  "a proxy that drops Upgrade": [(block) => block.replace(/.*Upgrade.*\n.*Connection.*\n/, ""), "failed websocket-failed proxy-upgrade", "websocket"],
  "a proxy that drops Host": [(block) => block.replace(/.*proxy_set_header Host.*\n/, ""), "failed origin-refused proxy-host", "server"],
};

for (const [what, [alter, expected, which]] of Object.entries(MISTAKES)) {
  test(`the check names ${what}`, { skip: withoutNginx }, async (scenario) => {
    const { listen } = await startFor(scenario, {});
    const url = await nginxFor(scenario, "/", listen.http, alter);
    const { page, verdict, findings } = await check(scenario, new URL("check", url).href);
    assert.equal(short(findings.get(which)), expected, JSON.stringify([...findings.values()]));
    assert.equal(verdict, "failed");
    await explains(page, expected.split(" ")[2]);
  });
}

test("a server that stops is named, and the page comes to an end", async (scenario) => {
  const server = await startFor(scenario, {});
  const page = await open(scenario, `${server.origin}/check`, { tolerated: FAILURES });
  await end(page);
  await page.route(`${server.origin}/**`, (route) => route.abort("connectionrefused"));
  await page.click("#again");
  const { verdict, findings } = await end(page);
  assert.equal(short(findings.get("server")), "failed stopped not-running");
  assert.equal(verdict, "failed");
  await explains(page, "not-running");
});

test("Firefox checks the relay, too", { skip: withoutFirefox }, async (scenario) => {
  const server = await startFor(scenario, { tcp: "127.0.0.1:0" });
  const { page, findings, rows, loops } = await check(scenario, `${server.origin}/check`, { browser: await firefox() });
  for (const { url } of rows) assert.match(await row(page, url), /^ok/);
  assert.equal(short(findings.get("relay-loop")), "ok relay-loop-ok null");
  assert.equal(loops.relay.flow.loss, 0);
  assert.equal(short(findings.get("host-loop")), "skipped host-loop-refused null");
});

test("the check has a content security policy of its own, and the call page leads to it", async (scenario) => {
  const server = await startFor(scenario, {});
  const response = await fetch(`${server.origin}/check`);
  const policy = response.headers.get("content-security-policy");
  assert.doesNotMatch(policy, /unsafe-|\*|https?:|data:|blob:/);
  assert.match(policy, /script-src 'self' 'sha256-[\w+/]{43}='; style-src 'self' 'sha256-[\w+/]{43}='/);
  assert.notEqual(policy, (await fetch(server.origin)).headers.get("content-security-policy"));
  assert.equal((await fetch(`${server.origin}/check.html`)).status, 404);
  const landing = await open(scenario, `${server.origin}/#token=a.b.c`);
  assert.equal(await landing.locator("main a[href*=check]").getAttribute("href"), `${server.origin}/check#token=a.b.c`);
});

/** No line of the page is wider than the window. */
async function fits(page) {
  const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(needed <= given, `${needed} pixels of content in a window of ${given}`);
}
