/**
 * The network of one person changes.
 */
import { afterwards } from "../../../browser/afterwards.mjs";
import { measured } from "../measured.mjs";
import { TABLE, call, heals, inWords } from "./call.mjs";

/**
 * @param {import("../../lab.mjs").Lab} lab
 * @param {{ ways?: import("./call.mjs").Way[], relays?: import("./call.mjs").Relay[] }} [options]
 */
export function moving(lab, { ways = ["direct", "udp", "tls"], relays = ["byway"] } = {}) {
  for (const way of ways) {
    const through = way === "direct" ? ["byway"] : relays;

    const [going, coming] = ["going to", "coming back from"].map((move) => `${move} another network, ${inWords(way)}`);
    measured({ table: TABLE, name: going, relays: through }, async (scenario, relay) => {
      await lab.arrange({});
      afterwards(scenario, () => lab.disarrange());
      const { pages } = await call(lab, scenario, { way, relay });
      const there = await heals(pages, () => lab.network.plug("a", { router: "b" }));
      const back = await heals(pages, () => lab.network.plug("a"));
      return [{ scenario: going, ...there }, { scenario: coming, ...back }];
    });

    const renumbered = `another address in the same network, ${inWords(way)}`;
    measured({ table: TABLE, name: renumbered, relays: through }, async (scenario, relay) => {
      await lab.arrange({});
      afterwards(scenario, () => lab.disarrange());
      const { pages } = await call(lab, scenario, { way, relay });
      return heals(pages, () => lab.network.renumber("client-a"));
    });
  }
}
