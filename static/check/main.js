/**
 * The self-test page: shows whether calls work from here, and what to do if they do not. Table of
 * contents:
 *
 * - `finding.js`: results of checks, with their reasons and faults;
 * - `browser.js`, `server.js`: checks of the browser, its devices, and the server over HTTP;
 * - `urls.js`: tests of single STUN and TURN URLs, `url.js` their parts;
 * - `relay.js`, `loop.js`: calls of the page to itself;
 * - `judge.js`: conclusions from figures;
 * - `view.js`, `report.js`, `words.js`: the document, its copy as text or JSON, its words.
 *
 * Stable hooks for other programs:
 *   main[data-state]                            running | done
 *   main[data-verdict]                          ok | limited | failed | incomplete
 *   tr[data-url][data-state][data-code]         running | ok | failed
 *   tr[data-loop][data-state][data-grade]       relay | host, and the state of its finding
 *   li[data-check][data-state][data-reason]     a finding
 *   [data-fault] .visitor .operator             one with a fault, and its two remedies
 *   document.querySelector("main").results      everything, once it is done
 */
import { isRelayWanted, server } from "../page/address.js";
import { byId, element } from "../page/dom.js";
import { checkBrowser, checkDevices, isFirefox, localNetworkPermission, testDevices } from "./browser.js";
import { finding, verdictOf } from "./finding.js";
import { SILENT_AFTER_MS, gradeOf, judgeHostLoops, judgeNat, judgeRows } from "./judge.js";
import { relayToHost, relayToRelay } from "./relay.js";
import { asJson, asText } from "./report.js";
import { askFacts, askServers, testWebSocket } from "./server.js";
import { isLoopback, isPrivate, parse } from "./url.js";
import { addressOf, gather, test } from "./urls.js";
import { addCandidate, addLoop, addRow, clear, finish, showFindings, showLoop, showRow } from "./view.js";
import { say, translate } from "./words.js";

/** @typedef {import("./finding.js").Finding} Finding */
/** @typedef {import("./urls.js").Row} Row */
/** @typedef {import("./report.js").Results} Results */

/** Best first: over TCP a lost packet delays those behind it. */
const TRANSPORTS = ["udp", "tcp", "tls"];

/** One run of all checks. */
class Run {
  /** @type {Finding[]} */ findings = [];
  /** @type {Row[]} */ rows = [];
  /** @type {Record<string, import("./relay.js").Measured>} */ loops = {};
  /** @type {Results["candidates"]} */ candidates = [];
  /** @type {Set<string>} */ own = new Set();
  /** Whether the browser has any UDP candidate of its own. */
  hasUdp = false;

  /** Whether STUN told the browser its address, or that it has no NAT. */
  knowsAddress = false;

  /** @param {(Finding | null)[]} findings */
  add(...findings) {
    for (const each of findings) {
      // Two checks may meet the same fault.
      if (each && !this.findings.some(({ reason }) => reason === each.reason)) this.findings.push(each);
    }
    showFindings(this.findings);
  }

  /** Notes a candidate of a connection. @param {string} of */
  noting = (of) => (/** @type {import("./loop.js").Seen} */ seen) => {
    const { type, protocol, address } = seen.candidate;
    if (type !== "relay" && protocol?.toLowerCase() === "udp") this.hasUdp = true;
    if (type !== "relay" && address) this.own.add(address.replace(/^\[|\]$/g, ""));
    this.candidates.push({ of, type, protocol, address: addressOf(seen.candidate) });
    addCandidate(of, seen);
  };

  async run() {
    this.add(...checkBrowser());
    if (this.findings.some(({ reason }) => reason === "no-webrtc")) return;
    const devices = checkDevices();
    const { facts, findings } = await askFacts();
    this.add(...findings);
    if (facts) await this.testServer(facts);
    this.add(await devices);
  }

