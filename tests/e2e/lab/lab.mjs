/**
 * A network with a browser on each client, where scenarios put the server that they need and people
 * on its page.
 */
import { afterwards } from "../browser/afterwards.mjs";
import { authority, launchChromium, launchFirefox } from "../browser/browsers.mjs";
import { Authority } from "../browser/certificates.mjs";
import { enter } from "../browser/page.mjs";
import { start } from "../browser/server.mjs";
import { visit } from "../browser/visit.mjs";
import { startCoturn } from "./coturn.mjs";
import { ADDRESSES, Network } from "./network.mjs";

/** @typedef {import("./network.mjs").Side} Side */
/** @typedef {import("./network.mjs").Kind} Kind */

/**
 * Position of a person.
 * @typedef {object} Place
 * @property {Kind} [nat] Of the router; a port-restricted cone if not said.
 * @property {import("./network.mjs").Families} [families]
 * @property {Side} [router] Another than one's own.
 * @property {import("./network.mjs").Quality} [cable] From the router to the internet, if it is not
 *   a perfect one.
 */

/**
 * URLs of a relay that pages get: every transport by default. @typedef {"stun" | "udp" |
 * "tcp" | "tls"} Offer
 */

/** By name, as everywhere: certificates are for names. */
export const [CALL, BESIDE, COTURN] = ["call.byway.test", "beside.byway.test", "coturn.byway.test"];
const NAMES = {
  [CALL]: ADDRESSES.server,
  [BESIDE]: ADDRESSES.other.filter((address) => /30$/.test(address)),
  [COTURN]: ADDRESSES.other.filter((address) => /31$/.test(address)),
};

/** Secret of both coturn and Byway. */
export const SECRET = "a-secret-of-the-lab";

export class Lab {
  /** @type {Map<string, Promise<import("playwright-core").Browser>>} */ #browsers = new Map();

  /** @param {Network} [network] With the servers of all scenarios, unless it has its own. */
  constructor(network = new Network(NAMES)) {
    this.network = network;
  }

  /**
   * The browser of a client, launched for the first who asks.
   * @param {Side} side
   * @param {"chromium" | "firefox"} [engine]
   */
  browser(side, engine = "chromium") {
    const launch = { chromium: launchChromium, firefox: launchFirefox }[engine];
    const key = `${engine} ${side}`;
    if (!this.#browsers.has(key)) {
      const launching = launch({ on: this.network.on(`client-${side}`) });
      this.#browsers.set(key, launching);
      // One that crashed is of no use to the next scenario.
      const forget = () => this.#browsers.delete(key);
      launching.then((browser) => browser.once("disconnected", forget), forget);
    }
    return this.#browsers.get(key);
  }

  /**
   * Puts both people where they are to be; nothing of what routers did before is left.
   * @param {Partial<Record<Side, Place>>} places
   */
  async arrange({ a = {}, b = {} }) {
    for (const [side, { nat = "port", ...where }] of /** @type {[Side, Place][]} */ (Object.entries({ a, b }))) {
      await this.network.lay(side, where);
      this.network.nat(side, nat);
    }
  }

  /**
   * Starts a server, for as long as the scenario goes on.
   *
   * @param {import("node:test").TestContext} scenario
   * @param {object} [options]
   * @param {"byway" | "coturn" | "stranger"} [options.relay] Who relays: the Byway that has the
   *   page, or for one beside it, coturn, or a Byway whose certificate is of an issuer that nobody
   *   knows.
   * @param {Offer[]} [options.offers]
   * @param {string[]} [options.peers] Ranges that may be relayed to, besides the internet.
   * @param {{ cert: string, key: string }} [options.certificate] Another one than for its name by
   *   the tests' authority.
   */
  async serve(scenario, { relay = "byway", offers, peers = [], certificate } = {}) {
    if (relay === "byway") return this.#start(scenario, CALL, { urls: offers && urlsOf(CALL, offers), peers, certificate });
    if (relay === "coturn") {
      await startCoturn(scenario, { network: this.network, name: COTURN, addresses: NAMES[COTURN], secret: SECRET, peers });
      return this.#start(scenario, BESIDE, { urls: urlsOf(COTURN, offers) });
    }
    const stranger = await this.#start(scenario, CALL, { certificate: strangerOf(scenario).issue(CALL) });
    return { ...(await this.#start(scenario, BESIDE, { urls: urlsOf(CALL, offers) })), stranger };
  }

  /** A Byway of this name. */
  async #start(scenario, name, { urls = [], peers = [], certificate = authority.issue(name) }) {
    const addresses = NAMES[name];
    const alone = name === CALL;
    const text = configuration({ addresses, listeners: listenersOn(alone ? ["0.0.0.0", "::"] : addresses), certificate, urls, peers });
    const server = await start(text, this.network.on(alone ? "server" : "other"));
    afterwards(scenario, () => server.stop());
    return { ...server, origin: `https://${name}` };
  }

  /**
   * A room's page, before its door.
   *
   * @param {import("node:test").TestContext} scenario
   * @param {Side} side
   * @param {string} address Of the room's page.
   * @param {{ engine?: "chromium" | "firefox", browser?: import("playwright-core").Browser,
   *   tolerated?: RegExp }} [options] `browser`: another than that of all on this client.
   */
  async open(scenario, side, address, { engine, browser, ...options } = {}) {
    return visit(scenario, browser ?? (await this.browser(side, engine)), address, options);
  }

  /** The same, and in: one more person in the room. @param {Parameters<Lab["open"]>} where */
  async join(...where) {
    const page = await this.open(...where);
    await enter(page);
    return page;
  }

  async close() {
    try {
      for (const browser of this.#browsers.values()) await (await browser).close();
    } finally {
      this.network.remove();
    }
  }
}

/** An authority that no browser trusts. @param {import("node:test").TestContext} scenario */
function strangerOf(scenario) {
  const stranger = new Authority();
  afterwards(scenario, () => stranger.forget());
  return stranger;
}

/** Of a server of this name. @param {string} name @param {Offer[]} [offers] */
export function urlsOf(name, offers = ["stun", "udp", "tcp", "tls"]) {
  const urls = {
    stun: `stun:${name}:3478`,
    udp: `turn:${name}:3478?transport=udp`,
    tcp: `turn:${name}:3478?transport=tcp`,
    tls: `turns:${name}:443?transport=tcp`,
  };
  return offers.map((offer) => urls[offer]);
}

/**
 * As an operator writes it, but for peers in ranges that are kept for examples, as this internet's
 * are.
 */
const configuration = ({ addresses, listeners, certificate, urls, peers }) => `
realm = "byway.test"
[listen]
udp = ${listeners(3478)}
tcp = ${listeners(3478)}
tls = ${listeners(443)}
http = []
admin = ["127.0.0.1:9090"]
[tls]
cert = "${certificate.cert}"
key = "${certificate.key}"
[relay]
addresses = ${JSON.stringify(addresses)}
[credentials]
secrets = ["${SECRET}"]
[peers]
allow = ${JSON.stringify(["203.0.113.0/24", "2001:db8::/32", ...peers])}
[ice]
open_to_everyone = true
urls = ${JSON.stringify(urls)}
`;

/**
 * Wildcards where nobody else is, as most operators leave it; beside coturn these addresses alone.
 */
const listenersOn = (addresses) => (port) =>
  JSON.stringify(addresses.map((address) => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`)));
