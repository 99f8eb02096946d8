/** The commands that README gives for a server, so that README is what the test runs. */
import { readFileSync } from "node:fs";

const README = new URL("../../../README.md", import.meta.url);

/**
 * Lines of the block of shell commands below "On a server", without their remarks.
 * @returns {string[]}
 */
export function commands() {
  const [, section] = readFileSync(README, "utf8").split(/^## On a server$/m);
  if (!section) throw new Error('README.md has no section "On a server"');
  const [, block] = /^```sh\n(.*?)^```$/ms.exec(section.split(/^## /m)[0]) ?? [];
  if (!block) throw new Error('README.md has no block of commands below "On a server"');
  return block.split("\n").map((line) => line.replace(/\s+#.*$/, "")).filter(Boolean);
}