  /** @param {import("./server.js").Facts} facts */
  async testServer(facts) {
    const webSocket = testWebSocket();
    const { servers, finding: access } = await askServers();
    if (access.reason !== "access-ok") this.add(access);
    const named = servers ? servers.flatMap((each) => [each.urls].flat().map((url) => ({ ...each, url }))) : facts.stun.map((url) => ({ urls: url, url }));
    // A call over the relay alone asks no STUN server.
    const wanted = named.filter(({ url }) => parse(url) && !(isRelayWanted() && parse(url)?.kind === "stun"));
    byId("no-urls").hidden = wanted.length > 0;
    if (servers && !wanted.some(({ url }) => parse(url)?.kind === "turn")) this.add(finding("no-relay", named.map(({ url }) => url).join(" ")));

    const nat = this.testNat(facts);
    const ownUrl = ownStunUrl(wanted.map(({ url }) => url));
    const byName = ownUrl ? test(ownUrl, { urls: ownUrl }, this.noting(ownUrl)) : null;
    const rows = wanted.map(({ url }) => addRow(url));
    this.rows = await Promise.all(wanted.map(async ({ url, ...each }, index) => {
      const row = await test(url, each, this.noting(url));
      showRow(rows[index], row);
      return row;
    }));
    // Asked behind the tests, for which the browser may have asked the person.
    const localNetwork = await localNetworkPermission();
    // A browser that sends nothing ends as soon as with an answer that maps nothing.
    for (const [index, row] of this.rows.entries()) {
      if (localNetwork !== "denied" || row.relayed || !isPrivate(parse(row.url)?.host ?? "")) continue;
      row.works = false;
      showRow(rows[index], row);
    }
    this.add(await webSocket);
    this.add(await nat);
    const stun = [...this.rows.filter(({ url }) => parse(url)?.kind === "stun"), ...(byName ? [await byName] : [])];
    // None of the tests above asks a STUN server if the relay is forced.
    this.knowsAddress = isRelayWanted() || stun.some(({ works }) => works);
    this.add(...judgeRows(this.rows, { host: location.hostname, isFirefox, hasUdp: this.hasUdp || isRelayWanted(), localNetwork, byName: await byName }));
    if (servers) await this.testLoops(wanted, ownUrl ? [...facts.stun, ownUrl] : facts.stun, facts);
    this.checkProxy(facts);
  }

  /** @param {import("./server.js").Facts} facts */
  async testNat({ discovery }) {
    if (isRelayWanted()) return finding("nat-relay-only");
    // Gathered in any case: whether the browser has candidates of its own decides between causes.
    const found = await gather(discovery, this.noting(say("candidates.nat")));
    if (!discovery.length) return finding("nat-not-offered");
    return judgeNat(found.candidates, { errors: found.errors.length, servers: discovery.length, isSoon: found.isComplete && found.afterMs < SILENT_AFTER_MS });
  }

