/**
 * The whole matrix, with coturn as the relay beside ours.
 */
import { CALLS } from "./matrix.mjs";
import { openLab } from "./open.mjs";
import { calls } from "./scenarios/calls.mjs";

const lab = openLab();
calls(lab, CALLS, { rounds: Number(process.env.ROUNDS ?? 1) });
