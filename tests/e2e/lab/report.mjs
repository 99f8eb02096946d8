/**
 * Contents of docs/nat-results.md, as a function of the results of the scenarios.
 */

/** @typedef {import("./results.mjs").Result} Result */

/**
 * Programs of the run.
 *
 * @typedef {object} About
 * @property {[string, string][]} versions Of each program.
 * @property {number} cores
 */

/** @param {Result[]} results @param {About} about */
export function report(results, about) {
  const scenarios = sumUp(results);
  const tables = [...new Set(scenarios.map(({ table }) => table))].sort((one, other) => placeOf(one) - placeOf(other));
  return [
    introduction(about),
    ...tables.flatMap((heading) => table(heading, scenarios.filter((scenario) => scenario.table === heading))),
    ...comparison(scenarios),
  ].join("\n\n").concat("\n");
}

/**
 * Order of the parts. Scenarios that run beside others, or are known before, have fixed places. The
 * rest follows in the order of its arrival.
 */
const ORDER = ["NAT by NAT", "One home", "Relay forced", "Firewalls", "Bad cable", "IPv6", "Other clients, relay forced", "In the middle of a call"];

/** @param {string} table */
const placeOf = (table) => (ORDER.includes(table) ? ORDER.indexOf(table) : ORDER.length);

/** @param {About} about */
const introduction = ({ versions, cores }) => `# What gets through

This page records calls between browsers behind NATs and firewalls, each in a network namespace of one machine. \`tests/e2e/lab/all\`
makes the calls and writes this page. Every call is checked in three ways:

- the path that the browsers report,
- the pictures and messages that arrive,
- the counters of the server.

The columns with "coturn" show the same calls with coturn as the relay. Rounds of the two servers alternate, so a slow
machine slows both. The page, its signaling and its credentials are Byway's there, too. coturn runs with the options
that its own documentation recommends, and with its defaults otherwise.

## How to read it

- **Path**: direct or relayed. For a relayed path also the transport by which each end reaches the relay.
- **Time to connect**: from the creation of the connection until it was connected, at the slower end. The table has the median
  of the rounds.
- **Longest gap**: the longest time without media from the other side, at the end where it was longer. The table has the median
  of the rounds. In an undisturbed call it is the time between two packets, as the browser delivers them.
- A number in parentheses is the number of rounds with a time, if not all had one. A dash means that nothing was measured.

Browsers, routers and servers shared ${cores === 1 ? "one core" : `${cores} cores`}. Use the times only for comparison with each other.

| program | version |
|---|---|
${versions.map(([program, version]) => `| ${program} | ${version} |`).join("\n")}`;

/**
 * All rounds of one scenario with one relay.
 *
 * @typedef {object} Rounds
 * @property {number} count
 * @property {string[]} paths
 * @property {number[]} connectMs
 * @property {number[]} gapMs
 * @property {string[]} failures
 */

/** @typedef {{ table: string, scenario: string, byway: Rounds, coturn: Rounds }} Scenario */

/** @param {Result[]} results @returns {Scenario[]} In the order of their first results. */
function sumUp(results) {
  /** @type {Map<string, Scenario>} */ const scenarios = new Map();
  for (const { table, scenario, relay, path, connectMs, gapMs, failure } of results) {
    const key = JSON.stringify([table, scenario]);
    if (!scenarios.has(key)) scenarios.set(key, { table, scenario, byway: noRounds(), coturn: noRounds() });
    const rounds = scenarios.get(key)[relay];
    rounds.count += 1;
    if (failure !== undefined) {
      rounds.failures.push(failure);
      continue;
    }
    rounds.paths.push(path);
    if (connectMs !== undefined) rounds.connectMs.push(connectMs);
    if (gapMs !== undefined) rounds.gapMs.push(gapMs);
  }
  return [...scenarios.values()];
}

/** @returns {Rounds} */
const noRounds = () => ({ count: 0, paths: [], connectMs: [], gapMs: [], failures: [] });

const MEASURES = [["time to connect", "connectMs"], ["longest gap", "gapMs"]];

/**
 * Columns that nothing stands in are left out.
 * @param {string} heading
 * @param {Scenario[]} scenarios
 */
function table(heading, scenarios) {
  const all = scenarios.flatMap(({ byway, coturn }) => [byway, coturn]);
  const rounds = Math.max(...all.map(({ count }) => count));
  const relays = scenarios.some(({ coturn }) => coturn.count) ? ["byway", "coturn"] : ["byway"];
  const measures = MEASURES.filter(([, measure]) => all.some((it) => it[measure].length));

  const columns = ["path", ...measures.map(([title]) => title)];
  const titles = relays.flatMap((relay) => columns.map((title) => (relay === "coturn" ? `coturn: ${title}` : title)));
  const cellsOf = (scenario, relay) => [pathOf(scenario[relay]), ...measures.map(([, measure]) => timeOf(scenario[relay][measure], rounds))];
  const rows = scenarios.map((scenario) => [scenario.scenario, ...relays.flatMap((relay) => cellsOf(scenario, relay))]);
  const lines = [["scenario", ...titles], ...rows].map((cells) => `| ${cells.map(inCell).join(" | ")} |`);
  lines.splice(1, 0, `|---|${relays.map(() => `---|${"---:|".repeat(measures.length)}`).join("")}`);
  return [`## ${heading}`, rounds === 1 ? "One round." : `${rounds} rounds.`, lines.join("\n")];
}

