import assert from "node:assert/strict";

/** A busy machine takes several times as long for all that it does. */
const SLOWNESS = 3;

/**
 * Waits until `check` gives something that is not false, null or undefined, and returns that. The
 * bound is that of an idle machine, and stretched for a busy one.
 */
export async function eventually(what, check, patienceMs = 15_000, pauseMs = 100) {
  const deadline = Date.now() + SLOWNESS * patienceMs;
  let last;
  do {
    last = await check();
    if (last !== false && last !== null && last !== undefined) return last;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  } while (Date.now() < deadline);
  assert.fail(`${what}: not within ${SLOWNESS} times ${patienceMs} ms`);
}
