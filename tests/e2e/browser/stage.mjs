/**
 * One server, one Chromium and one Firefox for all scenarios; a fresh browser context for each
 * person.
 */
import { after } from "node:test";

import { authority, launchChromium, launchFirefox } from "./browsers.mjs";
import { addressOf, enter, peers } from "./page.mjs";
import { startServer } from "./server.mjs";
import { visit } from "./visit.mjs";

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
 * Opens a page for one person, as {@link visit} does.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {string} url A path on the server, or a whole URL.
 * @param {object} [options] As of {@link visit}, and `browser`: where it is not the Chromium of
 *   all.
 */
export const open = (scenario, url, { browser = chromium, ...options } = {}) =>
  visit(scenario, browser, new URL(url, server.origin).href, options);

/** Opens a room's page and joins; `origin` is that of a server of the scenario's own. */
export async function join(scenario, room, { origin = server.origin, relay, name, ...options } = {}) {
  const page = await open(scenario, addressOf(origin, room, { relay }), options);
  await enter(page, name);
  return page;
}

/** Two people in one room, who see each other. */
export async function call(scenario, room, options) {
  const [first, second] = [await join(scenario, room, options), await join(scenario, room, options)];
  await Promise.all([peers(first, 1), peers(second, 1)]);
  return [first, second];
}

/** A room of its own for each scenario. */
export const room = (scenario) => scenario.name.replace(/\W+/g, "-").slice(0, 40) + "-" + process.pid;
