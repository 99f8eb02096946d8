/**
 * A router rebinds: the mapping changes under the call (RFC 4787 section 4.3, RFC 8445
 * section 11).
 */
import { disturbed, heals, inWords } from "./call.mjs";

/** Not every NAT of the other's lets a symmetric one have a direct path. */
const SYMMETRIC = { a: { nat: "sym" }, b: { nat: "full" } };

/**
 * @param {import("../../lab.mjs").Lab} lab
 * @param {{ ways?: import("./call.mjs").Way[], relays?: import("./call.mjs").Relay[] }} [options]
 */
export function rebinding(lab, { ways = ["direct", "udp", "tcp", "tls"], relays = ["byway"] } = {}) {
  for (const way of ways) {
    const restarted = `a symmetric NAT forgets its mappings, ${inWords(way)}`;
    disturbed(lab, { name: restarted, way, relays, places: SYMMETRIC }, (pages) => heals(pages, () => lab.network.forgetMappings("a")));

    if (way === "udp") {
      const forgetful = `a symmetric NAT forgets its mappings of UDP alone, ${inWords(way)}`;
      disturbed(lab, { name: forgetful, way, relays, places: SYMMETRIC }, (pages) =>
        heals(pages, () => lab.network.forgetMappings("a", "udp"), { signaling: false }),
      );
    }

    const renumbered = `a router gets another public address, ${inWords(way)}`;
    disturbed(lab, { name: renumbered, way, relays }, (pages) => heals(pages, () => lab.network.renumber("router-a")));
  }
}
