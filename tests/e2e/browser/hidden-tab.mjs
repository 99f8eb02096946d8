/**
 * A tab that can be hidden. Playwright keeps each page that it knows visible and awake, so this one
 * is opened and driven past it.
 */
import { chromium } from "playwright-core";

import { afterwards } from "./afterwards.mjs";
import { CHROMIUM, FAKE_DEVICES } from "./browsers.mjs";
import { eventually } from "./eventually.mjs";

const ARGUMENTS = [
  "--disable-gpu", FAKE_DEVICES, "--use-fake-ui-for-media-stream", "--allow-loopback-in-peer-connection",
  ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
];

/** Arguments of Playwright that keep hidden pages awake. */
const AWAKE = ["--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding"];

/**
 * @param {import("node:test").TestContext} scenario
 * @param {{ hasDisk?: boolean }} [options] Whether its storage is on the disk, and not in memory.
 */
export async function openHideable(scenario, { hasDisk = false } = {}) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS, ignoreDefaultArgs: AWAKE });
  afterwards(scenario, () => browser.close());
  const session = await browser.newBrowserCDPSession();
  const { browserContextId } = hasDisk ? {} : await session.send("Target.createBrowserContext", {});
  const { targetId } = await session.send("Target.createTarget", { url: "about:blank", browserContextId, newWindow: true });
  const { sessionId } = await session.send("Target.attachToTarget", { targetId, flatten: false });
  const waiting = new Map();
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { id, result, error } = JSON.parse(message);
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error) reject?.(new Error(error.message));
    else resolve?.(result);
  });
  let sent = 0;
  const send = (method, params) => {
    sent += 1;
    const message = JSON.stringify({ id: sent, method, params });
    const answer = new Promise((resolve, reject) => waiting.set(sent, { resolve, reject }));
    return session.send("Target.sendMessageToTarget", { sessionId, message }).then(() => answer);
  };
  const tab = {
    send,
    /** Runs a function in the tab, as in a click. */
    async evaluate(run, parameter) {
      const { result, exceptionDetails } = await send("Runtime.evaluate", {
        expression: `(${run})(${JSON.stringify(parameter)})`, awaitPromise: true, returnByValue: true, userGesture: true,
      });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    click: async (selector) => {
      await tab.shows(selector);
      return tab.evaluate((selector) => document.querySelector(selector).click(), selector);
    },
    shows: (selector) => eventually(selector, () => tab.evaluate((selector) => document.querySelector(selector) !== null || null, selector), 30_000),
    goto: (url) => send("Page.navigate", { url }),
    /** Hides the tab behind another one of its window. */
    async hide() {
      await session.send("Target.createTarget", { url: "about:blank", browserContextId, newWindow: false });
      await eventually("the tab is hidden", () => tab.evaluate(() => document.visibilityState === "hidden" || null));
    },
  };
  return tab;
}
