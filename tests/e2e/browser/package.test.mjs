/** The client as an npm package: its files, its version, and its types in a program. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";

import { complaints, fileOf } from "./declarations.mjs";

const PACKAGE = fileOf("");

/** Module resolution of bundlers, and of Node.js. */
const RESOLUTIONS = {
  bundlers: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
  "Node.js": { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
};

const npm = (...parameters) => execFileSync("npm", parameters, { encoding: "utf8" });

test("the npm package contains the client, and nothing of the call page", async () => {
  const [{ files }] = JSON.parse(npm("pack", "--dry-run", "--json", PACKAGE));
  const modules = (await readdir(fileOf("byway"))).map((name) => `byway/${name}`);
  const expected = ["README.md", "byway.d.ts", "byway.js", ...modules, "package.json"];
  assert.deepEqual(files.map(({ path }) => path).sort(), expected.sort());
});

test("the npm package has the version of the server", async () => {
  const { version } = JSON.parse(await readFile(fileOf("package.json"), "utf8"));
  const cargo = await readFile(new URL("../../../Cargo.toml", import.meta.url), "utf8");
  assert.equal(version, /^\[package\]\n(?:.+\n)*?version = "(.+)"$/m.exec(cargo)?.[1]);
});

test("a program that installs the npm package gets its types", async (scenario) => {
  const program = await mkdtemp(join(tmpdir(), "byway-package-"));
  scenario.after(() => rm(program, { recursive: true }));
  const [{ filename }] = JSON.parse(npm("pack", "--json", "--pack-destination", program, PACKAGE));
  await writeFile(join(program, "package.json"), JSON.stringify({ type: "module" }));
  npm("install", "--prefix", program, "--offline", "--no-audit", "--no-fund", join(program, filename));

  const page = await readFile(fileURLToPath(new URL("types/page.ts", import.meta.url)), "utf8");
  const file = join(program, "page.ts");
  await writeFile(file, page.replaceAll("https://call.example.org/byway.js", "byway-client"));
  for (const [which, resolution] of Object.entries(RESOLUTIONS)) assert.deepEqual(complaints([file], resolution), [], which);
});
