/**
 * The call page as a person uses it, by the hooks that static/app.js promises.
 */
import assert from "node:assert/strict";

import { echoes, statistics, videoFlows } from "./connections.mjs";
import { eventually } from "./eventually.mjs";

/** Address of a room's page. */
export const addressOf = (origin, room, { relay = false } = {}) =>
  `${origin}/?${new URLSearchParams({ room, ...(relay && { relay: "1" }) })}`;

/** Joins the room whose page is open. */
export async function enter(page, name = "") {
  if (name) await page.fill("#name", name);
  await page.click("#join");
  await joined(page);
}

export const joined = (page) => page.locator("#call[data-state=joined]").waitFor();

/** Waits until this number of other members is shown. */
export const peers = (page, count) =>
  eventually(`${count} others shown`, async () => (await page.locator(".peer").count()) === count || null);

/** Waits until the line under the other's picture reads so. */
export async function lineReads(pattern, ...pages) {
  const reads = async (page) => pattern.test(await page.locator(".peer [data-path]").innerText());
  await Promise.all(pages.map((page) => eventually(`a line like ${pattern}`, async () => (await reads(page)) || null)));
}

/** Waits until the page says so to the person. */
export const says = (page, pattern, patienceMs) =>
  eventually(`a status like ${pattern}`, async () => pattern.test(await page.locator("#status").innerText()) || null, patienceMs);

/** Flips the relay switch as a person does: in the panel "Connection", by its label. */
export async function toggleRelay(page) {
  if ((await page.getAttribute("#info", "aria-expanded")) === "false") await page.click("#info");
  await page.locator("#panel label:has(#relay)").click();
  await page.click("#panel-close");
}

/**
 * 20 frames each way of a fake camera are tens of kilobytes; connectivity checks alone stay below
 * this.
 */
export const MEDIA_BYTES = 10_000;

/**
 * Waits until both ends of a call use the relay by this protocol, and sees what they send go
 * through the server.
 */
export async function relaysOver(protocol, server, pages) {
  await videoFlows(...pages);
  const before = await server.metric(BETWEEN_CLIENTS);
  await videoFlows(...pages);
  const relayed = (await server.metric(BETWEEN_CLIENTS)) - before;
  assert.ok(relayed > MEDIA_BYTES, `the server relayed ${relayed} bytes of what was seen`);
  for (const page of pages) {
    await echoes(page);
    const { local, remote, relayProtocol } = await statistics(page);
    assert.deepEqual({ local, relayProtocol }, { local: "relay", relayProtocol: protocol });
    // A check that comes before its candidate was told makes a `prflx`, which Firefox keeps.
    assert.ok(["relay", "prflx"].includes(remote), remote);
  }
  await lineReads(new RegExp(`^Relayed over ${protocol} · \\d+ ms · [\\d.]+ [km]bit/s$`, "i"), ...pages);
}

const BETWEEN_CLIENTS = 'byway_relayed_bytes_total{direction="between_clients"}';
