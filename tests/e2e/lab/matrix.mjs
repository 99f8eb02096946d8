/**
 * Between which networks people call each other, and how their packets have to go.
 */

/** @typedef {"udp" | "tcp" | "tls"} Protocol */

/**
 * A call between two people, in the order of their arrival.
 *
 * @typedef {object} Call
 * @property {string} table The heading under which its result stands.
 * @property {string} name
 * @property {import("./lab.mjs").Place} [a]
 * @property {import("./lab.mjs").Place} [b]
 * @property {"chromium" | "firefox"} [engine] Of b.
 * @property {boolean} [force] Both ask for the relay.
 * @property {import("./lab.mjs").Offer[]} [offers] What pages are told of the relay, if not
 *   everything.
 * @property {"direct" | "relayed"} path
 * @property {Partial<Record<import("./lab.mjs").Side, Protocol>>} [over] How either reaches its
 *   relay, if it uses one; by UDP if not said.
 * @property {boolean} [always] Whether it is among the few that every run of all tests makes.
 */

/** @typedef {import("./network.mjs").Kind} Kind */

/**
 * As most call them, after RFC 3489 section 5: each is stricter than the one before.
 * @type {Partial<Record<Kind, string>>}
 */
const NATS = { full: "full cone", addr: "address-restricted", port: "port-restricted", sym: "symmetric" };

/**
 * These meet nowhere: what the symmetric one sends comes from a port that the other one does not
 * expect.
 */
const NO_DIRECT_PATH = ["port sym", "sym sym"];

const ALWAYS = ["full full", "port port", "port sym", "sym sym"];

/** @type {Call[]} */
const natByNat = Object.keys(NATS).flatMap((a, index, kinds) =>
  kinds.slice(index).map((b) => ({
    table: "NAT by NAT",
    name: `${NATS[a]} × ${NATS[b]}`,
    a: { nat: a },
    b: { nat: b },
    path: NO_DIRECT_PATH.includes(`${a} ${b}`) ? "relayed" : "direct",
    always: ALWAYS.includes(`${a} ${b}`),
  })),
);

const BAD = { lossPercent: 5, delayMs: 40, kbps: 2000 };

/** @type {Call[]} */
const others = [
  { table: "One home", name: "both behind one port-restricted NAT", b: { router: "a" }, path: "direct" },
  { table: "One home", name: "both behind one symmetric NAT", a: { nat: "sym" }, b: { router: "a" }, path: "direct" },

  ...["udp", "tcp", "tls"].map((protocol) => ({
    table: "Relay forced",
    name: `over ${protocol.toUpperCase()}`,
    force: true,
    offers: [protocol],
    path: "relayed",
    over: { a: protocol, b: protocol },
    always: true,
  })),
  ...["udp", "tcp", "tls"].map((protocol) => ({
    table: "Relay forced",
    name: `over ${protocol.toUpperCase()}, to Firefox`,
    engine: "firefox",
    force: true,
    offers: [protocol],
    path: "relayed",
    over: { a: protocol, b: protocol },
    always: protocol === "tls",
  })),

  { table: "Firewalls", name: "UDP blocked × port-restricted", a: { nat: "udpblock" }, path: "relayed", over: { a: "tcp" }, always: true },
  { table: "Firewalls", name: "UDP blocked × UDP blocked", a: { nat: "udpblock" }, b: { nat: "udpblock" }, path: "relayed", over: { a: "tcp", b: "tcp" } },
  { table: "Firewalls", name: "only TCP 443 × port-restricted", a: { nat: "tls443" }, path: "relayed", over: { a: "tls" } },
  { table: "Firewalls", name: "only TCP 443 × only TCP 443", a: { nat: "tls443" }, b: { nat: "tls443" }, path: "relayed", over: { a: "tls", b: "tls" }, always: true },
  { table: "Firewalls", name: "only TCP 443 × Firefox, UDP blocked", a: { nat: "tls443" }, b: { nat: "udpblock" }, engine: "firefox", path: "relayed", over: { a: "tls", b: "tcp" } },

  { table: "Bad cable", name: "5 % loss, 40 ms, 2 Mbit/s, direct", a: { cable: BAD }, path: "direct" },
  { table: "Bad cable", name: "5 % loss, 40 ms, 2 Mbit/s, relayed over UDP", a: { cable: BAD }, force: true, offers: ["udp"], path: "relayed", always: true },
  { table: "Bad cable", name: "5 % loss, 40 ms, 2 Mbit/s, relayed over TCP", a: { cable: BAD }, force: true, offers: ["tcp"], path: "relayed", over: { a: "tcp", b: "tcp" } },
  { table: "Bad cable", name: "5 % loss, 40 ms, 2 Mbit/s, relayed over TLS", a: { cable: BAD }, force: true, offers: ["tls"], path: "relayed", over: { a: "tls", b: "tls" } },

  { table: "IPv6", name: "IPv6 alone × IPv4 alone", a: { families: "v6" }, path: "relayed", always: true },
  { table: "IPv6", name: "IPv6 alone × IPv6 alone", a: { families: "v6" }, b: { families: "v6" }, path: "direct" },
  { table: "IPv6", name: "IPv6 alone × IPv6 alone, relay forced", a: { families: "v6" }, b: { families: "v6" }, force: true, path: "relayed" },
  { table: "IPv6", name: "both families × both families", a: { families: "dual" }, b: { families: "dual" }, path: "direct" },
  { table: "IPv6", name: "both families × IPv4 alone, symmetric", a: { families: "dual" }, b: { nat: "sym" }, path: "relayed" },
];

/** @type {Call[]} */
export const CALLS = [...natByNat, ...others];