/** @param {Rounds} rounds */
function pathOf({ count, paths, failures }) {
  if (count === 0) return "–";
  const often = failures.length === count ? "" : ` in ${failures.length} of ${count} rounds`;
  const failed = failures.length ? [`**failed**${often}: ${distinct(failures)}`] : [];
  return [...(paths.length ? [distinct(paths)] : []), ...failed].join("; ");
}

/** @param {string[]} texts The most frequent one first. */
function distinct(texts) {
  const frequency = (text) => texts.filter((other) => other === text).length;
  return [...new Set(texts)].sort((one, other) => frequency(other) - frequency(one)).join("; or ");
}

/** @param {number[]} times @param {number} rounds */
const timeOf = (times, rounds) =>
  times.length ? `${Math.round(median(times))} ms${times.length < rounds ? ` (${times.length})` : ""}` : "–";

/** @param {string} text */
const inCell = (text) => text.replace(/\s+/g, " ").replaceAll("|", "\\|");

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = [...numbers].sort((one, other) => one - other);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[Math.floor(sorted.length / 2)]];
  return (low + high) / 2;
}

/** With fewer, chance alone tells two apart too often. */
const ENOUGH_ROUNDS = 4;

/** @param {Scenario[]} scenarios */
function comparison(scenarios) {
  const compared = scenarios.filter(({ byway, coturn }) => byway.connectMs.length && coturn.connectMs.length);
  const failures = [["Byway", "byway"], ["coturn", "coturn"]].flatMap(([name, relay]) => {
    const failed = scenarios.filter((scenario) => scenario[relay].failures.length);
    return failed.length ? [`With ${name} as the relay, these failed:\n\n${list(failed)}`] : [];
  });
  if (!compared.length && !failures.length) return [];
  return [
    "## Beside coturn",
    ...(compared.length ? [ratios(compared), noise(compared)] : []),
    ...failures,
  ];
}

/** @param {Scenario[]} compared */
function ratios(compared) {
  const relayed = compared.filter(({ byway }) => byway.paths.every((path) => path.startsWith("relayed")));
  const ratio = (some) => median(some.map(({ byway, coturn }) => median(byway.connectMs) / median(coturn.connectMs))).toFixed(2);
  const ofRelayed = relayed.length ? `, **${ratio(relayed)}** over the relayed ones (${relayed.length})` : "";
  return `Median ratio of the time to connect, Byway to coturn: **${ratio(compared)}** over all scenarios that connected with `
    + `both (${compared.length})${ofRelayed}.`;
}

/** @param {Scenario[]} compared */
function noise(compared) {
  const rounds = ({ byway, coturn }) => Math.min(byway.connectMs.length, coturn.connectMs.length);
  const told = compared.filter((scenario) => rounds(scenario) >= ENOUGH_ROUNDS);
  if (!told.length) return "There are too few rounds to tell a difference from noise.";
  const slower = told.filter(({ byway, coturn }) => isLonger(byway.connectMs, coturn.connectMs));
  const faster = told.filter(({ byway, coturn }) => isLonger(coturn.connectMs, byway.connectMs));
  return [
    `Slower than with coturn beyond noise: ${slower.length} of ${told.length}${slower.length ? `\n\n${list(slower, slowness)}` : "."}`,
    `Faster beyond noise: ${faster.length}. A difference is beyond noise if the median of each server lies outside all rounds of the other.`
      + " With 5 rounds and equally fast servers, chance alone makes each of them the slower one in 2 of 100 scenarios.",
  ].join("\n\n");
}

/**
 * Whether one takes longer than the other beyond noise.
 * @param {number[]} one
 * @param {number[]} other
 */
const isLonger = (one, other) => median(one) > Math.max(...other) && median(other) < Math.min(...one);

/** @param {Scenario[]} scenarios @param {(scenario: Scenario) => string} [more] */
const list = (scenarios, more = () => "") => scenarios.map((it) => `- ${it.table}: ${it.scenario}${more(it)}`).join("\n");

/** @param {Scenario} scenario */
const slowness = ({ byway, coturn }) => `, ${Math.round(median(byway.connectMs))} ms instead of ${Math.round(median(coturn.connectMs))} ms`;
