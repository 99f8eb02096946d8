/**
 * The whole matrix, with coturn as the relay beside ours; at its end, the page of its results.
 */
import { after } from "node:test";

import { CALLS } from "./matrix.mjs";
import { openLab } from "./open.mjs";
import { publish } from "./results.mjs";
import { calls } from "./scenarios/calls.mjs";

const lab = openLab();
calls(lab, CALLS, { relays: ["byway", "coturn"], rounds: Number(process.env.ROUNDS ?? 1) });

after(publish);
