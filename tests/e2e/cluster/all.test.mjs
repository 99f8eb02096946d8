/**
 * Injects the faults of a cluster, one after the other, into a call between two nodes about a room
 * of a third one. Both callers use the relay of their own node alone.
 *
 * FAULTS=broker|owner injects those whose words have one of these in them. PUBLISH=1 writes the
 * table of docs/cluster.md.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { eventually } from "../browser/eventually.mjs";
import { Callers, comeBy } from "./callers.mjs";
import { Cluster, FRA, NYC, SGP } from "./cluster.mjs";
import { FAULTS } from "./faults.mjs";
import { cells, documented, publish } from "./table.mjs";

const chosen = FAULTS.filter(({ what }) => new RegExp(process.env.FAULTS || ".").test(what));

test("a call across two nodes, and what becomes of it", async (story) => {
  const cluster = new Cluster();
  await cluster.open(story);

  /** @type {[import("./faults.mjs").Fault, import("./table.mjs").Result][]} */ const results = [];
  for (const fault of chosen) {
    await story.test(fault.what, async (scenario) => {
      const started = Date.now();
      try {
        const result = await suffer(scenario, cluster, fault);
        results.push([fault, result]);
        scenario.diagnostic(`${cells(result).join(" | ")} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
        judge(fault, result);
      } catch (error) {
        scenario.diagnostic(cluster.logs(started));
        throw error;
      } finally {
        await cluster.mend();
      }
    });
  }
  if (results.length < FAULTS.length) return;
  if (process.env.PUBLISH) publish(results);
  assert.deepEqual(documented(), FAULTS.map(({ what }) => what), "docs/cluster.md: run tests/e2e/cluster/all");
});

/**
 * @param {import("node:test").TestContext} scenario
 * @param {Cluster} cluster
 * @param {import("./faults.mjs").Fault} fault
 * @returns {Promise<import("./table.mjs").Result>}
 */
async function suffer(scenario, cluster, { inject, noticed, heals, end }) {
  const room = cluster.roomOf(SGP);
  const callers = new Callers();
  await callers.call(scenario, cluster, room);
  assert.deepEqual([cluster.homeOf("client-a"), cluster.homeOf("client-b")], [FRA, NYC]);
  await callers.watch();

  await inject?.(cluster);
  const begunAt = Date.now();
  const healing = Promise.all([callers.signal(), comeBy(scenario, cluster, room)]);
  healing.catch(() => {}); // it is awaited below
  await noticed?.(cluster);
  if (heals) await healed(healing, callers);
  const endedAt = Date.now();
  await end?.(cluster);
  await cluster.whole();
  await healed(healing, callers);

  const [answeredAt, { home, joinedAt, metAt }] = await healing;
  const since = (/** @type {number} */ at) => ({ ms: at - (at > endedAt ? endedAt : begunAt), afterEnd: at > endedAt });
  return { seen: await callers.seen(), gapMs: await callers.gapMs(), signal: since(answeredAt), admitted: since(joinedAt), met: since(metAt), home };
}

/** Waits until all is as if nothing had happened. */
async function healed(healing, callers) {
  await healing;
  await callers.see();
  await eventually("the two in each other's room", async () => (await callers.isWhole()) || null);
}

/** @param {import("./faults.mjs").Fault} fault @param {import("./table.mjs").Result} result */
function judge({ gapMs: allowed, heals }, { seen, gapMs, signal, met }) {
  for (const { same, left } of seen) {
    assert.ok(same, "the same membership");
    assert.deepEqual(left, [], "nobody was told that the other left");
  }
  assert.ok(gapMs <= allowed, `no media for ${gapMs} ms`);
  if (heals) assert.ok(!signal.afterEnd && !met.afterEnd, "it healed while the fault lasted");
}
