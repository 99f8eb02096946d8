/**
 * Someone is gone without a goodbye.
 */
import assert from "node:assert/strict";

import { videoFlows } from "../../../browser/connections.mjs";
import { eventually } from "../../../browser/eventually.mjs";
import { addressOf, peers, says } from "../../../browser/page.mjs";
import { longestGap, watchMedia } from "../../media.mjs";
import { measured } from "../measured.mjs";
import { TABLE, call, goesOn } from "./call.mjs";
import { launchMortal } from "./killing.mjs";

/** A crash is told at once, by the kernel of the machine where it happens. */
const CRASH_MS = 5_000;
/** The server pings every 30 s, and has given up after three. */
const SILENCE_MS = 120_000;
/**
 * Time between two pictures of an undisturbed call on a busy machine. No restart of anything
 * is as short.
 */
const UNDISTURBED_MS = 1_000;

/** @param {import("../../lab.mjs").Lab} lab */
export function killedBrowser(lab) {
  measured({ table: TABLE, name: "a third browser is killed" }, async (scenario) => {
    await lab.arrange({});
    const server = await lab.serve(scenario);
    const address = addressOf(server.origin, "tea", { relay: true });
    const pages = [await lab.join(scenario, "a", address), await lab.join(scenario, "b", address)];
    const { browser, kill } = await launchMortal(scenario, lab.network.on("client-a"));
    const dying = await lab.join(scenario, "a", address, { browser });
    await Promise.all([...pages, dying].map((page) => peers(page, 2)));
    await videoFlows(...pages, dying);

    const killed = Date.now();
    kill();
    // From here on everything comes from the other one.
    await watchMedia(...pages);
    await Promise.all(pages.map((page) => peers(page, 1)));
    const toldMs = Date.now() - killed;
    await Promise.all(pages.map((page) => says(page, /left/)));
    const path = await goesOn(pages);
    const gapMs = await longestGap(...pages);
    assert.ok(toldMs < CRASH_MS, `the others were told after ${toldMs} ms`);
    assert.ok(gapMs < UNDISTURBED_MS, `the others had a gap of ${gapMs} ms`);
    return { path: `${path}; gone after ${inSeconds(toldMs)}`, gapMs };
  });
}

/** Takes a minute and a half. @param {import("../../lab.mjs").Lab} lab */
export function pulledCable(lab) {
  measured({ table: TABLE, name: "a cable is pulled" }, async (scenario) => {
    await lab.arrange({});
    const { server, pages: [, page] } = await call(lab, scenario, { way: "udp", relay: "byway" });
    const pulled = Date.now();
    lab.network.unplug("a");
    await says(page, /failed; trying again/, SILENCE_MS);
    const failedMs = Date.now() - pulled;
    await eventually("alone", async () => (await page.locator(".peer").count()) === 0 || null, SILENCE_MS);
    const goneMs = Date.now() - pulled;
    await says(page, /left/);
    await eventually("one member", async () => (await server.metric("byway_members")) === 1 || null);
    // The survivor's own connection is closed; that of the other lasts until nobody has prolonged
    // it: see the long call.
    await eventually("one allocation", async () => (await server.metric("byway_allocations")) === 1 || null);
    return { path: `none; said after ${inSeconds(failedMs)}, gone after ${inSeconds(goneMs)}` };
  });
}

const inSeconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
