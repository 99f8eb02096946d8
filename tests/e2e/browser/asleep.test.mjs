/**
 * Scenarios of machines that sleep, after all others: they measure how soon a call is back.
 */
import "./scenarios/asleep.mjs";
