/**
 * The faults, each as an operator, a provider or a visitor brings it about. `remedy` is what a cell
 * has to say besides the name. `works` has the reason why a reporter is right to find nothing.
 */
import { authority } from "../browser/browsers.mjs";
import { says } from "../browser/page.mjs";
import { BEYOND, CLOUD, ELSEWHERE, NAME, ROOM } from "./world.mjs";

/** @typedef {import("./world.mjs").World} World */

/**
 * @typedef {object} Fault
 * @property {string} name As in src/fault.rs.
 * @property {string} what What was done.
 * @property {(world: World, scenario: import("node:test").TestContext) => unknown} inject
 * @property {RegExp} remedy
 * @property {RegExp} [log] What the log calls it, where it does not name it.
 * @property {Partial<Record<"doctor" | "probe" | "page", string>>} [works]
 * @property {string} [server] Name of the server, if it is another one.
 * @property {(world: World) => Promise<import("./cells.mjs").Cell>} [page]
 *   Another page than the check.
 */

/** A mistake in nginx's block: these lines are missing. @param {string[]} directives */
const without = (...directives) => (/** @type {string} */ block) =>
  block.split("\n").filter((line) => !directives.some((directive) => line.includes(directive))).join("\n");

/** It expires within the second, long before it is used. */
const EXPIRED = authority.issue(NAME, 0);

const ANOTHER_SECRET = ["a-secret-that-the-server-does-not-know"];
const OTHER_ADDRESS = "45.0.0.77";

/** @type {Fault[]} */
export const FAULTS = [
  { name: "udp-blocked", what: "The provider's firewall drops UDP to the listeners.", inject: (world) => world.block("udp dport { 443, 3478 }"), remedy: /allow UDP/i },
  { name: "relay-ports-blocked", what: "The provider's firewall drops UDP to the relay ports.", inject: (world) => world.block("udp dport 49152-65535"), remedy: /allow.* UDP|UDP.* allow/i },
  { name: "tcp-blocked", what: "The provider's firewall drops TCP to port 3478.", inject: (world) => world.block("tcp dport 3478"), remedy: /allow TCP/i, works: { doctor: "nothing elsewhere connects back over TCP" } },
  { name: "wrong-public-address", what: "`relay.public_addresses` has an address of another machine.", inject: (world) => world.configure({ "relay.public_addresses": [OTHER_ADDRESS] }), remedy: /public_addresses/ },
  { name: "public-address-unset", what: "The machine is behind a 1:1 NAT, and `relay.public_addresses` is not set.", server: CLOUD, inject: (world, scenario) => world.cloud(scenario), remedy: /public_addresses/, log: /which the internet cannot reach/ },
  { name: "certificate-expired", what: "The certificate has expired.", inject: (world) => world.certify(EXPIRED), remedy: /renew/i, log: /expired/ },
  { name: "certificate-chain-incomplete", what: "`[tls] cert` names the file without the issuer's certificate.", inject: (world) => world.certify({ ...authority.issueByIntermediate(NAME), isAlone: true }), remedy: /chain/i, log: /without that of its issuer/ },
  { name: "certificate-name", what: "The certificate is for another name.", inject: (world) => world.certify(authority.issue("old.example.org")), remedy: /certificate|name/i },
  { name: "certificate-untrusted", what: "The certificate is signed by itself.", inject: (world) => world.certify({ ...authority.issueBySelf(NAME), isAlone: true }), remedy: /authority|browsers trust/i, log: /signed by itself/ },
  { name: "key-unreadable", what: "The private key belongs to root alone.", inject: (world) => world.hideKey(), remedy: /chown|setfacl|read/i, log: /key.*(permission denied|cannot be read)/i },
  { name: "clock-off", what: "The server's clock is two hours ahead.", inject: (world) => world.misset("+2h"), remedy: /ntp|clock/i },
  { name: "port-taken", what: "A web server has TCP port 443.", inject: (world) => world.occupy(443), remedy: /ss -|stop|another program/i, log: /address already in use|another program/i },
  { name: "ipv6-broken", what: "The machine has lost the IPv6 address that its name still has.", inject: (world) => world.loseIpv6(), remedy: /AAAA|IPv6/, works: { page: "the browser takes IPv4" } },
  { name: "secret-differs", what: "The secret in the file was changed, without a reload.", inject: (world) => world.edit({ "credentials.secrets": ANOTHER_SECRET }), remedy: /reload/, works: { page: "the page gets its credentials from the running server" } },
  { name: "credentials-refused", what: "`[ice] urls` leads to a server with another secret.", inject: (world) => world.configure({ "ice.urls": [`turn:${BEYOND}:3478?transport=udp`] }), remedy: /secret/, works: { probe: "it tests this host alone, and says which other it skipped" } },
  { name: "descriptors-few", what: "`LimitNOFILE=` is 64.", inject: (world) => world.override("LimitNOFILE=64"), remedy: /LimitNOFILE/ },
  { name: "proxy-host", what: "nginx does not pass on `Host`.", inject: (world) => world.proxy(without("Host $http_host")), remedy: /Host/, log: /refused a page of/ },
  { name: "proxy-upgrade", what: "nginx does not pass on `Upgrade`.", inject: (world) => world.proxy(without("Upgrade", "Connection")), remedy: /Upgrade/ },
  { name: "log-gone", what: "journald has stopped.", inject: (world) => world.closeLog(), remedy: /journald|disk|df/i, works: { probe: "calls continue", page: "calls continue" } },
  { name: "room-full", what: "A room has as many members as it may.", inject: (world, scenario) => world.fillRoom(scenario), remedy: /max_members|left/, page: knock, works: { doctor: "the installation is sound", probe: "it joins no room" } },
  { name: "local-network-access", what: "A page from a public address is told a relay in a private network.", inject: (world) => world.configure({ "ice.urls": ["turn:192.168.1.7:3478?transport=udp"] }), remedy: /local network/i },
  { name: "name-elsewhere", what: "The relay's name leads to another machine, as behind a CDN.", inject: (world) => world.configure({ "ice.urls": [`turn:${ELSEWHERE}:3478?transport=udp`, `turn:${ELSEWHERE}:3478?transport=tcp`] }), remedy: /A record|DNS|urls/, works: { probe: "it tests this host alone, and says which other it skipped" } },
  { name: "no-relay", what: "`[ice] urls` has no `turn:` URL.", inject: (world) => world.configure({ "ice.urls": [`stun:${NAME}:3478`] }), remedy: /urls|turn:/ },
  { name: "configuration-invalid", what: "A key of the configuration is mistyped.", inject: (world) => world.mistype("[signaling]\nmax_memebers = 3"), remedy: /max_members|keys known/, log: /is not a key/ },
  { name: "not-running", what: "The server is stopped.", inject: (world) => world.stop(), remedy: /start/ },
];

/**
 * A third person at the door of the room.
 * @param {World} world
 * @returns {Promise<import("./cells.mjs").Cell>}
 */
async function knock(world) {
  const context = await (await world.lab.browser("a")).newContext();
  try {
    const page = await context.newPage();
    await page.goto(ROOM);
    await page.click("#join");
    await says(page, /^(?!Joining)./);
    const said = await page.locator("#status").innerText();
    return { word: /full: try again when someone has left/.test(said) ? "named" : "partly", said };
  } finally {
    await context.close();
  }
}
