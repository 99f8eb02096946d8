/** Log of the chat: one list item for each entry, drawn once a frame at most. */

import { fileLine } from "../../chat/files/line.js";
import { isPrivate } from "../../chat/history.js";
import { isEmoji } from "../../chat/limits.js";
import { splitLinks } from "../../chat/links.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../chat/chat.js").Chat} Chat */
/** @typedef {import("../../chat/history.js").Entry} Entry */

/** Time within which messages of one author stand together. */
const GROUP_MS = 5 * 60_000;
/** Distance from the end at which a reader still follows it. */
const END_PX = 40;

/**
 * @param {HTMLElement} section @param {Page} page @param {Chat} chat
 * @returns {{ follow: () => void, close: () => void }}
 */
export function openLog(section, page, chat) {
  const { element, say } = page;
  const list = element("ol", { id: "chat-log" });
  const empty = element("p", { class: "quiet", text: say("chat.empty") });
  const scroller = element("div", { class: "chat-scroller", role: "log", tabindex: 0, "aria-label": say("chat.log") }, empty, list);
  const newest = element("button", { type: "button", class: "small chat-newest", hidden: true, onclick: () => showEnd() });
  section.append(element("div", { class: "chat-view" }, scroller, newest));

  const items = new Items(page, list);
  /** Whether the end stays in view when entries come. */
  let follows = true;
  let frame = 0;

  const follow = () => {
    follows = true;
    drawSoon();
  };
  const showEnd = () => {
    follows = true;
    scroller.scrollTop = scroller.scrollHeight;
    see();
  };
  /** Takes note of what the person has seen. */
  const see = () => {
    if (chat.isRead()) chat.markRead();
    newest.hidden = follows || !chat.unread;
    newest.textContent = say("chat.show-new", { count: chat.unread });
  };
  const draw = () => {
    frame = 0;
    empty.hidden = chat.entries.length > 0;
    items.draw(chat.entries);
    if (follows) showEnd();
    else see();
  };
  const drawSoon = () => {
    frame ||= requestAnimationFrame(draw);
  };

  chat.isOpen = true;
  chat.isRead = () => follows && document.visibilityState === "visible";
  // The browser scrolls, too, when sizes change: only a person scrolls up without that.
  let [top, height, whole] = [scroller.scrollTop, scroller.clientHeight, scroller.scrollHeight];
  scroller.addEventListener("scroll", () => {
    const isSameSize = scroller.clientHeight === height && scroller.scrollHeight === whole;
    const isAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < END_PX;
    if (isAtEnd) follows = true;
    else if (isSameSize && scroller.scrollTop < top) follows = false;
    top = scroller.scrollTop;
    see();
  });
  const resized = new ResizeObserver(() => {
    [height, whole] = [scroller.clientHeight, scroller.scrollHeight];
    if (follows) showEnd();
  });
  for (const each of [scroller, list]) resized.observe(each);
  const closed = new AbortController();
  for (const type of ["entry", "change", "unread"]) chat.addEventListener(type, drawSoon, closed);
  document.addEventListener("visibilitychange", see, closed);
  draw();
  return {
    follow,
    close() {
      chat.isOpen = false;
      chat.isRead = () => false;
      closed.abort();
      items.close();
      resized.disconnect();
      cancelAnimationFrame(frame);
    },
  };
}

/** List items, one for each entry. */
class Items {
  /** @type {Map<Entry, HTMLElement>} */ #items = new Map();
  /** Ends the lines of files. @type {Map<Entry, () => void>} */ #ends = new Map();
  #page;
  #list;
  #time;

  /** @param {Page} page @param {HTMLElement} list */
  constructor(page, list) {
    this.#page = page;
    this.#list = list;
    this.#time = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
  }

  /**
   * Makes the list equal to the log, and touches only what differs.
   * @param {readonly Entry[]} entries
   */
  draw(entries) {
    const wanted = new Set(entries);
    for (const [entry, item] of this.#items) {
      if (wanted.has(entry)) continue;
      item.remove();
      this.#items.delete(entry);
      this.#ends.get(entry)?.();
      this.#ends.delete(entry);
    }
    let next = this.#list.firstElementChild;
    for (const [index, entry] of entries.entries()) {
      let item = this.#items.get(entry);
      if (!item) this.#items.set(entry, (item = this.#build(entry)));
      if (item === next) next = next.nextElementSibling;
      else this.#list.insertBefore(item, next);
      this.#update(item, entry, entries[index - 1]);
    }
  }

