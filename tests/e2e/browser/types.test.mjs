/**
 * Type checks of the client: its modules, and its declarations in a web developer's program.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { complaints, declarations, fileOf } from "./declarations.mjs";

const PAGE = fileURLToPath(new URL("types/page.ts", import.meta.url));

/** As docs/client.md says. */
const PATHS = { "https://call.example.org/byway.js": [fileOf("byway.d.ts")] };

test("the modules keep to the types in their comments", () => {
  assert.deepEqual(complaints([fileOf("byway/call.js"), fileOf("app.js")], { allowJs: true, checkJs: true }), []);
});

test("the declarations are those of the modules", async () => {
  const written = await readFile(fileOf("byway.d.ts"), "utf8");
  assert.equal(written, declarations(), "static/byway.d.ts is out of date: `npm run declarations` in tests/e2e/browser writes it");
});

test("a page in TypeScript uses them as strictly as it likes, and its mistakes are found", () => {
  const strict = { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, verbatimModuleSyntax: true };
  assert.deepEqual(complaints([PAGE], { ...strict, paths: PATHS }), []);
});
