/**
 * A call to which something happens.
 */
import assert from "node:assert/strict";

import { echoes, statistics, videoFlows } from "../../../browser/connections.mjs";
import { eventually } from "../../../browser/eventually.mjs";
import { addressOf, peers } from "../../../browser/page.mjs";
import { UNREACHABLE } from "../../../browser/visit.mjs";
import { longestGap, watchMedia } from "../../media.mjs";
import { measured } from "../measured.mjs";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {import("../../results.mjs").Relay} Relay */
/** @typedef {"direct" | "udp" | "tcp" | "tls"} Way */

export const TABLE = "In the middle of a call";

/**
 * A browser calls a path lost after some 5 s and failed after some 15; a module that has lost the
 * server pauses up to 30.
 */
const HEALING_MS = 60_000;

/**
 * Transports that the relay may use, besides STUN.
 * @type {Record<Way, import("../../lab.mjs").Offer[]>}
 */
const OFFERS = { direct: ["stun"], udp: ["udp"], tcp: ["tcp"], tls: ["tls"] };

/** In words, for names. @param {Way} way */
export const inWords = (way) => (way === "direct" ? "direct" : `relayed over ${way.toUpperCase()}`);

/**
 * A scenario of a call that is disturbed. Without a relay there is none to compare.
 *
 * @param {import("../../lab.mjs").Lab} lab
 * @param {{ name: string, way: Way, relays: Relay[], places?:
 *   Parameters<import("../../lab.mjs").Lab["arrange"]>[0] }} what
 * @param {(pages: Page[]) => ReturnType<Parameters<typeof measured>[1]>} disturb
 */
export function disturbed(lab, { name, way, relays, places = {} }, disturb) {
  measured({ table: TABLE, name, relays: way === "direct" ? ["byway"] : relays }, async (scenario, relay) => {
    await lab.arrange(places);
    const { pages } = await call(lab, scenario, { way, relay });
    return disturb(pages);
  });
}

/** Two people in a room of a server, who see each other: by one way, and there is no other. */
export async function call(lab, scenario, { way, relay }) {
  const server = await lab.serve(scenario, { offers: OFFERS[way], relay });
  const address = addressOf(server.origin, "tea", { relay: way !== "direct" });
  const pages = [];
  for (const side of ["a", "b"]) pages.push(await lab.join(scenario, side, address, { tolerated: UNREACHABLE }));
  await Promise.all(pages.map((page) => peers(page, 1)));
  await videoFlows(...pages);
  return { server, pages };
}

/**
 * Something happens to a call, which must heal: how it did, and how long there was no media.
 *
 * @param {Page[]} pages
 * @param {() => void} disturb Parts them on the path they have.
 * @param {{ signaling?: boolean }} [options] `signaling`: whether the first is parted from the
 *   server, too. Else an ICE restart is what heals it.
 */
export async function heals(pages, disturb, { signaling = true } = {}) {
  await watchMedia(...pages);
  const before = await Promise.all(pages.map(look));
  const answered = signaling ? listenForAnswer(pages[0]) : () => true;
  disturb();
  const how = async () => findHow(before, await Promise.all(pages.map(look)));
  const [first] = await Promise.all([
    eventually("another path", how, HEALING_MS),
    eventually("an answer of the server's", answered, HEALING_MS),
  ]);
  const path = await goesOn(pages);
  const last = await eventually("a path", how, HEALING_MS);
  const gapMs = await longestGap(...pages);
  if (!signaling) assert.equal(last, "an ICE restart");
  return { path: `${path}, by ${[...new Set([first, last])].join(", then ")}`, gapMs };
}

/**
 * Whether the server has answered since over another connection; one that comes to nothing is
 * followed by more.
 * @param {Page} page
 */
function listenForAnswer(page) {
  let answered = false;
  page.on("websocket", (socket) => socket.once("framereceived", () => (answered = true)));
  return () => answered;
}

/**
 * Waits until the call is there: pictures, an echo and the line below the picture. Returns how it
 * goes, in words.
 */
export async function goesOn(pages) {
  await videoFlows(...pages);
  // The connection may be replaced meanwhile, and the echo with it.
  for (const page of pages) await eventually("an echo", () => echoes(page).then(() => true, () => null), HEALING_MS);
  const lines = await Promise.all(pages.map((page) => eventually("the line below the picture", () => lineOf(page))));
  return [...new Set(lines)].join(" and ");
}

/**
 * A member that joined again stands beside its former self until the server has removed that one.
 * @param {Page} page
 */
async function lineOf(page) {
  const lines = await page.locator(".peer [data-path]").allInnerTexts();
  const [, path, protocol] = lines.join("\n").match(/^(Direct|Relayed) over (UDP|TCP|TLS) · \d+ ms/m) ?? [];
  return path && `${path.toLowerCase()} over ${protocol}`;
}

/** Properties that identify a path. @param {Page} page */
async function look(page) {
  const found = await statistics(page);
  const fragment = () => /a=ice-ufrag:(\S+)/.exec(window.connections.findLast((one) => one.localDescription)?.localDescription.sdp)?.[1];
  return found && { number: found.number, pair: found.pair, fragment: await page.evaluate(fragment) };
}

/** By what a call has come to another path, or null while it has not. */
function findHow(before, after) {
  if (!after.every(Boolean)) return null;
  const differ = (what) => after.some((one, index) => one[what] !== before[index][what]);
  if (differ("number")) return "joining again";
  if (differ("fragment")) return "an ICE restart";
  return differ("pair") ? "the browsers alone" : null;
}
