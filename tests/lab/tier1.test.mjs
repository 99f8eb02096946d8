/**
 * The dozen scenarios that every run of all tests makes.
 */
import { openLab } from "./open.mjs";
import { CALLS } from "./matrix.mjs";
import { calls } from "./scenarios/calls.mjs";

const lab = openLab();
calls(lab, CALLS.filter(({ always }) => always));
