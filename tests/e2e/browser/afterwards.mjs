/**
 * Cleanup after a scenario, in the reverse order of its set-up: pages end before their server.
 */

/** @type {WeakMap<import("node:test").TestContext, (() => unknown)[]>} */
const steps = new WeakMap();

/**
 * Has this done when the scenario ends, before what was asked for earlier. All of it is done,
 * whatever fails of it.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {() => unknown} undo
 */
export function afterwards(scenario, undo) {
  if (!steps.has(scenario)) {
    steps.set(scenario, []);
    scenario.after(() => undoAll(steps.get(scenario)));
  }
  steps.get(scenario).push(undo);
}

/** @param {(() => unknown)[]} undoing */
async function undoAll(undoing) {
  const failures = [];
  for (const undo of undoing.reverse()) {
    try {
      await undo();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length) throw failures.length > 1 ? new AggregateError(failures, failures.join("; ")) : failures[0];
}
