/**
 * The page's words: every language has every key, and the page uses each of them.
 */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

const PAGE = new URL("../../../static/", import.meta.url);
/** Modules of the page, by their paths in `static/page`. */
const MODULES = (await readdir(new URL("page/", PAGE), { recursive: true })).filter((file) => file.endsWith(".js"));
/** Files of English words: those of the document, and those of the parts that load later. */
const ENGLISH = MODULES.filter((file) => file.endsWith("words/en.js"));
const chineseOf = (file) => file.replace(/en\.js$/, "zh.js");
const wordsOf = async (file) => (await import(new URL(`page/${file}`, PAGE))).words;
const english = Object.assign({}, ...(await Promise.all(ENGLISH.map(wordsOf))));
const chinese = Object.assign({}, ...(await Promise.all(ENGLISH.map(chineseOf).map(wordsOf))));

/** Codes that the page never shows. `joined-too-often` arrives as `rate-limited`. */
const FOR_PROGRAMS = [
  "joined-too-often", "left", "no-echo", "bad-purpose", "too-many-streams", "bad-label", "too-many-channels",
  "channel-closed", "message-too-large",
];

/** Placeholders of a text, sorted. */
const placeholders = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

/** All sources of the page that name words. */
async function sources() {
  const files = MODULES.filter((file) => !file.includes("words/"));
  const texts = files.map((file) => readFile(new URL(`page/${file}`, PAGE), "utf8"));
  return (await Promise.all([...texts, readFile(new URL("index.html", PAGE), "utf8")])).join("\n");
}

test("Chinese has every key of English, with the same placeholders, and no other", async () => {
  for (const file of ENGLISH) {
    const keys = async (of) => Object.keys(await wordsOf(of)).sort();
    assert.deepEqual(await keys(chineseOf(file)), await keys(file), file);
  }
  for (const [key, text] of Object.entries(english)) {
    assert.deepEqual(placeholders(chinese[key]), placeholders(text), key);
    assert.notEqual(chinese[key].trim(), "", key);
  }
});

test("all files of words of a language name a key once", async () => {
  for (const files of [ENGLISH, ENGLISH.map(chineseOf)]) {
    const texts = await Promise.all(files.map((file) => readFile(new URL(`page/${file}`, PAGE), "utf8")));
    const keys = [...texts.join("\n").matchAll(/^ {2}"([^"]+)":/gm)].map(([, key]) => key);
    assert.deepEqual(keys.filter((key, index) => keys.indexOf(key) !== index), [], files[0]);
  }
});

test("each error that a person can meet has words", async () => {
  const source = await readFile(new URL("byway/errors.js", PAGE), "utf8");
  const messages = source.slice(source.indexOf("const MESSAGES = {"));
  const codes = [...messages.matchAll(/^ {2}"?([a-z-]+)"?:/gm)].map(([, code]) => code);
  assert.ok(codes.length > 40, `only ${codes.length} codes were found`);
  const missing = codes.filter((code) => !FOR_PROGRAMS.includes(code) && !(`error.${code}` in chinese));
  assert.deepEqual(missing, []);
});

test("every key that the page names has words", async () => {
  const text = await sources();
  const named = [
    ...[...text.matchAll(/\b(?:say|button)\("([\w-]+\.[\w.-]+)"/g)].map(([, key]) => key),
    ...[...text.matchAll(/data-words(?:-label|-title|-placeholder)?="([^"]+)"/g)].map(([, key]) => key),
  ];
  assert.ok(named.length > 50, `only ${named.length} keys were found in the page`);
  assert.deepEqual([...new Set(named)].filter((key) => !(key in english)), []);
});

test("no key is left that nothing names", async () => {
  const text = await sources();
  // A template such as say(`camera.${state}`) names all keys that begin so.
  const prefixes = [...text.matchAll(/`([\w-]+\.(?:[\w-]+[.-])?)\$\{/g)].map(([, prefix]) => prefix);
  const unused = Object.keys(english).filter(
    (key) => !text.includes(`"${key}"`) && !prefixes.some((prefix) => key.startsWith(prefix)),
  );
  assert.deepEqual(unused, []);
});
