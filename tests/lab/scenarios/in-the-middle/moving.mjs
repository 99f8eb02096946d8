/**
 * The network of one person changes.
 */
import { test } from "node:test";

import { call, heals } from "./call.mjs";

/** @typedef {import("./call.mjs").Way} Way */

/** @param {import("../../lab.mjs").Lab} lab @param {{ ways?: Way[] }} [options] */
export function moving(lab, { ways = ["direct", "udp", "tls"] } = {}) {
  for (const way of ways) {
    const named = way === "direct" ? "direct" : `relayed over ${way.toUpperCase()}`;

    test(`a person goes to another network and comes back, ${named}`, async (scenario) => {
      await lab.arrange({});
      scenario.after(() => lab.disarrange());
      const { pages } = await call(lab, scenario, { way });
      await heals(scenario, pages, () => lab.network.plug("a", { router: "b" }), { what: `going to another network, ${named}` });
      await heals(scenario, pages, () => lab.network.plug("a"), { what: `coming back from another network, ${named}` });
    });

    test(`a person gets another address in the same network, ${named}`, async (scenario) => {
      await lab.arrange({});
      scenario.after(() => lab.disarrange());
      const { pages } = await call(lab, scenario, { way });
      await heals(scenario, pages, () => lab.network.renumber("client-a"));
    });
  }
}
