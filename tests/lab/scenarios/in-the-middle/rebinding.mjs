/**
 * A router translates anew: the mapping changes under the call (RFC 4787 section 4.3, RFC 8445 section 11).
 */
import { afterwards } from "../../../browser/afterwards.mjs";
import { call, heals, inWords, testEach } from "./call.mjs";

/** Not every NAT of the other's lets a symmetric one have a direct path. */
const SYMMETRIC = { a: { nat: "sym" }, b: { nat: "full" } };

/**
 * @param {import("../../lab.mjs").Lab} lab
 * @param {{ ways?: import("./call.mjs").Way[], relays?: import("./call.mjs").Relay[] }} [options]
 */
export function rebinding(lab, { ways = ["direct", "udp", "tcp", "tls"], relays = ["byway"] } = {}) {
  for (const way of ways) {
    const through = way === "direct" ? ["byway"] : relays;

    const restarted = `a symmetric NAT forgets its mappings, ${inWords(way)}`;
    testEach(through, restarted, async (scenario, relay) => {
      await lab.arrange(SYMMETRIC);
      const { pages } = await call(lab, scenario, { way, relay });
      await heals(scenario, pages, () => lab.network.forgetMappings("a"), { name: restarted, relay });
    });

    if (way === "udp") {
      const forgetful = `a symmetric NAT forgets its mappings of UDP alone, ${inWords(way)}`;
      testEach(through, forgetful, async (scenario, relay) => {
        await lab.arrange(SYMMETRIC);
        const { pages } = await call(lab, scenario, { way, relay });
        await heals(scenario, pages, () => lab.network.forgetMappings("a", "udp"), { name: forgetful, relay, signaling: false });
      });
    }

    const renumbered = `a router gets another public address, ${inWords(way)}`;
    testEach(through, renumbered, async (scenario, relay) => {
      await lab.arrange({});
      afterwards(scenario, () => lab.disarrange());
      const { pages } = await call(lab, scenario, { way, relay });
      await heals(scenario, pages, () => lab.network.renumber("router-a"), { name: renumbered, relay });
    });
  }
}
