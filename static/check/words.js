/** Words of the self-test page in the browser's language. */

import { words as english } from "./words/en.js";

/** @typedef {Record<string, string>} Dictionary */

/** @type {Record<string, () => Promise<{ words: Dictionary }>>} */
const LANGUAGES = { zh: () => import("./words/zh.js") };

/** First of the browser's languages that the page has. */
const language =
  navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag === "en" || tag in LANGUAGES) ?? "en";

/** @type {Dictionary} */
let dictionary = english;

/** Loads the words, and fills them into the document. Without them the page speaks English. */
export async function translate() {
  try {
    const loaded = await LANGUAGES[language]?.();
    if (loaded) dictionary = { ...english, ...loaded.words };
  } catch (error) {
    console.warn(error);
  }
  document.documentElement.lang = dictionary === english ? "en" : language === "zh" ? "zh-CN" : language;
  document.title = `${say("page.title")} · Byway`;
  /** @type {NodeListOf<HTMLElement>} */
  const named = document.querySelectorAll("[data-words]");
  for (const each of named) each.textContent = say(each.dataset.words ?? "");
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

/** Whether there are words of a key. @param {string} key */
export const has = (key) => key in dictionary;
