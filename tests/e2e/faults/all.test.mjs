/**
 * Injects one fault of real life after the other, and reads what the log, `byway doctor`,
 * `byway probe` and the page `/check` say of it. A fault that neither doctor nor page names with
 * its remedy fails, and so does a reporter that says all is well of something that fails.
 *
 * FAULTS=udp-blocked|proxy-host injects these alone. PUBLISH=1 writes docs/faults.md.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { findingsCell, findingsOfDoctor, findingsOfProbe, logCell, pageCell } from "./cells.mjs";
import { FAULTS } from "./faults.mjs";
import { REPORTERS, documented, leftOf, publish, textsOf } from "./report.mjs";
import { NAME, World } from "./world.mjs";

const chosen = process.env.FAULTS ? FAULTS.filter(({ name }) => process.env.FAULTS.split("|").includes(name)) : FAULTS;

/** Nothing is wrong. @type {import("./faults.mjs").Fault} */
const NONE = { name: "", what: "", inject: () => {}, remedy: /^/ };

/**
 * Worlds beside each other: a fault mostly waits for answers that do not come. They have the same
 * addresses, each in networks of its own.
 */
const WORLDS = Math.min(2, chosen.length);

test("faults, and who names them", { concurrency: WORLDS }, async (story) => {
  const worlds = await Promise.all(Array.from({ length: WORLDS }, async () => {
    const world = new World();
    await world.open(story);
    return world;
  }));
  /**
   * A part of the story, in the world that is free. One that fails runs once more, and says so:
   * reporters judge by deadlines, and two worlds share the processor.
   */
  const part = (/** @type {string} */ name, /** @type {(world: World, scenario: import("node:test").TestContext) => Promise<void>} */ run) =>
    story.test(name, async (scenario) => {
      const world = worlds.pop();
      try {
        await run(world, scenario).catch((error) => {
          scenario.diagnostic(`once more, because: ${error.message}`);
          return run(world, scenario);
        });
      } finally {
        worlds.push(world);
      }
    });

  /** @type {Map<import("./faults.mjs").Fault, import("./report.mjs").Cells>} */
  const results = new Map();
  const parts = chosen.map((fault) => part(`${fault.name}: ${fault.what}`, async (world, scenario) => {
    const started = performance.now();
    const cells = await look(world, fault, scenario);
    results.set(fault, cells);
    const texts = textsOf(fault, cells);
    scenario.diagnostic(`${REPORTERS.map((reporter, at) => `${reporter}: ${texts[at]}`).join("; ")} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    judge(fault, cells);
    if (!process.env.PUBLISH) holds(fault, texts);
  }));
  parts.unshift(part("nothing is reported where nothing is wrong", async (world, scenario) => {
    const cells = await look(world, NONE, scenario);
    for (const reporter of REPORTERS) {
      assert.ok(["silent", "works"].includes(cells[reporter].word), `${reporter} says:\n${cells[reporter].said}`);
    }
  }));
  await Promise.all(parts);
  if (process.env.PUBLISH && results.size === FAULTS.length) publish(FAULTS.map((fault) => [fault, results.get(fault)]));
});

/**
 * Injects a fault, asks everyone, and takes it back.
 *
 * @param {World} world
 * @param {import("./faults.mjs").Fault} fault
 * @param {import("node:test").TestContext} scenario
 * @returns {Promise<import("./report.mjs").Cells>}
 */
async function look(world, fault, scenario) {
  await world.begin();
  try {
    const server = await fault.inject(world, scenario);
    const name = fault.server ?? NAME;
    const browser = await world.lab.browser("a");
    // All of them end before the fault is taken back, also if one fails.
    const asked = await Promise.allSettled([
      (fault.server ? world.doctorInCloud(server) : world.doctor()).then((answer) => cellOf(answer, findingsOfDoctor, fault)),
      world.probe(name).then((answer) => cellOf(answer, findingsOfProbe, fault)),
      fault.page ? fault.page(world) : pageCell(browser, `https://${name}/check`, fault),
    ]);
    const failure = asked.find(({ status }) => status === "rejected");
    if (failure) throw failure.reason;
    const [doctor, probe, page] = asked.map(({ value }) => value);
    const log = logCell(fault.server ? server.log.filter((line) => /WARN|ERROR/.test(line)) : await world.log(), fault);
    return { log, doctor, probe, page };
  } finally {
    await world.restore();
  }
}

/**
 * Cell of a command that prints JSON.
 *
 * @param {Awaited<ReturnType<World["doctor"]>>} answer
 * @param {(printed: string) => import("./cells.mjs").Finding[]} findingsOf
 * @param {import("./faults.mjs").Fault} fault
 */
function cellOf({ code, printed, said }, findingsOf, fault) {
  assert.ok(code === 0 || code === 1, `it ended with ${code}:\n${printed}\n${said}`);
  return findingsCell(findingsOf(printed), fault, code === 0);
}

/**
 * Fails if a cell that docs/faults.md calls named is not. Other cells depend on what gives up
 * first.
 *
 * @param {import("./faults.mjs").Fault} fault
 * @param {string[]} texts
 */
function holds(fault, texts) {
  const row = documented().get(leftOf(fault));
  assert.ok(row, "docs/faults.md lacks this row: run tests/e2e/faults/all");
  const lost = REPORTERS.filter((_, at) => row[at] === "**named**" && texts[at] !== row[at]);
  assert.deepEqual(lost, [], "no longer named as docs/faults.md says");
}

/** @param {import("./faults.mjs").Fault} fault @param {import("./report.mjs").Cells} cells */
function judge({ works }, cells) {
  const all = REPORTERS.map((reporter) => `--- ${reporter}: ${cells[reporter].word}\n${cells[reporter].said}`).join("\n");
  assert.ok(cells.doctor.word === "named" || cells.page.word === "named", `neither doctor nor the page names it:\n${all}`);
  for (const reporter of /** @type {const} */ (["doctor", "probe", "page"])) {
    assert.ok(cells[reporter].word !== "works" || works?.[reporter], `${reporter} says that all is well:\n${all}`);
  }
}
