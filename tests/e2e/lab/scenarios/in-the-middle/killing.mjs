/**
 * A browser that ends without a word.
 */
import { afterwards } from "../../../browser/afterwards.mjs";
import { launchChromium } from "../../../browser/browsers.mjs";

/**
 * One to be killed, on a client that may have another.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {string[]} on What to put before its command.
 */
export async function launchMortal(scenario, on) {
  const browser = await launchChromium({ on });
  afterwards(scenario, () => browser.close());
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const { id } = processInfo.find(({ type }) => type === "browser");
  return { browser, kill: () => process.kill(id, "SIGKILL") };
}
