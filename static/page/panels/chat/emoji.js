/** Small choice of emoji. The keyboards of most systems have all others. */

import { FACE, drawing } from "./drawings.js";

/** @typedef {import("../../page.js").Page} Page */

const EMOJI = [
  "😀", "😄", "😂", "🙂", "😉", "😊", "😍", "🥳", "😎", "🤔", "😮", "😢",
  "😭", "😡", "🙈", "🤷", "👍", "👎", "👏", "🙏", "👋", "🤝", "💪", "✌️",
  "❤️", "🎉", "🔥", "⭐", "✅", "❌", "❓", "💡", "☕", "🍵", "🐱", "🌈",
];
/** Emoji in a row: as many as the style sheet has columns. */
const COLUMNS = 9;

/**
 * Builds the button and the panel that it opens.
 * @param {Page} page @param {HTMLTextAreaElement} input
 */
export function emojiPicker({ element, say }, input) {
  const choices = EMOJI.map((emoji, index) =>
    element("button", { type: "button", class: "plain", text: emoji, tabindex: index ? -1 : 0, onclick: () => insert(emoji) }));
  const panel = element("div", { id: "chat-emoji", class: "chat-emoji", role: "group", "aria-label": say("chat.emoji"), hidden: true }, ...choices);
  const button = element("button", {
    type: "button", class: "plain chat-tool", "aria-label": say("chat.emoji"), "aria-expanded": "false", "aria-controls": "chat-emoji",
    onclick: () => show(panel.hidden),
  }, drawing(FACE));

  /** @param {boolean} visible */
  const show = (visible) => {
    panel.hidden = !visible;
    button.setAttribute("aria-expanded", String(visible));
    if (visible) choices.find(({ tabIndex }) => tabIndex === 0).focus();
  };
  /** @param {string} emoji */
  const insert = (emoji) => {
    input.setRangeText(emoji, input.selectionStart, input.selectionEnd, "end");
    input.dispatchEvent(new Event("input"));
    show(false);
    input.focus();
  };
  /** @param {HTMLElement} choice */
  const focus = (choice) => {
    for (const each of choices) each.tabIndex = each === choice ? 0 : -1;
    choice.focus();
  };
  panel.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      show(false);
      return button.focus();
    }
    const index = choices.indexOf(event.target);
    const forward = getComputedStyle(panel).direction === "rtl" ? -1 : 1;
    const steps = { ArrowRight: forward, ArrowLeft: -forward, ArrowDown: COLUMNS, ArrowUp: -COLUMNS, Home: -index, End: choices.length - 1 - index };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step === undefined || !choices[index + step]) return;
    event.preventDefault();
    focus(choices[index + step]);
  });
  return { button, panel, close: () => show(false) };
}
