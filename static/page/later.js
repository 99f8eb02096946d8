/** Parts that load when the first call begins, because other members send them messages. */

import { addWords } from "./words.js";

/** @typedef {import("./page.js").Page} Page */

/** @param {Page} page */
export function startLater(page) {
  /** @type {Promise<void> | null} */
  let loading = null;
  // After a failure, a person who comes shows that the server is back.
  for (const type of ["call", "people"]) {
    page.events.addEventListener(type, () => {
      if (page.call && !page.call.viewer) loading ??= load();
    });
  }
  const load = async () => {
    try {
      const chat = await import("./chat/chat.js");
      await addWords(chat.words);
      await chat.startChat(page);
    } catch (error) {
      console.warn(error);
      loading = null;
      page.tell("chat");
    }
  };
}
