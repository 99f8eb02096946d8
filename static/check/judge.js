/** Conclusions from what was measured. Pure. */

import { finding } from "./finding.js";
import { isAddress, isPrivate, isV6, parse } from "./url.js";

/** Time within which a server answers that answers at all. */
export const SILENT_AFTER_MS = 4_000;

/** @typedef {import("./finding.js").Finding} Finding */
/** @typedef {import("./urls.js").Row} Row */
/** @typedef {import("./loop.js").Flow} Flow */

/**
 * Facts that decide between causes.
 * @typedef {object} Context
 * @property {string} host Host in the page's address.
 * @property {boolean} isFirefox
 * @property {boolean} hasUdp Whether the browser has any UDP candidate of its own.
 * @property {PermissionState | null} localNetwork Permission for local addresses, if the browser
 *   has one.
 * @property {Row | null} byName Test of STUN at the page's own host, where the server's URLs name
 *   addresses.
 */

/**
 * Whether a name has no address. Of a name with one IP version the lookup of the other fails, too,
 * but then the test goes on.
 * @param {Pick<Row, "text" | "afterMs">} row
 */
export const isUnknownName = ({ text, afterMs }) => /lookup|resolve/i.test(text) && afterMs < SILENT_AFTER_MS;

/**
 * Row with the parts of its URL.
 * @typedef {Row & { parsed: import("./url.js").ServerUrl }} Known
 */

/** Whether no answer came, from anywhere. @param {Row} row */
const isSilent = ({ code }) => code === null || code >= 600 || code === 0;

/**
 * Concludes from the tests of all URLs. A way that fails while another works is a warning.
 * @param {Row[]} rows
 * @param {Context} context
 * @returns {Finding[]}
 */
