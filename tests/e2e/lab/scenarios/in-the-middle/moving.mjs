/**
 * The network of one person changes.
 */
import { disturbed, heals, inWords } from "./call.mjs";

/**
 * @param {import("../../lab.mjs").Lab} lab
 * @param {{ ways?: import("./call.mjs").Way[], relays?: import("./call.mjs").Relay[] }} [options]
 */
export function moving(lab, { ways = ["direct", "udp", "tls"], relays = ["byway"] } = {}) {
  for (const way of ways) {
    const [going, coming] = ["going to", "coming back from"].map((move) => `${move} another network, ${inWords(way)}`);
    disturbed(lab, { name: going, way, relays }, async (pages) => {
      const there = await heals(pages, () => lab.network.plug("a", { router: "b" }));
      const back = await heals(pages, () => lab.network.plug("a"));
      return [{ scenario: going, ...there }, { scenario: coming, ...back }];
    });

    const renumbered = `another address in the same network, ${inWords(way)}`;
    disturbed(lab, { name: renumbered, way, relays }, (pages) => heals(pages, () => lab.network.renumber("client-a")));
  }
}
