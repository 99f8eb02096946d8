/**
 * A router translates anew: the mapping changes under the call (RFC 4787 section 4.3, RFC 8445 section 11).
 */
import { test } from "node:test";

import { call, heals } from "./call.mjs";

/** @typedef {import("./call.mjs").Way} Way */

/** Not every NAT of the other's lets a symmetric one have a direct path. */
const SYMMETRIC = { a: { nat: "sym" }, b: { nat: "full" } };

/** @param {import("../../lab.mjs").Lab} lab @param {{ ways?: Way[] }} [options] */
export function rebinding(lab, { ways = ["direct", "udp", "tcp", "tls"] } = {}) {
  for (const way of ways) {
    const named = way === "direct" ? "direct" : `relayed over ${way.toUpperCase()}`;

    test(`a symmetric NAT forgets its mappings, ${named}`, async (scenario) => {
      await lab.arrange(SYMMETRIC);
      const { pages } = await call(lab, scenario, { way });
      await heals(scenario, pages, () => lab.network.forgetMappings("a"));
    });

    if (way === "udp") {
      test(`a symmetric NAT forgets its mappings of UDP alone, ${named}`, async (scenario) => {
        await lab.arrange(SYMMETRIC);
        const { pages } = await call(lab, scenario, { way });
        await heals(scenario, pages, () => lab.network.forgetMappings("a", "udp"), { signaling: false });
      });
    }

    test(`a router gets another public address, ${named}`, async (scenario) => {
      await lab.arrange({});
      scenario.after(() => lab.disarrange());
      const { pages } = await call(lab, scenario, { way });
      await heals(scenario, pages, () => lab.network.renumber("router-a"));
    });
  }
}
