/**
 * One server, one Chromium and one Firefox for all scenarios; a fresh browser context for each person.
 */
import assert from "node:assert/strict";
import { after } from "node:test";

import { authority, launchChromium, launchFirefox } from "./browsers.mjs";
import { recordConnections } from "./connections.mjs";
import { startServer } from "./server.mjs";

export const server = await startServer();
const chromium = await launchChromium();

/** Launched for the first scenario that asks for it. */
let launching = null;
export const firefox = () => (launching ??= launchFirefox());

after(async () => {
  await chromium.close();
  await launching?.then((browser) => browser.close());
  await server.stop();
  authority.forget();
});

/**
 * Opens a page for one person. When the scenario ends it must have logged no error, violated no content security
 * policy, and opened no dialog; then it is closed.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {string} url A path on the server, or a whole URL.
 * @param {import("playwright-core").BrowserContextOptions & { tolerated?: RegExp, browser?: import("playwright-core").Browser }}
 *   [options] `tolerated`: complaints that the scenario provokes. `browser`: where it is not the Chromium of all.
 */
export async function open(scenario, url, { tolerated, browser = chromium, ...options } = {}) {
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