export function judgeRows(rows, context) {
  /** @type {Known[]} */
  const known = rows.flatMap((row) => {
    const url = parse(row.url);
    return url ? [{ ...row, parsed: url }] : [];
  });
  const turn = known.filter(({ parsed }) => parsed.kind === "turn");
  const works = turn.some((row) => row.works);
  const severity = works ? "warning" : "failed";
  /** @type {Finding[]} */
  const found = [];
  /**
   * @param {string} reason
   * @param {Row[]} of
   * @param {import("./finding.js").State} [state]
   * @param {Record<string, string>} [values]
   */
  const add = (reason, of, state, values = {}) => {
    if (of.length) found.push(finding(reason, of.map(evidenceOf).join("; "), { urls: of.map(({ url }) => url).join(", "), ...values }, state));
  };

  // Each failed row has one cause, the surest first.
  let open = known.filter((row) => !row.works);
  const take = (/** @type {(row: Known) => boolean} */ test) => {
    const taken = open.filter(test);
    open = open.filter((row) => !taken.includes(row));
    return taken;
  };
  add("relays-nothing", take((row) => row.relayed !== null && row.parsed.kind === "turn"), severity);
  add("credentials-refused", take(({ code }) => code === 401 || code === 431 || code === 441), severity);
  add("limit-reached", take(({ code }) => code === 486 || code === 508), severity);
  add("relay-refused", take((row) => !isSilent(row)), severity);
  add("name-unresolved", take((row) => isUnknownName(row) && !isAddress(row.parsed.host)), severity);
  /** @param {Known} row */
  const isLocal = ({ parsed }) => isPrivate(parsed.host) && !isPrivate(context.host);
  const isDenied = context.localNetwork === "denied";
  add("local-network", take((row) => (isDenied && isPrivate(row.parsed.host)) || (context.localNetwork === "prompt" && isLocal(row))), severity);
  const local = take(isLocal);
  add("public-address-unset", local, severity, { relayed: [...new Set(local.map(({ parsed }) => parsed.host))].join(", ") });
  const v4 = (/** @type {Known} */ row) =>
    known.some((other) => other.works && !isV6(other.parsed.host) && other.parsed.transport === row.parsed.transport);
  add("ipv6-failed", take((row) => isV6(row.parsed.host) && v4(row)));
  add("tls-address", take(({ parsed }) => context.isFirefox && parsed.transport === "tls" && isAddress(parsed.host)), severity);

  // The page's host answers over UDP, and the addresses that the server tells do not.
  const { byName } = context;
  if (byName?.works && !known.some((row) => row.works && row.parsed.transport === "udp")) {
    const elsewhere = take(({ parsed }) => parsed.host !== context.host);
    const isNumber = (/** @type {Known} */ { parsed }) => isAddress(parsed.host);
    /** @param {Known[]} some */
    const hosts = (some) => [...new Set(some.map(({ parsed }) => parsed.host))].join(", ");
    const [addresses, names] = [elsewhere.filter(isNumber), elsewhere.filter((row) => !isNumber(row))];
    add("wrong-public-address", addresses, "failed", { relayed: hosts(addresses), host: context.host });
    add("name-elsewhere", names, "failed", { name: hosts(names), host: context.host });
  }
  // One port answers TURN and no STUN: the two took different IP versions.
  /** @param {Known} row */
  const turnWorks = ({ parsed: { host } }) =>
    known.some(({ works, parsed }) => works && parsed.kind === "turn" && parsed.transport === "udp" && parsed.host === host);
  add("stun-silent", take((row) => row.parsed.kind === "stun" && !isAddress(row.parsed.host) && turnWorks(row)));

  /** @param {string} transport */
  const of = (transport) => known.filter(({ parsed }) => parsed.transport === transport);
  /** @param {string} transport */
  const hasWorking = (transport) => of(transport).some((row) => row.works && row.parsed.kind === "turn");
  const udp = take(({ parsed }) => parsed.transport === "udp");
  if (udp.length && !context.hasUdp) add("no-udp-candidates", udp, severity);
  else add(hasWorking("udp") ? "udp-partly" : "udp-blocked", udp, severity);
  const tcp = take(({ parsed }) => parsed.transport === "tcp");
  const tls = take(({ parsed }) => parsed.transport === "tls");
  add("tcp-blocked", hasWorking("tcp") || !tls.length ? tcp : [...tcp, ...tls], severity);
  if (hasWorking("tcp") || (tls.length && !tcp.length)) add("tls-blocked", tls, severity);
  for (const transport of ["udp", "tcp", "tls"]) {
    const good = of(transport).filter((row) => row.works && row.parsed.kind === "turn");
    add(`${transport}-ok`, good);
  }
  return found;
}

/** @param {Row} row */
const evidenceOf = ({ url, code, text, relayed, roundTripMs }) =>
  [url, relayed, code, text, roundTripMs === null ? "" : `${Math.round(roundTripMs)} ms`].filter((part) => part !== null && part !== "").join(" ");

/**
 * Grade of a flow through the relay, which has no obstacle but the network of this device.
 * @param {Flow} flow
 * @param {number} roundTripMs
 * @returns {"good" | "fair" | "poor"}
 */
export function gradeOf({ bps, loss, jitterMs }, roundTripMs) {
  const is = (/** @type {number[]} */ [least, lost, shaken, late]) =>
    bps >= least && loss <= lost && jitterMs <= shaken && roundTripMs <= late;
  return is([1_200_000, 0.01, 30, 300]) ? "good" : is([400_000, 0.05, 80, 600]) ? "fair" : "poor";
}

/**
 * Outcome of two attempts of a connection without a relay to reach a relayed address.
 *
 * @typedef {object} HostLoops
 * @property {boolean} unannounced The relayed side did not know the port that calls it, as behind a
 *   strict NAT. A firewall that lets answers in does not help here.
 * @property {boolean} announced The relayed side knew it, and sent the first packets.
 * @property {string} relayed Relayed address, without its port.
 * @property {boolean} isElsewhere Packets of the relay came from another address than it announced.
 * @property {string[]} own Addresses of the connection without a relay, as far as the browser tells
 *   them.
 * @property {string[]} mapped Those that the server saw behind a NAT.
 */

