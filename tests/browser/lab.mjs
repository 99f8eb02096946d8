/**
 * One server and one Chromium for all scenarios; a fresh browser context for each person.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after } from "node:test";
import { chromium } from "playwright-core";

import { recordConnections } from "./connections.mjs";
import { startServer } from "./server.mjs";

/** The binary itself where it is known: Debian's script around it reads files of the machine's administrator. */
const CHROMIUM = [process.env.CHROMIUM, "/usr/lib/chromium/chromium", "/usr/bin/chromium", "/usr/bin/google-chrome"];

const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A camera and a microphone of the browser's own making, allowed without asking.
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  // Direct paths over loopback: the machine may have no other network.
  "--allow-loopback-in-peer-connection",
  // Pages behind others are as awake as the one in front.
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  // Chromium refuses its sandbox to root, and only then is it left out.
  ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
];

export const server = await startServer();
const browser = await chromium.launch({ executablePath: CHROMIUM.find((path) => path && existsSync(path)), args: FLAGS });

after(async () => {
  await browser.close();
  await server.stop();
});

/**
 * Opens a page for one person. When the scenario ends it must have logged no error, violated no content security
 * policy, and opened no dialog; then it is closed.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {string} url A path on the server, or a whole URL.
 * @param {import("playwright-core").BrowserContextOptions & { tolerated?: RegExp }} [options] `tolerated`: complaints
 *   that the scenario provokes.
 */
export async function open(scenario, url, { tolerated, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const complaints = [];
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack}`));
  page.on("console", (message) => message.type() === "error" && complaints.push(`console: ${message.text()}`));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  await page.exposeFunction("reportViolation", (violation) => complaints.push(`policy: ${violation}`));
  await page.addInitScript(() =>
    document.addEventListener("securitypolicyviolation", (event) =>
      window.reportViolation(`${event.violatedDirective} refused ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`),
    ),
  );
  await page.addInitScript(recordConnections);
  scenario.after(async () => {
    await context.close();
    assert.deepEqual(complaints.filter((complaint) => !tolerated?.test(complaint)), [], `complaints of ${url}`);
  });
  await page.goto(new URL(url, server.origin).href);
  return page;
}

/** A room of its own for each scenario. */
export const room = (scenario) => scenario.name.replace(/\W+/g, "-").slice(0, 40) + "-" + process.pid;

/** Waits, with a bound, until `check` gives something that is not false, null or undefined, and returns that. */
export async function eventually(what, check, patienceMs = 15_000) {
  const deadline = Date.now() + patienceMs;
  let last;
  do {
    last = await check();
    if (last !== false && last !== null && last !== undefined) return last;
    await new Promise((resolve) => setTimeout(resolve, 100));
  } while (Date.now() < deadline);
  assert.fail(`${what}: not within ${patienceMs} ms`);
}