  /**
   * @param {(RTCIceServer & { url: string })[]} wanted
   * @param {string[]} stun
   * @param {import("./server.js").Facts} facts
   */
  async testLoops(wanted, stun, facts) {
    const working = this.rows.flatMap((row, index) => {
      const url = parse(row.url);
      return row.works && url?.kind === "turn" ? [{ url, server: { ...wanted[index], urls: row.url } }] : [];
    });
    working.sort((a, b) => TRANSPORTS.indexOf(a.url.transport) - TRANSPORTS.indexOf(b.url.transport));
    const best = working[0];
    const rows = { relay: addLoop("relay"), host: addLoop("host") };
    if (!best) {
      for (const name of /** @type {const} */ (["relay", "host"])) {
        const untested = finding(`${name}-loop-untested`);
        showLoop(rows[name], untested, null);
        this.add(untested);
      }
      return;
    }
    const { username, credential } = best.server;
    const server = { urls: best.server.urls, username, credential };
    const relayed = (this.loops.relay = await relayToRelay(server));
    const grade = relayed && gradeOf(relayed.flow, relayed.roundTripMs);
    const found = relayed
      ? finding(grade === "poor" ? "relay-loop-poor" : "relay-loop-ok", best.url.url, { grade: say(`grade.${grade}`) })
      : finding("relays-nothing", best.url.url, { urls: best.url.url });
    this.add(found);
    showLoop(rows.relay, found, relayed);

    // A mapped address proves an answer, and so does a relay.
    const hasUdp = this.rows.some(({ url, works, relayed }) => works && relayed && parse(url)?.transport === "udp");
    const { loops, measured } = await relayToHost(server, stun, this.noting(say("candidates.host")), hasUdp);
    this.loops.host = measured;
    const judged = judgeHostLoops(loops, {
      hasUdp,
      isMapped: this.knowsAddress,
      toldElsewhere: this.findings.some(({ reason }) => reason === "wrong-public-address"),
      relaysToClient: facts.relays_to_client,
      isFromOutside: facts.client === "public" && !isPrivate(location.hostname),
      host: location.hostname,
      urlHosts: this.rows.map(({ url }) => parse(url)?.host ?? ""),
    });
    this.add(judged);
    showLoop(rows.host, judged, measured);
  }

  /**
   * Finds a proxy that hides its clients: the server sees one from its own machine, while this
   * device has another address.
   * @param {import("./server.js").Facts} facts
   */
  checkProxy({ client }) {
    const addresses = [...this.own].filter((address) => !address.endsWith(".local"));
    const isElsewhere = addresses.length > 0 && !addresses.some(isLoopback);
    if (client === "loopback" && isElsewhere && !isLoopback(location.hostname)) this.add(finding("proxy-address", "127.0.0.1"));
  }
}

/**
 * STUN URL of the page's own host, at a port that the server names under other hosts. If it
 * answers and they do not, they are wrong.
 * @param {string[]} urls
 */
function ownStunUrl(urls) {
  const udp = urls.flatMap((url) => parse(url) ?? []).filter(({ transport }) => transport === "udp");
  const host = location.hostname;
  const isElsewhere = udp.length > 0 && udp.every((url) => url.host !== host.replace(/^\[|\]$/g, ""));
  return isElsewhere && !isLoopback(host) ? `stun:${host}:${udp[0].port}` : null;
}

/** @type {Results | null} */
let results = null;

async function start() {
  clear();
  const run = new Run();
  try {
    await run.run();
  } catch (error) {
    console.warn(error);
    run.add({ ...finding("relay-loop-untested", String(error)), state: "failed" });
  }
  const { findings, rows, loops, candidates } = run;
  const verdict = verdictOf(findings);
  results = { at: new Date().toISOString(), verdict, findings, rows, loops, candidates, own: [...run.own] };
  byId("check").results = results;
  finish(verdict);
}

async function openDevices() {
  byId("devices").disabled = true;
  const found = await testDevices().catch((error) => finding("devices-busy", String(error)));
  byId("devices").disabled = false;
  if (!results) return;
  results.findings = [...results.findings.filter(({ check }) => check !== "devices"), found];
  results.verdict = verdictOf(results.findings);
  showFindings(results.findings);
  finish(results.verdict);
}

/** @param {string} text */
async function copy(text) {
  const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  byId("copied").textContent = say(copied ? "page.copied" : "page.copy-selected");
  const field = byId("copy-field") ?? element("textarea", { id: "copy-field", rows: 8, readonly: true, "aria-label": say("page.report") });
  field.value = text;
  field.hidden = Boolean(copied);
  byId("copied").after(field);
  if (!copied) field.select();
}

translate().then(() => {
  byId("back").href = new URL(location.hash, server()).href;
  byId("again").addEventListener("click", start);
  byId("devices").addEventListener("click", openDevices);
  byId("copy-text").addEventListener("click", () => results && copy(asText(results)));
  byId("copy-json").addEventListener("click", () => results && copy(asJson(results)));
  start();
});
