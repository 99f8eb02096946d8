/**
 * The results as text or JSON, for the operator of the server. They name no token, password or user
 * name, and no address of this device.
 */

import { isAddress, isPrivate } from "./url.js";
import { has, say } from "./words.js";

/**
 * @typedef {object} Results
 * @property {string} at
 * @property {import("./finding.js").Verdict} verdict
 * @property {import("./finding.js").Finding[]} findings
 * @property {import("./urls.js").Row[]} rows
 * @property {Record<string, import("./relay.js").Measured>} loops
 * @property {{ of: string, type: string | null, protocol: string | null, address: string
 *   }[]} candidates
 * @property {string[]} own Addresses of this device.
 */

/**
 * Findings in the form that `byway doctor` and `probe` use.
 * @param {Results} results
 */
export function asJson({ at, verdict, findings, rows, loops, candidates, own }) {
  const words = (/** @type {string} */ key, values = {}) => (has(key) ? say(key, values) : null);
  const report = {
    at,
    page: location.origin + location.pathname,
    browser: navigator.userAgent,
    verdict,
    findings: findings.map(({ check, state, reason, fault, values, evidence }) => ({
      check,
      state,
      fault,
      what: say(`what.${reason}`, values),
      evidence,
      remedy: state === "ok" ? null : { visitor: words(`visitor.${reason}`, values), operator: words(`operator.${reason}`, values) },
    })),
    urls: rows,
    loops,
    candidates,
  };
  return masked(JSON.stringify(report, null, 2), own);
}

/** @param {Results} results */
export function asText({ at, verdict, findings, rows, loops, own }) {
  const lines = [
    `Byway connection check, ${at}`,
    `page: ${location.origin}${location.pathname}`,
    `browser: ${navigator.userAgent}`,
    `verdict: ${verdict}: ${say(`verdict.${verdict}`)}`,
    ...findings.flatMap(({ check, state, reason, fault, values, evidence }) => [
      "",
      `${state}: ${check}: ${say(`what.${reason}`, values)}`,
      ...(evidence ? [`  seen: ${evidence}`] : []),
      ...(state !== "ok" && has(`operator.${reason}`) ? [`  remedy: ${say(`operator.${reason}`, values)}`] : []),
      ...(state !== "ok" && fault ? [`  more: byway explain ${fault}`] : []),
    ]),
    "",
    ...rows.map(({ url, works, relayed, roundTripMs, code, text }) =>
      [url, works ? "ok" : "failed", relayed ?? "-", roundTripMs === null ? "-" : `${Math.round(roundTripMs)} ms`, code ?? "", text].join("  ").trimEnd()),
    ...Object.entries(loops).map(([name, measured]) =>
      measured
        ? `${name}: ${Math.round(measured.flow.bps / 1_000)} kbit/s, loss ${(measured.flow.loss * 100).toFixed(1)} %, jitter ${measured.flow.jitterMs.toFixed(1)} ms, round trip ${measured.roundTripMs.toFixed(1)} ms`
        : `${name}: not connected`),
    "",
  ];
  return masked(lines.join("\n"), own);
}

/**
 * Replaces addresses of this device.
 * @param {string} text
 * @param {string[]} own
 */
const masked = (text, own) =>
  own.filter((address) => (isAddress(address) || address.endsWith(".local")) && !/^(127\.|::1$)/.test(address))
    .reduce((left, address) => left.replaceAll(address, isPrivate(address) ? "PRIVATE-ADDRESS" : "ADDRESS"), text);