  close() {
    for (const end of this.#ends.values()) end();
  }

  /** @param {Entry} entry @returns {HTMLElement} */
  #build(entry) {
    const { element } = this.#page;
    if (entry.transfer) return this.#buildFile(entry, entry.transfer);
    if (entry.kind === "event") return element("li", { class: "event quiet", "data-kind": "event", text: entry.text });
    const content = element("div", { class: isEmoji(entry.text ?? "") ? "message emoji" : "message" },
      element("div", { class: "text", dir: "auto" }, ...this.#parts(entry.text ?? "")),
      this.#clock(entry),
    );
    return element("li", { "data-kind": entry.kind, "data-own": entry.from.own },
      element("p", { class: "head" }),
      content,
      element("p", { class: "state", hidden: true }),
    );
  }

  /**
   * @param {Entry} entry @param {import("../../chat/files/transfer.js").Transfer} transfer
   * @returns {HTMLElement}
   */
  #buildFile(entry, transfer) {
    const { element } = this.#page;
    const item = element("li", { class: "file", "data-kind": "file", "data-own": entry.from.own }, element("p", { class: "head" }));
    this.#ends.set(entry, fileLine(this.#page, transfer, item));
    return item;
  }

  /** @param {Entry} entry */
  #clock({ at }) {
    return this.#page.element("time", { datetime: new Date(at).toISOString(), dir: "auto", text: this.#time.format(at) });
  }

  /** @param {string} text */
  #parts(text) {
    const { element, say } = this.#page;
    return splitLinks(text).map((part) => {
      if (typeof part === "string") return part;
      const { href, shown } = part;
      return element("a", { href, target: "_blank", rel: "noopener noreferrer", dir: "ltr", title: say("chat.opens"), text: shown });
    });
  }

  /**
   * Updates what may change: author as told or confirmed, group, delivery.
   * @param {HTMLElement} item @param {Entry} entry @param {Entry | undefined} before
   */
  #update(item, entry, before) {
    if (entry.kind === "event") return;
    const head = /** @type {HTMLElement} */ (item.querySelector(".head"));
    head.classList.toggle("hidden", follows(entry, before));
    const marks = this.#marks(entry);
    const drawn = marks.join("\n");
    if (head.dataset.drawn !== drawn) {
      head.dataset.drawn = drawn;
      head.replaceChildren(...this.#head(entry, marks));
      item.toggleAttribute("data-told", Boolean(entry.told));
      item.toggleAttribute("data-private", isPrivate(entry.to));
    }
    if (entry.kind === "file") return;
    const state = /** @type {HTMLElement} */ (item.querySelector(".state"));
    const sentence = this.#delivery(entry);
    if (state.textContent === sentence) return;
    state.textContent = sentence;
    state.hidden = !sentence;
  }

  /** Returns what stands beside the name. @param {Entry} entry @returns {string[]} */
  #marks({ from, to, told }) {
    const { say } = this.#page;
    if (told !== undefined && told !== null) return [say("chat.told", { name: this.#name(told) })];
    if (to === undefined || to === null) return [];
    return [from.own ? say("chat.to-one", { name: this.#name(to) }) : say("chat.to-you")];
  }

  /** @param {Entry} entry @param {string[]} marks */
  #head(entry, marks) {
    const { element, say } = this.#page;
    const { from, told, kind } = entry;
    const title = told ? say("chat.told-title", { name: this.#name(told) }) : undefined;
    return [
      element("bdi", { class: "who", text: from.own ? say("call.you") : this.#name(from.name) + (from.mark ?? "") }),
      ...marks.map((text) => element("bdi", { class: "mark", title, text })),
      ...(kind === "file" ? [this.#clock(entry)] : []),
    ];
  }

  /** Returns which receivers have not got a message. @param {Entry} entry */
  #delivery({ waiting, missed }) {
    const { say } = this.#page;
    if (waiting?.size) return say("chat.waiting", { names: this.#names([...waiting].map(({ shortName }) => shortName)) });
    return missed?.size ? say("chat.missed", { names: this.#names([...missed]) }) : "";
  }

  /** @param {string[]} names */
  #names(names) {
    const { say } = this.#page;
    return names.length > 2 ? say("chat.several", { count: names.length }) : names.map((name) => this.#name(name)).join(", ");
  }

  /** @param {string} name */
  #name(name) {
    return name || this.#page.say("call.guest");
  }
}

/**
 * Whether an entry belongs to the group of the one before it.
 * @param {Entry} entry @param {Entry | undefined} before
 */
function follows(entry, before) {
  if (!before || before.kind === "event" || entry.kind === "file" || before.from.own !== entry.from.own) return false;
  const isAlike = before.from.name === entry.from.name && before.from.mark === entry.from.mark && before.told === entry.told && before.to === entry.to;
  return isAlike && entry.at - before.at < GROUP_MS;
}
