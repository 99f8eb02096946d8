/**
 * The whole matrix, with coturn as the relay beside ours; at its end, the page of its results.
 */
import { after, describe } from "node:test";

import { CALLS } from "./matrix.mjs";
import { openLab } from "./open.mjs";
import { publish } from "./results.mjs";
import { calls } from "./scenarios/calls.mjs";
import { clients } from "./scenarios/clients.mjs";
import { inTheMiddle, longCall } from "./scenarios/in-the-middle.mjs";
import { probes } from "./scenarios/probe.mjs";
import { refusals } from "./scenarios/refusals.mjs";

/** @type {("byway" | "coturn")[]} */
const relays = ["byway", "coturn"];
const rounds = Number(process.env.ROUNDS ?? 1);

// Before the labs are closed: whatever that meets, the page is written.
after(publish);

const [lab, beside] = [openLab(), openLab()];

describe("two laboratories side by side", { concurrency: 2 }, () => {
  describe("one long call", () => longCall(beside));
  // One after the other: without a number of its own this would take the one above.
  describe("everything else", { concurrency: 1 }, () => {
    calls(lab, CALLS, { relays, rounds });
    clients(lab, { rounds });
    inTheMiddle(lab, { relays });
    refusals(lab);
    probes(lab);
  });
});
