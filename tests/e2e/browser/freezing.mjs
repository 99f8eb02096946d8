/** A browser that stands still as a whole, as on a machine that sleeps. */
import { readFileSync, readdirSync } from "node:fs";

import { afterwards } from "./afterwards.mjs";
import { launchChromium } from "./browsers.mjs";
import { eventually } from "./eventually.mjs";

/** Launches wait for each other: each looks for the one new process group. */
let launching = Promise.resolve();

/**
 * A browser of the scenario's own, which can be frozen with all its processes. Its sockets stay,
 * and what comes waits in them.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {() => Promise<import("playwright-core").Browser>} [launch]
 */
export async function launchFreezable(scenario, launch = launchChromium) {
  const launched = launching.then(async () => {
    const before = leaders();
    const browser = await launch();
    return { browser, group: leaders().find((leader) => !before.includes(leader)) };
  });
  launching = launched.catch(() => {});
  const { browser, group } = await launched;
  if (!group) throw new Error("the browser is in no process group of its own");
  const members = () => processes().filter((one) => one.group === group);
  const thaw = () => members().length && process.kill(-group, "SIGCONT");
  afterwards(scenario, async () => {
    thaw(); // a frozen one would not close
    await browser.close();
  });
  return {
    browser,
    async freeze() {
      process.kill(-group, "SIGSTOP");
      await eventually("all of the browser frozen", () => members().every(({ state }) => "TZ".includes(state)) || null);
    },
    thaw,
  };
}

/** Groups of processes that this one has started. */
const leaders = () => processes().filter(({ parent, pid, group }) => parent === process.pid && pid === group).map(({ group }) => group);

/** Every process of this machine (proc(5)). */
function processes() {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      // Behind the name, which may have spaces and parentheses.
      const [state, parent, group] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop().split(" ");
      return [{ pid: Number(pid), state, parent: Number(parent), group: Number(group) }];
    } catch {
      return []; // ended meanwhile
    }
  });
}
