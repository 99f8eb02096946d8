/** Versions of the programs that the laboratory runs, as they report them. */
import { execFileSync } from "node:child_process";

import { CHROMIUM, FIREFOX } from "../browser/browsers.mjs";
import { BINARY } from "../browser/server.mjs";

const clients = new URL("clients/", import.meta.url).pathname;
const packageOf = (name) => `${clients}${name}/node_modules/${name}/package.json`;

/** Command that prints the version of each. */
const QUESTIONS = {
  Byway: [BINARY, "--version"],
  Chromium: [CHROMIUM, "--version"],
  Firefox: [FIREFOX, "--version"],
  coturn: ["turnserver", "--version"],
  aiortc: [`${clients}aiortc/.venv/bin/python`, "-c", "import aiortc; print(aiortc.__version__)"],
  "node-datachannel": [process.execPath, "-p", `require("${packageOf("node-datachannel")}").version`],
};

/** Each with its version, but for those that are not installed. @returns {[string, string][]} */
export const versions = () => Object.entries(QUESTIONS).map(([name, question]) => [name, ask(question)]).filter(([, version]) => version);

/**
 * Only the number: some say more of the machine than a reader needs.
 * @param {(string | undefined)[]} question
 */
function ask([program, ...parameters]) {
  try {
    const answer = execFileSync(program, parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return /\d+(\.\d+)+\w*/.exec(answer)?.[0];
  } catch {
    return undefined;
  }
}
