/**
 * Findings: the result of each check, with its fault, if it has one. Pure.
 *
 * A finding has a reason, which names its words: `what.REASON` for everyone, and for a fault
 * `visitor.REASON` and `operator.REASON`, the two remedies.
 */

/** @typedef {"ok" | "warning" | "failed" | "skipped"} State `skipped`: it would prove nothing. */

/**
 * @typedef {object} Finding
 * @property {string} check Name of the check.
 * @property {State} state
 * @property {string} reason
 * @property {string | null} fault Name of its entry in `docs/when-calls-fail.md`.
 * @property {Record<string, string | number>} values Values of the words.
 * @property {string} evidence Figures and messages that were seen.
 */

/**
 * Checks, states and faults of all reasons. Names of faults are those of `src/fault.rs`.
 * @type {Record<string, [check: string, state: State, fault?: string]>}
 */
export const REASONS = {
  // --- the browser and this page ---
  "browser-ok": ["browser", "ok"],
  "insecure-origin": ["browser", "failed", "insecure-origin"],
  "no-webrtc": ["browser", "failed", "browser-policy"],
  "no-udp-candidates": ["browser", "failed", "browser-policy"],
  "local-network": ["local-network", "failed", "local-network-access"],
  // --- camera and microphone ---
  "devices-untested": ["devices", "skipped"],
  "devices-ok": ["devices", "ok"],
  "devices-policy": ["devices", "failed", "browser-policy"],
  "devices-denied": ["devices", "warning", "devices"],
  "devices-missing": ["devices", "warning", "devices"],
  "devices-busy": ["devices", "warning", "devices"],
  // --- the server over HTTP ---
  "server-ok": ["server", "ok"],
  "offline": ["server", "failed", "not-running"],
  "silent": ["server", "failed", "tcp-blocked"],
  "stopped": ["server", "failed", "not-running"],
  "restarting": ["server", "failed", "not-running"],
  "behind-proxy": ["server", "failed", "not-running"],
  "other-server": ["server", "failed", "proxy-host"],
  "host-refused": ["server", "failed", "proxy-host"],
  "origin-refused": ["server", "failed", "proxy-host"],
  "rate-limited": ["server", "failed", "limit-reached"],
  "proxy-address": ["proxy", "warning", "proxy-address"],
  "websocket-ok": ["websocket", "ok"],
  "websocket-failed": ["websocket", "failed", "proxy-upgrade"],
  "websocket-back": ["websocket", "warning"],
  "clock-ok": ["clock", "ok"],
  "clock-off": ["clock", "warning", "clock-off"],
  // --- access ---
  "access-ok": ["access", "ok"],
  "token-missing": ["access", "skipped", "access"],
  "token-expired": ["access", "failed", "access"],
  "token-early": ["access", "failed", "clock-off"],
  "token-refused": ["access", "failed", "access"],
  "no-relay": ["relays", "failed", "no-relay"],
  // --- ways to the server ---
  "udp-ok": ["udp", "ok"],
  "udp-blocked": ["udp", "failed", "udp-blocked"],
  "udp-partly": ["udp", "warning", "udp-blocked"],
  "tcp-ok": ["tcp", "ok"],
  "tcp-blocked": ["tcp", "failed", "tcp-blocked"],
  "tls-ok": ["tls", "ok"],
  "tls-blocked": ["tls", "failed", "certificate-untrusted"],
  "tls-address": ["tls", "failed", "certificate-name"],
  "ipv6-failed": ["ipv6", "warning", "ipv6-broken"],
  "name-unresolved": ["name", "failed", "name-unresolved"],
  "name-elsewhere": ["name", "failed", "name-elsewhere"],
  "stun-silent": ["ipv6", "warning", "ipv6-broken"],
  "credentials-refused": ["credentials", "failed", "credentials-refused"],
  "limit-reached": ["credentials", "failed", "limit-reached"],
  "relay-refused": ["credentials", "failed", "degraded"],
  "relays-nothing": ["relays", "failed", "relay-ports-blocked"],
  // --- calls through the relay ---
  "relay-loop-ok": ["relay-loop", "ok"],
  "relay-loop-poor": ["relay-loop", "warning"],
  "relay-loop-untested": ["relay-loop", "skipped"],
  "host-loop-ok": ["host-loop", "ok"],
  "relay-ports-strict": ["host-loop", "failed", "relay-ports-blocked"],
  "relay-ports-blocked": ["host-loop", "failed", "relay-ports-blocked"],
  "wrong-public-address": ["host-loop", "failed", "wrong-public-address"],
  "public-address-unset": ["host-loop", "failed", "public-address-unset"],
  "host-loop-untested": ["host-loop", "skipped"],
  "host-loop-refused": ["host-loop", "skipped"],
  "host-loop-no-udp": ["host-loop", "skipped"],
  "host-loop-no-address": ["host-loop", "skipped"],
  // --- NAT ---
  "nat-none": ["nat", "ok"],
  "nat-independent": ["nat", "ok"],
  "nat-dependent": ["nat", "ok"],
  "nat-no-answer": ["nat", "skipped"],
  "nat-not-offered": ["nat", "skipped"],
  "nat-relay-only": ["nat", "skipped"],
};

/**
 * @param {keyof typeof REASONS & string} reason
 * @param {string} [evidence]
 * @param {Record<string, string | number>} [values]
 * @param {State} [severity] Where it depends on other findings.
 * @returns {Finding}
 */
export function finding(reason, evidence = "", values = {}, severity) {
  const [check, state, fault = null] = REASONS[reason];
  return { check, state: severity ?? state, reason, fault, values, evidence };
}

/** @typedef {"ok" | "limited" | "failed" | "incomplete"} Verdict */

/**
 * Sums findings up. Only a page that could test the relay says that calls work.
 * @param {Finding[]} findings
 * @returns {Verdict}
 */
export function verdictOf(findings) {
  const has = (/** @type {State} */ state) => findings.some((each) => each.state === state);
  if (has("failed")) return "failed";
  if (!findings.some(({ reason }) => reason === "relay-loop-ok" || reason === "relay-loop-poor")) return "incomplete";
  if (has("warning")) return "limited";
  // Calls from here work. Whether others reach the relay, another network has to tell.
  return findings.some(({ check, state }) => check === "host-loop" && state === "ok") ? "ok" : "incomplete";
}
