/**
 * Words of the pages: every language has every key, and the page uses each of them.
 */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

const PAGE = new URL("../../../static/", import.meta.url);
/** Pages by the folder of their modules in `static`, each with its document. */
const PAGES = { page: "index.html", check: "check.html" };

/** Words and sources of a page. */
async function read(folder, document) {
  const modules = (await readdir(new URL(`${folder}/`, PAGE), { recursive: true })).filter((file) => file.endsWith(".js"));
  const text = (file) => readFile(new URL(file, PAGE), "utf8");
  const code = modules.filter((file) => !file.includes("words/")).map((file) => text(`${folder}/${file}`));
  // Those of the document, and those of the parts that load later.
  const english = modules.filter((file) => file.endsWith("words/en.js"));
  const wordsOf = async (file) => (await import(new URL(`${folder}/${file}`, PAGE))).words;
  const all = async (files) => Object.assign({}, ...(await Promise.all(files.map(wordsOf))));
  return {
    files: english,
    wordsOf,
    text: (file) => text(`${folder}/${file}`),
    english: await all(english),
    chinese: await all(english.map(chineseOf)),
    source: (await Promise.all([...code, text(document)])).join("\n"),
  };
}

const chineseOf = (file) => file.replace(/en\.js$/, "zh.js");
const PARTS = await Promise.all(Object.entries(PAGES).map(async ([folder, document]) => ({ folder, ...(await read(folder, document)) })));
const [{ chinese }] = PARTS;

/** Codes that the page never shows. `joined-too-often` arrives as `rate-limited`. */
const FOR_PROGRAMS = [
  "joined-too-often", "left", "no-echo", "bad-purpose", "too-many-streams", "bad-label", "too-many-channels",
  "channel-closed", "message-too-large", "no-timeline",
];

/** Placeholders of a text, sorted. */
const placeholders = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

for (const { folder, files, wordsOf, text, english, chinese } of PARTS) {
  test(`${folder}: Chinese has every key of English, with the same placeholders, and no other`, async () => {
    for (const file of files) {
      const keys = async (of) => Object.keys(await wordsOf(of)).sort();
      assert.deepEqual(await keys(chineseOf(file)), await keys(file), file);
    }
    for (const [key, words] of Object.entries(english)) {
      assert.deepEqual(placeholders(chinese[key]), placeholders(words), key);
      assert.notEqual(chinese[key].trim(), "", key);
    }
  });

  test(`${folder}: all files of words of a language name a key once`, async () => {
    for (const each of [files, files.map(chineseOf)]) {
      const texts = await Promise.all(each.map(text));
      const keys = [...texts.join("\n").matchAll(/^ {2}"([^"]+)":/gm)].map(([, key]) => key);
      assert.deepEqual(keys.filter((key, index) => keys.indexOf(key) !== index), [], each[0]);
    }
  });
}

test("each error that a person can meet has words", async () => {
  const source = await readFile(new URL("byway/errors.js", PAGE), "utf8");
  const messages = source.slice(source.indexOf("const MESSAGES = {"));
  const codes = [...messages.matchAll(/^ {2}"?([a-z-]+)"?:/gm)].map(([, code]) => code);
  assert.ok(codes.length > 40, `only ${codes.length} codes were found`);
  const missing = codes.filter((code) => !FOR_PROGRAMS.includes(code) && !(`error.${code}` in chinese));
  assert.deepEqual(missing, []);
});

for (const { folder, english, source } of PARTS) {
  test(`${folder}: every key that the page names has words`, () => {
    const named = [
      ...[...source.matchAll(/\b(?:say|button)\("([\w-]+\.[\w.-]+)"/g)].map(([, key]) => key),
      ...[...source.matchAll(/data-words(?:-label|-title|-placeholder)?="([^"]+)"/g)].map(([, key]) => key),
    ];
    assert.ok(named.length > 20, `only ${named.length} keys were found in the page`);
    assert.deepEqual([...new Set(named)].filter((key) => !(key in english)), []);
  });

  test(`${folder}: no key is left that nothing names`, () => {
    // A template such as say(`camera.${state}`) names all keys that begin so. The remedies of
    // findings are tested in check.test.mjs.
    const prefixes = [...source.matchAll(/`([\w-]+\.(?:[\w-]+[.-])?)\$\{/g)].map(([, prefix]) => prefix);
    if (folder === "check") prefixes.push("visitor.", "operator.");
    const unused = Object.keys(english).filter(
      (key) => !source.includes(`"${key}"`) && !prefixes.some((prefix) => key.startsWith(prefix)),
    );
    assert.deepEqual(unused, []);
  });
}
