/** The page of results says what was seen, to the letter. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { report } from "./report.mjs";

const ABOUT = { versions: [["Byway", "0.1.0"], ["coturn", "4.6.1"]], cores: 2 };

/** Everything below the introduction. */
const tablesOf = (results) => report(results, ABOUT).split("| coturn | 4.6.1 |\n\n")[1] ?? "";

const CALL = { table: "NAT by NAT", scenario: "symmetric × symmetric", path: "relayed over UDP, at both ends" };

/** Rounds of one scenario, one for each time. */
const rounds = (relay, times, more = {}) => times.map((connectMs, index) => ({ ...CALL, relay, connectMs, gapMs: 100 + index, ...more }));

test("the introduction names programs and cores", () => {
  const text = report([], ABOUT);
  assert.match(text, /^# What gets through\n\n/);
  assert.match(text, /shared 2 cores\./);
  assert.match(text, /\n\| program \| version \|\n\|---\|---\|\n\| Byway \| 0\.1\.0 \|\n\| coturn \| 4\.6\.1 \|\n$/);
});

test("rounds are summed up by their medians, ours beside coturn's", () => {
  assert.equal(
    tablesOf([...rounds("byway", [400, 300, 500]), ...rounds("coturn", [410, 420]), { ...CALL, scenario: "full × full", relay: "byway", path: "direct", connectMs: 99 }]),
    `## NAT by NAT

3 rounds.

| scenario | path | time to connect | longest gap | coturn: path | coturn: time to connect | coturn: longest gap |
|---|---|---:|---:|---|---:|---:|
| symmetric × symmetric | relayed over UDP, at both ends | 400 ms | 101 ms | relayed over UDP, at both ends | 415 ms (2) | 101 ms (2) |
| full × full | direct | 99 ms (1) | – | – | – | – |

## Beside coturn

Median ratio of the time to connect, Byway to coturn: **0.96** over all scenarios that connected with both (1), **0.96** over the relayed ones (1).

There are too few rounds to tell a difference from noise.
`,
  );
});

test("what failed with coturn, went several ways, or cannot be done is said in its place", () => {
  const table = "Others";
  assert.equal(
    tablesOf([
      { table, scenario: "one way, then another", relay: "byway", path: "direct", gapMs: 1 },
      { table, scenario: "one way, then another", relay: "byway", path: "relayed", gapMs: 2 },
      { table, scenario: "one way, then another", relay: "byway", path: "relayed", gapMs: 9 },
      { table, scenario: "one way, then another", relay: "coturn", path: "none", failure: "no path\n | none" },
      { table, scenario: "one way, then another", relay: "coturn", path: "direct", gapMs: 7 },
      { table, scenario: "unable", relay: "byway", path: "it reaches relays over UDP alone" },
      { table, scenario: "only theirs", relay: "coturn", path: "none", failure: "no path" },
    ]),
    `## Others

3 rounds.

| scenario | path | longest gap | coturn: path | coturn: longest gap |
|---|---|---:|---|---:|
| one way, then another | relayed; or direct | 2 ms | direct; **failed** in 1 of 2 rounds: no path \\| none | 7 ms (1) |
| unable | it reaches relays over UDP alone | – | – | – |
| only theirs | – | – | **failed**: no path | – |

## Beside coturn

With coturn as the relay, these failed:

- Others: one way, then another
- Others: only theirs
`,
  );
});

test("a table without coturn has no columns for it", () => {
  assert.equal(
    tablesOf([{ table: "In the middle", scenario: "a cable is pulled", relay: "byway", path: "relayed", gapMs: 800 }]),
    "## In the middle\n\nOne round.\n\n| scenario | path | longest gap |\n|---|---|---:|\n| a cable is pulled | relayed | 800 ms |\n",
  );
});

test("where we are slower beyond noise, the scenario is named", () => {
  const results = [
    ...rounds("byway", [500, 510, 520, 530, 540]),
    ...rounds("coturn", [400, 410, 420, 515, 410]),
    // One outlier makes nobody slower.
    ...rounds("byway", [400, 410, 420, 430, 900], { scenario: "noise" }),
    ...rounds("coturn", [405, 405, 405, 405, 405], { scenario: "noise" }),
    ...rounds("byway", [200, 200, 200, 200, 200], { scenario: "direct", path: "direct" }),
    ...rounds("coturn", [400, 400, 400, 400, 400], { scenario: "direct", path: "direct" }),
  ];
  assert.equal(
    tablesOf(results).split("## Beside coturn\n\n")[1],
    `Median ratio of the time to connect, Byway to coturn: **1.04** over all scenarios that connected with both (3), **1.15** over the relayed ones (2).

Slower than with coturn beyond noise: 1 of 3

- NAT by NAT: symmetric × symmetric, 520 ms instead of 410 ms

Faster beyond noise: 1. A difference is beyond noise if the median of each server lies outside all rounds of the other. With 5 rounds and equally fast servers, chance alone makes each of them the slower one in 2 of 100 scenarios.
`,
  );
});

test("where we are slower nowhere, that is said", () => {
  const results = [...rounds("byway", [400, 400, 400, 400]), ...rounds("coturn", [400, 400, 400, 400])];
  assert.match(tablesOf(results), /\nSlower than with coturn beyond noise: 0 of 1\.\n\nFaster beyond noise: 0\. /);
});
