/**
 * The call page as a person uses it, by the hooks that static/app.js promises.
 */
import { eventually, open } from "./lab.mjs";

/** Opens a room's page and joins. */
export async function join(scenario, room, { relay = false, name = "", ...options } = {}) {
  const query = new URLSearchParams({ room, ...(relay && { relay: "1" }) });
  const page = await open(scenario, `/?${query}`, options);
  if (name) await page.fill("#name", name);
  await page.click("#join");
  await joined(page);
  return page;
}

/** Two people in one room, who see each other. */
export async function call(scenario, room, options) {
  const [first, second] = [await join(scenario, room, options), await join(scenario, room, options)];
  await Promise.all([peers(first, 1), peers(second, 1)]);
  return [first, second];
}

export const joined = (page) => page.locator("#call[data-state=joined]").waitFor();

/** Waits until so many others are shown. */
export const peers = (page, count) =>
  eventually(`${count} others shown`, async () => (await page.locator(".peer").count()) === count || null);

/** Waits until the line under the other's picture reads so. */
export async function lineReads(pattern, ...pages) {
  const reads = async (page) => pattern.test(await page.locator(".peer [data-path]").innerText());
  await Promise.all(pages.map((page) => eventually(`a line like ${pattern}`, async () => (await reads(page)) || null)));
}

/** Waits until the page says so to the person. */
export const says = (page, pattern) =>
  eventually(`a status like ${pattern}`, async () => pattern.test(await page.locator("#status").innerText()) || null);
