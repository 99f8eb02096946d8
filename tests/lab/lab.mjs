/**
 * A network with a browser on each client, where scenarios put the server that they need and people on its page.
 */
import { launchChromium, launchFirefox, authority } from "../browser/browsers.mjs";
import { addressOf, enter } from "../browser/page.mjs";
import { visit } from "../browser/visit.mjs";
import { start } from "../browser/server.mjs";
import { startCoturn } from "./coturn.mjs";
import { ADDRESSES, Network } from "./network.mjs";

/** @typedef {import("./network.mjs").Side} Side */
/** @typedef {import("./network.mjs").Kind} Kind */

/**
 * Where a person is.
 * @typedef {object} Place
 * @property {Kind} [nat] Of the router; a port-restricted cone if not said.
 * @property {import("./network.mjs").Families} [families]
 * @property {Side} [router] Another than one's own.
 * @property {import("./network.mjs").Quality} [cable] From the router to the internet, if it is not a perfect one.
 */

/** What pages are told of a relay: every transport if not said otherwise. @typedef {"stun" | "udp" | "tcp" | "tls"} Offer */

/** By name, as everywhere: browsers look for a certificate's name. */
const NAMES = {
  "call.byway.test": ADDRESSES.server,
  "beside.byway.test": ADDRESSES.other.filter((address) => /30$/.test(address)),
  "coturn.byway.test": ADDRESSES.other.filter((address) => /31$/.test(address)),
};

/** What coturn and Byway both sign with. */
export const SECRET = "a-secret-of-the-lab";

export class Lab {
  network = new Network(NAMES);
  /** @type {Partial<Record<Side, string>>} As it is, not to be laid again. */ #laid = {};
  /** @type {Map<string, Promise<import("playwright-core").Browser>>} */ #browsers = new Map();

  /** The browser of a client, launched for the first who asks. @param {Side} side @param {"chromium" | "firefox"} [engine] */
  browser(side, engine = "chromium") {
    const launch = { chromium: launchChromium, firefox: launchFirefox }[engine];
    const key = `${engine} ${side}`;
    if (!this.#browsers.has(key)) this.#browsers.set(key, launch({ on: this.network.on(`client-${side}`) }));
    return this.#browsers.get(key);
  }

  /** Puts both people where they are to be; nothing of what routers did before is left. @param {Partial<Record<Side, Place>>} places */
  async arrange({ a = {}, b = {} }) {
    for (const [side, { nat = "port", families = "v4", router = side, cable }] of /** @type {[Side, Place][]} */ (Object.entries({ a, b }))) {
      const laid = JSON.stringify({ families, router, cable });
      if (this.#laid[side] !== laid) {
        this.network.plug(side, { router, families });
        await this.network.cable(side, cable);
        this.#laid[side] = laid;
      }
      this.network.nat(side, nat);
    }
  }

  /** For scenarios that have laid cables themselves. */
  disarrange() {
    this.#laid = {};
  }

  /**
   * Starts a server, for as long as the scenario goes on.
   *
   * @param {import("node:test").TestContext} scenario
   * @param {{ relay?: "byway" | "coturn", offers?: Offer[], peers?: string[] }} [options] `relay`: who relays; the page, its
   *   signaling and its credentials are Byway's all the same. `peers`: ranges that may be relayed to, besides the internet.
   */
  async serve(scenario, { relay = "byway", offers, peers = [] } = {}) {
    const beside = relay === "coturn";
    const name = beside ? "beside.byway.test" : "call.byway.test";
    const certificate = authority.issue(name);
    const relayName = beside ? "coturn.byway.test" : name;
    const urls = offers || beside ? urlsOf(relayName, offers) : [];
    if (beside) await startCoturn(scenario, { network: this.network, name: relayName, addresses: NAMES[relayName], peers });
    const server = await start(configuration({ addresses: NAMES[name], certificate, urls, peers }), this.network.on(beside ? "other" : "server"));
    scenario.after(() => server.stop());
    return { ...server, origin: `https://${name}`, name };
  }

  /**
   * One more person in a room.
   *
   * @param {import("node:test").TestContext} scenario
   * @param {Side} side
   * @param {string} address Of the room's page.
   * @param {{ engine?: "chromium" | "firefox", browser?: import("playwright-core").Browser, tolerated?: RegExp }} [options]
   *   `browser`: another than that of all on this client.
   */
  async join(scenario, side, address, { engine, browser, ...options } = {}) {
    const page = await visit(scenario, browser ?? (await this.browser(side, engine)), address, options);
    await enter(page);
    return page;
  }

  async close() {
    for (const browser of this.#browsers.values()) await (await browser).close();
    this.network.remove();
  }
}

/** @param {string} name @param {Offer[]} [offers] */
function urlsOf(name, offers = ["stun", "udp", "tcp", "tls"]) {
  const urls = {
    stun: `stun:${name}:3478`,
    udp: `turn:${name}:3478?transport=udp`,
    tcp: `turn:${name}:3478?transport=tcp`,
    tls: `turns:${name}:443?transport=tcp`,
  };
  return offers.map((offer) => urls[offer]);
}

/** As an operator writes it, but for peers in ranges that are kept for examples, as this internet's are. */
const configuration = ({ addresses, certificate, urls, peers }) => `
realm = "byway.test"
[listen]
udp = ${at(addresses, 3478)}
tcp = ${at(addresses, 3478)}
tls = ${at(addresses, 443)}
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

const at = (addresses, port) =>
  JSON.stringify(addresses.map((address) => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`)));
