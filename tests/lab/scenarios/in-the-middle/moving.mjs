/**
 * The network of one person changes.
 */
import { afterwards } from "../../../browser/afterwards.mjs";
import { call, heals, inWords, testEach } from "./call.mjs";

/**
 * @param {import("../../lab.mjs").Lab} lab
 * @param {{ ways?: import("./call.mjs").Way[], relays?: import("./call.mjs").Relay[] }} [options]
 */
export function moving(lab, { ways = ["direct", "udp", "tls"], relays = ["byway"] } = {}) {
  for (const way of ways) {
    const through = way === "direct" ? ["byway"] : relays;

    const [going, coming] = ["going to", "coming back from"].map((move) => `${move} another network, ${inWords(way)}`);
    testEach(through, going, async (scenario, relay) => {
      await lab.arrange({});
      afterwards(scenario, () => lab.disarrange());
      const { pages } = await call(lab, scenario, { way, relay });
      await heals(scenario, pages, () => lab.network.plug("a", { router: "b" }), { name: going, relay });
      await heals(scenario, pages, () => lab.network.plug("a"), { name: coming, relay });
    });

    const renumbered = `another address in the same network, ${inWords(way)}`;
    testEach(through, renumbered, async (scenario, relay) => {
      await lab.arrange({});
      afterwards(scenario, () => lab.disarrange());
      const { pages } = await call(lab, scenario, { way, relay });
      await heals(scenario, pages, () => lab.network.renumber("client-a"), { name: renumbered, relay });
    });
  }
}
