/** Words that the panels of photos, GIFs and recordings share. */

/** @typedef {import("../words.js").Loader} Loader */

/** @type {Record<string, Loader>} */
const SHARED = {
  en: () => import("./words/en.js"),
  zh: () => import("./words/zh.js"),
};

/**
 * Adds the shared words to those of a panel.
 * @param {Record<string, Loader>} languages
 * @returns {Record<string, Loader>}
 */
export const withPictureWords = (languages) =>
  Object.fromEntries(Object.entries(languages).map(([language, load]) => [language, async () => {
    const [own, shared] = await Promise.all([load(), SHARED[language]()]);
    return { words: { ...shared.words, ...own.words } };
  }]));
