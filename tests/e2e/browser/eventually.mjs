import assert from "node:assert/strict";

/**
 * Waits, with a bound, until `check` gives something that is not false, null or undefined, and
 * returns that.
 */
export async function eventually(what, check, patienceMs = 15_000, pauseMs = 100) {
  const deadline = Date.now() + patienceMs;
  let last;
  do {
    last = await check();
    if (last !== false && last !== null && last !== undefined) return last;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  } while (Date.now() < deadline);
  assert.fail(`${what}: not within ${patienceMs} ms`);
}
