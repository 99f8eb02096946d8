/** Fields to write a message: receiver, text, emoji, files. */

import { takesFiles } from "../../chat/files/drop.js";
import { MAX_TEXT, lengthOf } from "../../chat/limits.js";
import { showOptions } from "../../fields.js";
import { CLIP, drawing } from "./drawings.js";
import { emojiPicker } from "./emoji.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../chat/chat.js").Chat} Chat */

/** Characters from which on their number is shown. */
const COUNTED = MAX_TEXT - 400;

/**
 * @param {HTMLElement} section @param {Page} page @param {Chat} chat
 * @param {{ sent: () => void }} options
 * @returns {{ close: () => void }}
 */
export function openComposer(section, page, chat, { sent }) {
  const { element, say } = page;
  const note = element("p", { id: "chat-note", class: "quiet", role: "status" });
  const count = element("p", { id: "chat-count", class: "quiet", hidden: true });
  const receivers = element("select", { id: "chat-to" });
  const to = element("label", { class: "chat-to" }, element("span", { text: say("chat.to") }), receivers);
  const input = element("textarea", {
    id: "chat-input", rows: 1, dir: "auto", "aria-label": say("chat.input"), placeholder: say("chat.input"),
    "aria-describedby": "chat-note chat-count", enterkeyhint: "send",
  });
  const send = element("button", { id: "chat-send", type: "submit", class: "primary", text: say("chat.send") });
  const file = element("input", { id: "file", class: "hidden", type: "file", multiple: true, "aria-label": say("chat.file") });
  const attach = element("label", { class: "chat-tool", title: say("chat.file") }, drawing(CLIP), file);
  const emoji = emojiPicker(page, input);
  const form = element("form", { class: "chat-composer" }, note, to, emoji.panel,
    element("div", { class: "chat-line" }, attach, emoji.button, input, send), count);
  section.append(form);
  input.value = chat.draft;

  const draw = () => {
    const length = lengthOf(input.value);
    const isGone = chat.receiver !== null && !page.people.has(chat.receiver.peer);
    for (const each of [input, receivers, emoji.button, file]) each.disabled = !page.call;
    if (!page.call) emoji.close();
    send.disabled = !page.call || isGone || length > MAX_TEXT;
    count.hidden = length < COUNTED;
    count.textContent = say("chat.count", { count: length.toLocaleString(), limit: MAX_TEXT.toLocaleString() });
    const sentence = sentenceOf({ length, isGone });
    if (note.textContent !== sentence) note.textContent = sentence;
    note.hidden = !sentence;
    drawReceivers(page, chat, receivers);
    to.hidden = !page.call || (page.people.size < 2 && !chat.receiver);
    // Browsers without `field-sizing` get a line more for each line break.
    input.rows = Math.min(5, input.value.slice(0, MAX_TEXT).split("\n").length);
  };
  /** @param {{ length: number, isGone: boolean }} state */
  const sentenceOf = ({ length, isGone }) => {
    if (!page.call) return say("chat.over");
    if (isGone) return say("chat.choose", { name: chat.receiver?.shortName ?? "" });
    return length > MAX_TEXT ? say("chat.too-long") : "";
  };

  receivers.addEventListener("change", () => {
    chat.receiver = [...page.people.values()].find(({ peer }) => peer.id === receivers.value) ?? null;
    draw();
  });
  input.addEventListener("input", () => {
    chat.draft = input.value;
    draw();
  });
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    // An input method takes these keys: Enter chooses a candidate, Escape gives it up. Safari ends
    // the composition before the key arrives, which then has the code 229.
    if (event.isComposing || event.keyCode === 229) return event.stopPropagation();
    if (event.key !== "Enter" || event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (send.disabled || !chat.sendText(input.value, chat.receiver)) return;
    input.value = chat.draft = "";
    emoji.close();
    draw();
    input.focus();
    sent();
  });

  /** @param {File[]} files */
  const offer = (files) => {
    const { receiver } = chat;
    if (page.call) chat.offer(files, receiver && receiver.peer);
    sent();
  };
  file.addEventListener("change", () => {
    offer([...file.files]);
    // The same file can be chosen again.
    file.value = "";
  });
  const stopTaking = takesFiles(section, offer);

  const closed = new AbortController();
  for (const type of ["call", "people"]) page.events.addEventListener(type, draw, closed);
  chat.addEventListener("change", draw, closed);
  draw();
  // On a phone the focus would open the keyboard, before the person has read anything.
  if (matchMedia("(pointer: fine)").matches && page.call) input.focus();
  return {
    close() {
      closed.abort();
      stopTaking();
    },
  };
}

/**
 * Draws the receivers. One who left stays chosen, so that no private message goes to everyone.
 * @param {Page} page @param {Chat} chat @param {HTMLSelectElement} select
 */
function drawReceivers(page, chat, select) {
  const { say, people } = page;
  const options = [{ value: "", text: say("chat.everyone") }];
  for (const person of people.values()) options.push({ value: person.peer.id, text: person.shortName });
  const { receiver } = chat;
  if (receiver && !people.has(receiver.peer)) {
    options.push({ value: receiver.peer.id, text: say("chat.gone", { name: receiver.shortName }) });
  }
  showOptions(page, select, options, receiver?.peer.id ?? "");
}
