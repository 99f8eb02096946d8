/**
 * Runs the failed scenarios of a file once more, alone: `node again.mjs FILE <tap`.
 *
 * Two browsers that share two cores with those of another scenario sometimes lack the time that a
 * scenario allows. One that passes alone is unsteady rather than broken: it is named, and
 * `tests/run` counts it above its last line, because it is a bug all the same. Where many fail, the
 * machine is not the reason, and nothing is repeated.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** More failures than a busy machine explains. */
const MANY = 8;

const [file] = process.argv.slice(2);
const names = failedIn(readFileSync(0, "utf8"));
if (names.length > MANY) process.exit(1);
const broken = names.filter((name) => !passesAlone(name));
process.exit(broken.length > 0 ? 1 : 0);

/** @param {string} name */
function passesAlone(name) {
  const pattern = `^${name.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")}$`;
  const { status, stdout } = spawnSync(
    process.execPath,
    ["--test", "--test-reporter=tap", `--test-name-pattern=${pattern}`, file],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 1 << 26 },
  );
  // All others are skipped, and a pattern that names nothing would pass.
  const isNamed = (/** @type {string} */ line) => /^\s*ok /.test(line) && !/ # SKIP/.test(line) && nameIn(line) === name;
  const isPassed = status === 0 && stdout.split("\n").some(isNamed);
  // Without the totals, which would be counted a second time.
  if (!isPassed) console.log(stdout.replace(/^# (tests|suites|pass|fail|cancelled|skipped|todo) .*\n/gm, ""));
  console.log(isPassed ? `# unsteady ${name}` : `# broken, also alone: ${name}`);
  return isPassed;
}

/** Names of the tests that failed, without the suites around them. */
function failedIn(/** @type {string} */ tap) {
  const lines = tap.split("\n");
  const isSuite = (/** @type {number} */ at) => {
    const end = lines.findIndex((line, place) => place > at && line.trim() === "...");
    return lines.slice(at, end).some((line) => line.trim() === "type: 'suite'");
  };
  return lines.flatMap((line, at) => (/^\s*not ok /.test(line) && !isSuite(at) ? [nameIn(line)] : []));
}

/** Name in a line of TAP, in which `#` and `\` are escaped. */
function nameIn(/** @type {string} */ line) {
  return line.replace(/^\s*(not )?ok \d+ - /, "").replace(/ # (SKIP|TODO).*$/, "").replace(/\\([#\\])/g, "$1").trimEnd();
}
