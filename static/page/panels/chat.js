/** Panel "Chat": the log above, the fields to write below. */

import { openComposer } from "./chat/composer.js";
import { openLog } from "./chat/log.js";

/** @typedef {import("../page.js").Page} Page */

/** @param {HTMLElement} section @param {Page} page */
export function open(section, page) {
  section.classList.add("chat");
  /** @type {(() => void)[]} */
  let closing = [];
  const fill = () => {
    const { chat } = page;
    section.replaceChildren();
    if (!chat) return section.append(page.element("p", { class: "quiet", text: page.say("panel.failed") }));
    const log = openLog(section, page, chat);
    const composer = openComposer(section, page, chat, { sent: log.follow });
    const stopFollowing = followKeyboard(section);
    closing = [log.close, composer.close, stopFollowing];
  };
  if (page.chat) fill();
  else {
    section.append(page.element("p", { class: "quiet", text: page.say("panel.loading") }));
    page.events.addEventListener("chat", fill, { once: true });
    closing = [() => page.events.removeEventListener("chat", fill)];
  }
  return () => closing.forEach((close) => close());
}

/**
 * Keeps the sheet of a phone above the keyboard, which covers the page without resizing it.
 * @param {HTMLElement} section
 */
function followKeyboard(section) {
  const panel = /** @type {HTMLElement} */ (section.closest(".panel"));
  const view = window.visualViewport;
  const move = () => {
    // A zoomed page is smaller, too.
    const covered = view && view.scale === 1 ? innerHeight - view.height - view.offsetTop : 0;
    panel.style.setProperty("--keyboard", `${Math.max(0, Math.round(covered))}px`);
  };
  view?.addEventListener("resize", move);
  view?.addEventListener("scroll", move);
  move();
  return () => {
    view?.removeEventListener("resize", move);
    view?.removeEventListener("scroll", move);
    panel.style.removeProperty("--keyboard");
  };
}
