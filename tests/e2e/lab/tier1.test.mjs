/**
 * The few that every run of all tests makes.
 */
import { CALLS } from "./matrix.mjs";
import { openLab } from "./open.mjs";
import { calls } from "./scenarios/calls.mjs";
import { rebinding } from "./scenarios/in-the-middle.mjs";
import { NETWORKS, probes } from "./scenarios/probe.mjs";

const lab = openLab();
calls(lab, CALLS.filter(({ always }) => always));
rebinding(lab, { ways: ["udp"] });
probes(lab, NETWORKS.filter(({ always }) => always));
