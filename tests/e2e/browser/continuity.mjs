/** Continuity of a call's sound and picture, as a page that uses the module sees and hears it. */
import assert from "node:assert/strict";

import { eventually } from "./eventually.mjs";

/** A shorter gap is jitter or a busy machine. */
const GAP_MS = 500;

/** Time without a gap after which the media counts as back for good. */
const STEADY_MS = 2_500;

/** For the figure of one that is late. */
const PATIENCE_MS = 60_000;

/**
 * Joins a room with camera and microphone, by the module alone, and watches what comes.
 *
 * @param {import("playwright-core").Page} page Any page of the server's origin.
 * @param {import("../../../static/byway.js").JoinOptions} options
 */
export const attend = (page, options) => page.evaluate(run, options);

/** Waits until both sound and picture have come without a gap for a while. */
export const flows = (...pages) => eventually("sound and picture", () => areSteady(pages, STEADY_MS), PATIENCE_MS);

/**
 * Waits until sound and picture are back at every page, and returns after how many milliseconds of
 * the pages' own running time that was. A page that the busy machine does not run is not blamed.
 *
 * @param {import("playwright-core").Page[]} pages
 * @param {number} since As `Date.now()`.
 */
export async function backAfter(pages, since) {
  await eventually("sound and picture back", async () => Date.now() - since > STEADY_MS && areSteady(pages, STEADY_MS), PATIENCE_MS);
  const seen = await Promise.all(pages.map((page) => page.evaluate(() => ({ gaps: window.gaps, late: window.late }))));
  const ends = seen.flatMap(({ gaps }) => gaps).map(({ to }) => to).filter((to) => to > since);
  const whole = Math.max(since, ...ends) - since;
  const late = union(seen.flatMap(({ late }) => late), since, since + whole);
  return { whole, late, ms: whole - late };
}

/** Asserts that the media was back in time, and says the figure. */
export function assertBack(scenario, what, { whole, late, ms }, limitMs) {
  scenario.diagnostic(`${what}: back after ${ms} ms${late > 0 ? `, and ${late} ms in which a page did not run` : ""}`);
  assert.ok(ms <= limitMs, `${what}: back only after ${ms} of ${whole} ms`);
}

async function areSteady(pages, ms) {
  const all = await Promise.all(pages.map((page) => page.evaluate((steady) => window.steadyFor(steady), ms)));
  return all.every(Boolean) || null;
}

/** Milliseconds between the two times that any of the intervals covers. */
function union(intervals, from, to) {
  let [sum, until] = [0, from];
  for (const [begin, end] of intervals.sort(([a], [b]) => a - b)) {
    sum += Math.max(0, Math.min(to, end) - Math.max(begin, until));
    until = Math.max(until, Math.min(to, end));
  }
  return sum;
}

/** Runs in the page. */
async function run(options) {
  const [GAP_MS, LOOK_MS, LATE_MS] = [500, 50, 250];
  window.gaps = [];
  window.late = [];
  window.trace = [];
  const trace = (what) => window.trace.push(`${Date.now()} ${what}`);
  const last = {};
  const heard = (kind) => {
    const now = Date.now();
    if (last[kind] && now - last[kind] > GAP_MS) window.gaps.push({ kind, from: last[kind], to: now });
    last[kind] = now;
  };
  const since = Date.now();
  window.steadyFor = (ms) => {
    const now = Date.now();
    const quiet = ["sound", "picture"].some((kind) => !last[kind] || now - last[kind] > GAP_MS);
    return !quiet && now - since > ms && window.gaps.every(({ to }) => now - to > ms);
  };

  const { join, openCamera } = await import("/byway.js");
  const camera = await openCamera();
  window.call = await join({ stream: camera, ...options });
  window.errors = [];
  window.call.addEventListener("error", ({ error }) => trace(`error ${error.code}`) && window.errors.push(error.code));
  window.call.addEventListener("signaling", () => trace(`signaling ${window.call.signaling}`));
  window.call.addEventListener("peerleft", ({ peer }) => trace(`peerleft ${peer.id}`));
  window.call.addEventListener("peer", ({ peer }) => {
    trace(`peer ${peer.id}`);
    const connection = () => {
      const { connection } = peer;
      trace(`connection ${window.connections.length}`);
      for (const type of ["connectionstatechange", "signalingstatechange"]) {
        connection.addEventListener(type, () => trace(`${window.connections.indexOf(connection)} ${connection.connectionState} ${connection.signalingState}`));
      }
    };
    connection();
    peer.addEventListener("connection", connection);
    const video = document.createElement("video");
    video.autoplay = true;
    video.srcObject = peer.stream;
    document.body.append(video);
    peer.addEventListener("left", () => video.remove());
    const shown = () => {
      heard("picture");
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  });

  let [latest, before] = [0, Date.now()];
  setInterval(() => {
    const now = Date.now();
    if (now - before > LATE_MS) window.late.push([before, now]);
    before = now;
    const receivers = window.call.peers.flatMap(({ connection }) => connection.getReceivers());
    const sources = receivers.filter(({ track }) => track.kind === "audio").flatMap((it) => it.getSynchronizationSources());
    const newest = Math.max(0, ...sources.map(({ timestamp }) => timestamp));
    if (newest > latest) heard("sound");
    latest = newest;
  }, LOOK_MS);
}
