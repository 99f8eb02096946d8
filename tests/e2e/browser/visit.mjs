/**
 * A page for one person, in a browser of theirs or of all.
 */
import assert from "node:assert/strict";

import { afterwards } from "./afterwards.mjs";
import { recordConnections } from "./connections.mjs";

/** Complaints of browsers about a server that breaks off, refuses or cannot be reached. */
export const UNREACHABLE = /WebSocket connection to .* failed|WebSocket is closed before|net::ERR_/;

/**
 * Opens it in a fresh context. When the scenario ends it must have logged no error, violated no
 * content security policy, and opened no dialog; then it is closed.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {import("playwright-core").BrowserContextOptions & { tolerated?: RegExp,
 *   smallPictures?: boolean }} [options]
 *   `tolerated`: complaints that the scenario provokes. `smallPictures`: as if the person had
 *   chosen them, since two cores encode several pages' pictures in software.
 */
export async function visit(scenario, browser, url, { tolerated, smallPictures = true, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  // Of an action on the page. The library's own bound is 30 s.
  context.setDefaultTimeout(90_000);
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
  if (smallPictures) await page.addInitScript(chooseSmallPictures);
  afterwards(scenario, async () => {
    await context.close();
    assert.deepEqual(complaints.filter((complaint) => !tolerated?.test(complaint)), [], `complaints of ${url}`);
  });
  await page.goto(url);
  return page;
}

/** Runs in the page. */
function chooseSmallPictures() {
  const key = "byway.resolution";
  // The browser's own pages have no storage.
  if (location.protocol.startsWith("http") && !localStorage.getItem(key)) {
    localStorage.setItem(key, JSON.stringify({ width: 320, height: 180, frameRate: 15 }));
  }
}
