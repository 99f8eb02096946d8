/** Checks of the server over HTTP and WebSocket. */

import { server, token } from "../page/address.js";
import { whyUnreachable } from "../page/reach.js";
import { finding } from "./finding.js";

/** @typedef {import("./finding.js").Finding} Finding */

/**
 * Answer of `GET /check/server`.
 * @typedef {object} Facts
 * @property {number} now
 * @property {string} version
 * @property {"open" | "token"} access
 * @property {string[]} stun
 * @property {string[]} discovery
 * @property {"loopback" | "private" | "public"} client
 * @property {boolean} relays_to_client
 */

const PATIENCE_MS = 8_000;
/** Difference of clocks that begins to matter: join tokens allow as much. */
const CLOCK_TOLERANCE_MS = 30_000;

/**
 * Asks the server for its facts.
 * @returns {Promise<{ facts: Facts | null, findings: Finding[] }>}
 */
export async function askFacts() {
  const before = Date.now();
  const answer = await ask("check/server");
  const after = Date.now();
  if (!answer.body?.now) return { facts: null, findings: [await unreachable(answer)] };
  /** @type {Facts} */
  const facts = answer.body;
  const roundTrip = `${after - before} ms`;
  const findings = [finding("server-ok", `Byway ${facts.version}, ${roundTrip}`, { host: location.host, version: facts.version })];
  // The server's clock has whole seconds, and was read between the two moments.
  const ahead = before - (facts.now + 1_000);
  const behind = facts.now - after;
  const offMs = ahead > CLOCK_TOLERANCE_MS ? ahead : behind > CLOCK_TOLERANCE_MS ? -behind : 0;
  const clocks = `here ${new Date(after).toISOString()}, server ${new Date(facts.now).toISOString()}`;
  findings.push(offMs ? finding("clock-off", clocks, { seconds: Math.abs(Math.round(offMs / 1_000)) }) : finding("clock-ok", clocks));
  return { facts, findings };
}

/**
 * Asks for the ICE configuration, as a call would get it.
 * @returns {Promise<{ servers: RTCIceServer[] | null, finding: Finding }>}
 */
export async function askServers() {
  const bearer = token();
  const isSendable = bearer && /^[\w.-]+$/.test(bearer);
  const answer = await ask("ice", { method: "POST", headers: isSendable ? { authorization: `Bearer ${bearer}` } : {} });
  if (Array.isArray(answer.body?.iceServers)) {
    return { servers: answer.body.iceServers, finding: finding("access-ok", `/ice ${answer.status}`) };
  }
  const reason = REFUSALS[answer.body?.code ?? ""];
  const evidence = `/ice ${answer.status || ""} ${answer.body?.code ?? ""}`;
  return { servers: null, finding: reason ? finding(reason, evidence, { host: location.host }) : await unreachable(answer) };
}

/** Reasons by the code of a problem object. @type {Record<string, string>} */
const REFUSALS = {
  "token-required": "token-missing",
  "token-expired": "token-expired",
  "token-not-yet-valid": "token-early",
  "token-too-far-ahead": "token-refused",
  "bad-token": "token-refused",
  "rate-limited": "rate-limited",
  "host-refused": "host-refused",
  "origin-refused": "origin-refused",
  "shutting-down": "restarting",
};

/** Opens a WebSocket, as a call does. @returns {Promise<Finding>} */
export async function testWebSocket() {
  const url = new URL("ws", server());
  url.protocol = url.protocol.replace("http", "ws");
  const start = performance.now();
  const socket = new WebSocket(url, "byway.v1");
  const opened = await new Promise((resolve) => {
    const timer = setTimeout(resolve, PATIENCE_MS, false);
    socket.onopen = () => resolve(true);
    socket.onerror = socket.onclose = () => resolve(false);
    socket.addEventListener("close", () => clearTimeout(timer));
  });
  const evidence = `${url.href} ${Math.round(performance.now() - start)} ms`;
  socket.onclose = socket.onerror = null;
  socket.close();
  if (opened) return finding("websocket-ok", evidence);
  const { key, values } = await whyUnreachable(server());
  const name = key.replace("reach.", "");
  if (name === "upgrade") return finding("websocket-failed", evidence, values);
  return finding(REACH[name] ?? "websocket-back", evidence, values);
}

/** Reasons by the names of `page/reach.js`. @type {Record<string, string>} */
const REACH = {
  "offline": "offline",
  "silent": "silent",
  "name-certificate-stopped": "stopped",
  "certificate-stopped": "stopped",
  "name-stopped": "stopped",
  "stopped": "stopped",
  "restarting": "restarting",
  "behind-proxy": "behind-proxy",
  "other": "other-server",
  "host": "host-refused",
  "origin": "origin-refused",
};

/** @typedef {{ status: number, body: any }} Answer `status` 0: none. */

/** @param {Answer} answer @returns {Promise<Finding>} */
async function unreachable({ status, body }) {
  const known = REFUSALS[body?.code ?? ""];
  const evidence = status ? `HTTP ${status} ${body?.code ?? ""}` : "";
  if (known) return finding(known, evidence, { host: location.host, origin: location.origin });
  const { key, values } = await whyUnreachable(server());
  return finding(REACH[key.replace("reach.", "")] ?? "other-server", evidence, { status, ...values });
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<Answer>} */
async function ask(path, options) {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(new URL(path, server()), { cache: "no-store", credentials: "same-origin", signal, ...options });
    return { status: response.status, body: await response.json().catch(() => null) };
  } catch {
    return { status: 0, body: null };
  }
}
