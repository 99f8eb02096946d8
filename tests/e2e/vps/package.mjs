/** The package under test, and the same as a later version. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterwards } from "../browser/afterwards.mjs";

/** Built by the stage `vps` of tests/run. */
export const PACKAGE = process.env.PACKAGE;

/**
 * The package with a higher version, for as long as the scenario.
 * @param {import("node:test").TestContext} scenario
 */
export function laterPackage(scenario) {
  const folder = mkdtempSync(join(tmpdir(), "byway-package-"));
  afterwards(scenario, () => rmSync(folder, { recursive: true }));
  const contents = join(folder, "contents");
  execFileSync("dpkg-deb", ["--raw-extract", PACKAGE, contents]);
  const control = join(contents, "DEBIAN", "control");
  writeFileSync(control, readFileSync(control, "utf8").replace(/^Version: .*$/m, `Version: ${LATER}`));
  // No compression: only its speed counts here.
  execFileSync("dpkg-deb", ["--root-owner-group", "-Znone", "--build", contents, folder], { stdio: "pipe" });
  return { file: join(folder, `byway_${LATER}_${architecture()}.deb`), version: LATER };
}

const LATER = "99.0.0-1";

const architecture = () => execFileSync("dpkg-deb", ["--field", PACKAGE, "Architecture"], { encoding: "utf8" }).trim();