/**
 * Concludes from them. In this order: what was seen for sure, what would prove nothing, and what is
 * likely.
 *
 * @param {HostLoops} loops
 * @param {object} facts
 * @param {boolean} facts.hasUdp Whether UDP reaches the server.
 * @param {boolean} facts.isMapped Whether STUN told the browser its address, or that it has no NAT.
 * @param {boolean} facts.toldElsewhere Whether the server's URLs name a wrong address.
 * @param {boolean} facts.relaysToClient Whether the relay sends to the address that the server
 *   sees.
 * @param {boolean} facts.isFromOutside Whether the page came from the internet.
 * @param {string} facts.host Host in the page's address.
 * @param {string[]} facts.urlHosts Hosts of the relay's URLs.
 * @returns {Finding}
 */
export function judgeHostLoops({ unannounced, announced, relayed, isElsewhere, own, mapped }, { hasUdp, isMapped, toldElsewhere, relaysToClient, isFromOutside, host, urlHosts }) {
  const values = { relayed, host };
  const evidence = `relay ${relayed}, own ${own.join(" ") || "unknown"}`;
  if (isElsewhere) return finding("wrong-public-address", `${evidence}, packets came from another address`, values);
  if (unannounced) return finding("host-loop-ok", evidence, values);
  if (announced) return finding("relay-ports-strict", evidence, values);
  if (toldElsewhere) return finding("wrong-public-address", evidence, values);
  if (!hasUdp) return finding("host-loop-no-udp", evidence, values);
  if (isPrivate(relayed) && isFromOutside) return finding("public-address-unset", evidence, values);
  if (!isMapped && !mapped.some((address) => isV6(address) === isV6(relayed))) return finding("host-loop-no-address", evidence, values);
  // An address of the server's own network or machine, which the relay refuses to send to.
  const isOutside = mapped.some((address) => isV6(address) === isV6(relayed) && !isPrivate(address));
  const isRefused = mapped.length > 0 || !relaysToClient;
  if (!isOutside && isRefused) return finding("host-loop-refused", evidence, values);
  const named = [host, ...urlHosts].map((name) => name.replace(/^\[|\]$/g, ""));
  const literal = named.filter((name) => isAddress(name) && isV6(name) === isV6(relayed));
  if (literal.length && !literal.includes(relayed)) {
    return finding("wrong-public-address", `${evidence}, server ${[...new Set(literal)].join(" ")}`, values);
  }
  return finding("relay-ports-blocked", evidence, values);
}

/**
 * Concludes from the mapped addresses that several servers have seen of one socket each (RFC 5780
 * section 4.3).
 *
 * @param {Pick<RTCIceCandidate, "type" | "address" | "port" | "relatedAddress" | "relatedPort"
 *   | "foundation">[]} candidates
 * @param {{ errors: number, servers: number, isSoon: boolean }} answers `isSoon`: nothing was
 *   waited for until it was given up.
 * @returns {Finding}
 */
export function judgeNat(candidates, { errors, servers, isSoon }) {
  const mapped = candidates.filter(({ type }) => type === "srflx");
  const evidence = mapped.map(({ address, port }) => `${address}:${port}`).join(" ");
  if (!mapped.length) return errors || !isSoon ? finding("nat-no-answer") : finding("nat-none");
  /**
   * Ports by local socket. Browsers hide its address from pages without a camera.
   * @type {Map<string, Set<string>>}
   */
  const sockets = new Map();
  for (const { address, port, relatedAddress, relatedPort, foundation } of mapped) {
    const hidden = !relatedPort || relatedPort === 9 || !relatedAddress || /^0\.0\.0\.0$|^::$/.test(relatedAddress);
    const socket = hidden ? `${foundation} ${address}` : `${relatedAddress} ${relatedPort}`;
    sockets.set(socket, (sockets.get(socket) ?? new Set()).add(`${address} ${port}`));
  }
  const most = Math.max(...[...sockets.values()].map(({ size }) => size));
  // One mapping proves nothing while some of the servers are silent.
  if (most === 1 && errors >= servers - 1) return finding("nat-no-answer", evidence);
  return finding(most === 1 ? "nat-independent" : "nat-dependent", evidence, { count: most });
}
