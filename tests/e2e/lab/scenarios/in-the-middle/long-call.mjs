/**
 * A call that is longer than what a relay keeps without being asked again: permissions (5 minutes),
 * channels and allocations (10), over a cable on which the asking gets lost, too.
 */
import assert from "node:assert/strict";

import { statistics } from "../../../browser/connections.mjs";
import { eventually } from "../../../browser/eventually.mjs";
import { addressOf, peers } from "../../../browser/page.mjs";
import { longestGap, watchMedia } from "../../media.mjs";
import { measured } from "../measured.mjs";
import { TABLE, goesOn } from "./call.mjs";
import { launchMortal } from "./killing.mjs";

/**
 * A channel, and an allocation that nobody prolongs (RFC 8656 sections 3.2 and 12), with a while to
 * see it.
 */
const LIFETIME_MS = 10 * 60_000;
const PATIENCE_MS = LIFETIME_MS + 90_000;
const PAUSE_MS = 5_000;
/** For a run beside other calls. */
const CONNECTING_MS = 60_000;

/**
 * Requests that each end repeats in that time. Chromium's are its channels every 4 minutes, which
 * prolongs the permission with them, and its allocation a minute before it expires.
 */
const REFRESHES = 3;

/**
 * @param {import("../../lab.mjs").Lab} lab A laboratory of its own: this one runs beside the
 *   others.
 */
export function longCall(lab) {
  measured({ table: TABLE, name: "ten minutes over a cable that loses 5 %" }, async (scenario) => {
    await lab.arrange({ a: { cable: { lossPercent: 5 } } });
    const server = await lab.serve(scenario, { offers: ["udp"] });
    const address = addressOf(server.origin, "tea", { relay: true });
    const pages = [await lab.join(scenario, "a", address), await lab.join(scenario, "b", address)];
    await Promise.all(pages.map((page) => peers(page, 1)));
    await goesOn(pages);
    await Promise.all(pages.map(withoutCamera));

    const { browser, kill } = await launchMortal(scenario, lab.network.on("client-b"));
    const dying = await lab.join(scenario, "b", address, { browser });
    await Promise.all([...pages, dying].map((page) => peers(page, 2)));
    await eventually("the third is in the call", () => statistics(dying), CONNECTING_MS);
    kill();
    await Promise.all(pages.map((page) => peers(page, 1)));

    loseRefreshes(lab.network);
    await watchMedia(...pages);
    const begun = Date.now();
    const before = await count(server);
    assert.ok(before.allocations > pages.length, "whoever was killed has not taken leave of the relay");
    await eventually("all that was asked for once has to be asked for again, or is gone", async () => {
      const now = await count(server);
      const asked = now.successes - before.successes;
      return (Date.now() - begun > LIFETIME_MS && asked >= pages.length * REFRESHES && now.allocations === pages.length) || null;
    }, PATIENCE_MS, PAUSE_MS);
    const after = await count(server);
    assert.equal(after.granted, before.granted, "nobody began anew");
    const lost = refreshesLost(lab.network);
    assert.ok(lost > 0, "some of what was asked for again was lost");
    for (const page of pages) assert.equal(await page.evaluate(() => window.connections.length), 2);
    const gapMs = await longestGap(...pages);
    await Promise.all(pages.map(withCamera));
    return { path: `${await goesOn(pages)}; ${lost} refreshes lost, ${after.successes - before.successes} requests granted`, gapMs };
  });
}

/**
 * The first few Refresh, CreatePermission and ChannelBind requests from here on do not arrive (RFC
 * 8656 section 17): at 5 % they mostly would.
 */
const LOSS = `table inet loss {
  chain refreshes {
    type filter hook forward priority 5
    udp dport 3478 @th,64,16 { 0x0004, 0x0008, 0x0009 } quota until 400 bytes counter drop
  }
}`;

/** @param {import("../../network.mjs").Network} network */
const loseRefreshes = (network) => network.run("router-a", "nft", LOSS);

/** @param {import("../../network.mjs").Network} network */
const refreshesLost = (network) => Number(/packets (\d+)/.exec(network.run("router-a", "nft", "list", "chain", "inet", "loss", "refreshes"))[1]);

/** Sound alone costs next to nothing, and is what there is a gap in or none. */
const withoutCamera = (page) =>
  page.evaluate(async () => {
    const { srcObject: devices } = document.querySelector("video#self");
    await document.querySelector("#call").call.setStream(new MediaStream(devices.getAudioTracks()));
    for (const track of devices.getVideoTracks()) track.stop();
  });

const withCamera = (page) =>
  page.evaluate(async () => {
    const { openCamera } = await import("/byway.js");
    await document.querySelector("#call").call.setStream(await openCamera());
  });

async function count(server) {
  const series = ["byway_allocations", "byway_allocations_granted_total", "byway_turn_successes_total"];
  const [allocations, granted, successes] = await server.metrics(...series);
  return { allocations, granted, successes };
}
