/** Pictures that the person took, and the list that shows them. */

import { sizeText } from "../sizes.js";

/** @typedef {import("../page.js").Page} Page */

/**
 * @typedef {object} Item
 * @property {Blob} blob
 * @property {string} name File name.
 * @property {string} label Name of the picture that it was taken of.
 * @property {Date} at
 * @property {number} width
 * @property {number} height
 * @property {string} url Object URL, valid until the item is removed.
 */

/** Newest items up to a number and a size. Event: `change`. */
export class Gallery extends EventTarget {
  /** Newest first. @type {Item[]} */
  items = [];

  /** @param {{ count: number, bytes: number }} limits */
  constructor({ count, bytes }) {
    super();
    this.count = count;
    this.bytes = bytes;
  }

  /**
   * Adds an item, and removes the oldest ones that no longer fit.
   * @param {Omit<Item, "url">} taken
   * @returns {number} Number of items that were removed.
   */
  add(taken) {
    this.items.unshift({ ...taken, url: URL.createObjectURL(taken.blob) });
    let removed = 0;
    for (; this.items.length > 1 && this.#isFull(); removed += 1) this.#drop(this.items.length - 1);
    this.dispatchEvent(new Event("change"));
    return removed;
  }

  /** @param {Item} item */
  remove(item) {
    const index = this.items.indexOf(item);
    if (index < 0) return;
    this.#drop(index);
    this.dispatchEvent(new Event("change"));
  }

  #isFull() {
    return this.items.length > this.count || this.items.reduce((sum, { blob }) => sum + blob.size, 0) > this.bytes;
  }

  /** @param {number} index */
  #drop(index) {
    const [{ url }] = this.items.splice(index, 1);
    URL.revokeObjectURL(url);
  }
}

/**
 * Builds the list of a gallery, which follows it.
 * @param {Page} page @param {Gallery} gallery
 * @param {{ id: string, title: string, alt: (item: Item) => string }} options
 * @returns {{ root: HTMLElement, close: () => void }}
 */
export function galleryView(page, gallery, { id, title, alt }) {
  const { element, say } = page;
  const list = element("ul", { id, class: "gallery", "aria-label": title });
  const heading = element("h3", { text: title, tabindex: -1 });
  const kept = element("p", { class: "quiet", text: say("pictures.kept", { count: gallery.count, size: sizeText(gallery.bytes) }) });
  const root = element("div", { class: "taken" }, heading, kept, list);
  /** Entries stay in the document, so that images do not flicker. @type {Map<Item, HTMLElement>} */
  const entries = new Map();

  const draw = () => {
    for (const item of entries.keys()) if (!gallery.items.includes(item)) entries.delete(item);
    for (const item of gallery.items) {
      if (!entries.has(item)) entries.set(item, entryOf(page, gallery, item, { text: alt(item), heading }));
    }
    for (const entry of entries.values()) {
      /** @type {HTMLElement} */ (entry.querySelector(".send")).hidden = !page.chat || !page.call;
    }
    const wanted = gallery.items.map((item) => /** @type {HTMLElement} */ (entries.get(item)));
    const isSame = wanted.length === list.childElementCount && wanted.every((entry, index) => list.children[index] === entry);
    if (!isSame) list.replaceChildren(...wanted);
    root.hidden = !wanted.length;
  };
  const closed = new AbortController();
  gallery.addEventListener("change", draw, { signal: closed.signal });
  // The chat begins with the first call, and nobody is there to get a picture after it.
  for (const type of ["people", "call", "chat"]) page.events.addEventListener(type, draw, { signal: closed.signal });
  draw();
  return { root, close: () => closed.abort() };
}

/**
 * Builds the entry of one item: picture, figures, and what can be done with it.
 * @param {Page} page @param {Gallery} gallery @param {Item} item
 * @param {{ text: string, heading: HTMLElement }} options
 */
function entryOf(page, gallery, item, { text, heading }) {
  const { element, say } = page;
  const time = item.at.toLocaleTimeString(document.documentElement.lang);
  const figures = `${time} · ${item.width} × ${item.height} · ${sizeText(item.blob.size)}`;
  const label = (/** @type {string} */ key) => `${say(key)}: ${text}, ${time}`;
  const send = () => {
    try {
      // If not, the chat has said why.
      if (page.chat?.sendPicture(item.blob, item.name)) page.announce(say("pictures.sent"));
    } catch (error) {
      console.warn(error);
      page.announce(say("pictures.not-sent"));
    }
  };
  const remove = () => {
    gallery.remove(item);
    page.announce(say("pictures.removed"));
    // The button that had the focus is gone.
    heading.focus();
  };
  const image = element("img", { src: item.url, alt: text, width: item.width, height: item.height });
  // The style sheet makes it as large as it may be, without bars beside it.
  image.style.setProperty("--ratio", item.width / item.height);
  return element("li", {},
    image,
    element("p", { class: "quiet" }, element("bdi", { class: "who", text: item.label }), element("span", { text: figures })),
    element("div", { class: "row" },
      element("a", { class: "download button small", href: item.url, download: item.name, "aria-label": label("pictures.download"), text: say("pictures.download") }),
      element("button", { type: "button", class: "small send", "aria-label": label("pictures.send"), text: say("pictures.send"), onclick: send }),
      element("button", { type: "button", class: "small remove", "aria-label": label("pictures.remove"), text: say("pictures.remove"), onclick: remove }),
    ),
  );
}
