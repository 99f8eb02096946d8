/**
 * Type checks of the client: its modules, and its declarations in a web developer's program.
 */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { complaints, declarations, fileOf } from "./declarations.mjs";

const PAGE = fileURLToPath(new URL("types/page.ts", import.meta.url));

/** As docs/client.md says. */
const PATHS = { "https://call.example.org/byway.js": [fileOf("byway.d.ts")] };

test("the modules keep to the types in their comments, and leave nothing unused", async () => {
  const filesOf = async (folder) => (await readdir(fileOf(folder), { recursive: true })).map((file) => `${folder}/${file}`);
  // Nothing imports the workers.
  const files = [...(await filesOf("page")), ...(await filesOf("check"))];
  const modules = files.filter((file) => file.endsWith(".js")).map((file) => fileOf(file));
  const options = { allowJs: true, checkJs: true, noUnusedLocals: true, noUnusedParameters: true };
  assert.deepEqual(complaints([fileOf("byway/call.js"), fileOf("app.js"), ...modules], options), []);
});

test("the declarations are those of the modules", async () => {
  const written = await readFile(fileOf("byway.d.ts"), "utf8");
  assert.equal(written, declarations(), "static/byway.d.ts is out of date: `npm run declarations` in tests/e2e/browser writes it");
});

test("a page in TypeScript uses them as strictly as it likes, and its mistakes are found", () => {
  const strict = { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, verbatimModuleSyntax: true };
  assert.deepEqual(complaints([PAGE], { ...strict, paths: PATHS }), []);
});

test("the examples use the module as its declarations say", () => {
  const programs = ["one-to-one", "room", "data-channel", "screen-share"].map(
    (name) => fileURLToPath(new URL(`../../../examples/${name}/main.js`, import.meta.url)),
  );
  const paths = { "http://localhost:8080/byway.js": [fileOf("byway.d.ts")] };
  // Without annotations, so that they stay short.
  assert.deepEqual(complaints(programs, { strict: false, allowJs: true, checkJs: true, paths }), []);
});
