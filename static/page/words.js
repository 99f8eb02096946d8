/** Words of the page in the browser's language. */

import { words as english } from "./words/en.js";

/** @typedef {Record<string, string>} Dictionary */
/** @typedef {() => Promise<{ words: Dictionary }>} Loader */

/**
 * Languages other than English, which is part of the document. A key that a dictionary lacks falls
 * back to English.
 * @type {Record<string, Loader>}
 */
const LANGUAGES = { zh: () => import("./words/zh.js") };

/** First of the browser's languages that the page has. */
export const language =
  navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag === "en" || tag in LANGUAGES) ?? "en";

/** Words of the page's language. @type {Dictionary} */
let dictionary = english;

/** Loads the words of the page's language. Without them the page speaks English. */
export async function loadWords() {
  try {
    const loaded = await LANGUAGES[language]?.();
    if (loaded) dictionary = { ...english, ...loaded.words };
  } catch (error) {
    console.warn(error);
  }
}

/**
 * Adds the words of a part that was loaded later, in the page's language.
 * @param {Record<string, Loader>} languages `en` and those of the page.
 */
export async function addWords(languages) {
  const load = dictionary === english ? languages.en : languages[language];
  Object.assign(dictionary, (await load()).words);
}

/**
 * Returns the words of a key, with its `{placeholders}` filled in.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function say(key, values = {}) {
  const text = dictionary[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * Returns the sentence for an error: in the page's language if it has one for the code, else the
 * error's own.
 * @param {import("../byway.js").BywayError} error
 */
export function sayError({ code, message }) {
  const key = `error.${code}`;
  // The module's sentences are English, and name relays and addresses that these do not.
  return dictionary === english || !(key in dictionary) ? message : say(key);
}

/**
 * Fills in the words of a part of the document: `data-words` for its text, `data-words-label` for
 * `aria-label`, `data-words-placeholder` and `data-words-title` for those attributes.
 * @param {ParentNode} root
 */
export function fillWords(root) {
  const all = (/** @type {string} */ selector) => /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(selector));
  for (const each of all("[data-words]")) each.textContent = say(each.dataset.words ?? "");
  for (const each of all("[data-words-label]")) each.setAttribute("aria-label", say(each.dataset.wordsLabel ?? ""));
  for (const each of all("[data-words-title]")) each.title = say(each.dataset.wordsTitle ?? "");
  for (const each of all("[data-words-placeholder]")) {
    each.setAttribute("placeholder", say(each.dataset.wordsPlaceholder ?? ""));
  }
}

/** Applies the language to the whole document. */
export function translate() {
  document.documentElement.lang = dictionary === english ? "en" : language === "zh" ? "zh-CN" : language;
  fillWords(document);
  for (const template of document.querySelectorAll("template")) fillWords(template.content);
}
