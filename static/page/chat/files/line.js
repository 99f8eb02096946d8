/** Line of a file in the log of the chat. */

import { splitName } from "../../file-names.js";
import { sizeText } from "../../sizes.js";
import { Incoming } from "./incoming.js";
import { Outgoing } from "./outgoing.js";
import { timeLeft } from "./rate.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("./outgoing.js").Delivery} Delivery */
/** @typedef {import("./transfer.js").Transfer} Transfer */

/**
 * Shows a file in an item of the log, and keeps it current: `data-state` and the content.
 * @param {Page} page @param {Transfer} transfer @param {HTMLElement} item
 * @returns {() => void} Ends it. The item stays as it is.
 */
export function fileLine(page, transfer, item) {
  const line = transfer instanceof Outgoing ? new OwnLine(page, transfer) : new OfferLine(page, /** @type {Incoming} */ (transfer));
  item.classList.add("file");
  item.append(line.root);
  const draw = () => {
    item.dataset.state = transfer.state;
    line.draw();
  };
  draw();
  transfer.addEventListener("change", draw);
  return () => {
    transfer.removeEventListener("change", draw);
    line.end();
  };
}

/** Name, size and picture that every line has. */
class Head {
  /** @param {Page} page @param {Transfer} transfer */
  constructor(page, transfer) {
    const { element } = page;
    const { stem, extension } = splitName(transfer.name);
    this.transfer = transfer;
    const name = element("span", { class: "file-name", title: transfer.name, dir: "ltr" },
      element("bdi", { class: "stem", text: stem }), element("bdi", { class: "extension", text: extension }));
    /** @type {HTMLImageElement} */
    this.picture = element("img", { class: "file-picture", alt: page.say("files.picture", { file: transfer.name }), hidden: true });
    // It begins like a picture and is none.
    this.picture.addEventListener("error", () => (this.picture.hidden = true));
    const size = element("span", { class: "quiet", text: sizeText(transfer.size) });
    this.nodes = [element("div", { class: "file-head" }, name, size), this.picture];
  }

  draw() {
    const { pictureUrl } = this.transfer;
    if (!pictureUrl || this.picture.getAttribute("src") === pictureUrl) return;
    this.picture.src = pictureUrl;
    this.picture.hidden = false;
  }
}

/** Line of a file that another person offers. */
class OfferLine {
  /** Address of the received file. */ #url = "";

  /** @param {Page} page @param {Incoming} transfer */
  constructor(page, transfer) {
    const { element, say } = page;
    this.page = page;
    this.transfer = transfer;
    const file = transfer.name;
    this.head = new Head(page, transfer);
    this.sentence = sentenceOf(page);
    this.progress = progressOf(page, say("files.progress", { file }));
    this.accept = element("button", {
      type: "button", class: "accept small primary", text: say("files.accept"), "aria-label": say("files.accept-name", { file }),
      onclick: () => transfer.accept(),
    });
    this.cancel = element("button", { type: "button", class: "cancel small", onclick: () => transfer.cancel() });
    this.save = element("a", { class: "save button small primary", download: file, text: say("files.save"), "aria-label": say("files.save-name", { file }), hidden: true });
    this.root = element("div", { class: "file-body" }, ...this.head.nodes, this.sentence, this.progress,
      element("div", { class: "row" }, this.accept, this.cancel, this.save));
  }

  draw() {
    const { state, sentence, written, size, rate, file, isOver, isRunning, name } = this.transfer;
    const { say } = this.page;
    this.head.draw();
    setText(this.sentence, state === "receiving" && isRunning ? figures(this.page, { done: written, size, rate }) : sentence);
    this.accept.hidden = state !== "offered";
    this.cancel.hidden = isOver;
    setText(this.cancel, say(state === "offered" ? "files.decline" : "files.cancel"));
    this.cancel.setAttribute("aria-label", say(state === "offered" ? "files.decline-name" : "files.cancel-name", { file: name }));
    drawProgress(this.progress, { isShown: !isOver && state !== "offered", done: written, size });
    if (file && !this.#url) {
      // Never as a document of this origin.
      this.#url = URL.createObjectURL(file.slice(0, file.size, "application/octet-stream"));
      this.save.href = this.#url;
      this.save.hidden = false;
    }
  }

  end() {
    URL.revokeObjectURL(this.#url);
  }
}

/** Line of an own file: one progress, or one for each person. */
class OwnLine {
  /** @param {Page} page @param {Outgoing} transfer */
  constructor(page, transfer) {
    const { element, say } = page;
    this.page = page;
    this.transfer = transfer;
    const { deliveries, name: file } = transfer;
    const isOne = deliveries.length === 1;
    this.head = new Head(page, transfer);
    this.rows = deliveries.map((delivery) => new DeliveryRow(page, delivery, { file, isOne }));
    this.cancel = element("button", {
      type: "button", class: "cancel small", onclick: () => transfer.cancel(),
      text: say(isOne ? "files.cancel" : "files.cancel-all"), "aria-label": say("files.cancel-name", { file }),
    });
    this.root = element("div", { class: "file-body" }, ...this.head.nodes,
      ...(isOne ? this.rows[0].nodes : [element("ul", { class: "file-people" }, ...this.rows.map(({ nodes }) => element("li", {}, ...nodes)))]),
      element("div", { class: "row" }, this.cancel));
  }

  draw() {
    this.head.draw();
    for (const row of this.rows) row.draw();
    this.cancel.hidden = this.transfer.isOver;
  }

  end() {}
}

/** Progress of an own file on its way to one person. */
class DeliveryRow {
  /**
   * @param {Page} page @param {Delivery} delivery
   * @param {{ file: string, isOne: boolean }} options
   */
  constructor(page, delivery, { file, isOne }) {
    const { element, say } = page;
    const { name } = delivery.link;
    this.page = page;
    this.delivery = delivery;
    this.sentence = sentenceOf(page);
    this.progress = progressOf(page, say("files.progress-to", { file, name }));
    this.nodes = [...(isOne ? [] : [element("bdi", { class: "who", text: name })]), this.sentence, this.progress];
  }

  draw() {
    const { state, sentence, written, transfer, rate, isOver } = this.delivery;
    setText(this.sentence, state === "sending" ? figures(this.page, { done: written, size: transfer.size, rate }) : sentence);
    drawProgress(this.progress, { isShown: !isOver && state !== "offered", done: written, size: transfer.size });
  }
}

/** @param {Page} page @returns {HTMLElement} */
const sentenceOf = ({ element }) => element("p", { class: "quiet file-sentence" });

/** @param {Page} page @param {string} label @returns {HTMLProgressElement} */
const progressOf = ({ element }, label) => element("progress", { max: 1, value: 0, "aria-label": label, hidden: true });

/**
 * @param {HTMLProgressElement} progress
 * @param {{ isShown: boolean, done: number, size: number }} options
 */
function drawProgress(progress, { isShown, done, size }) {
  progress.hidden = !isShown;
  progress.value = size ? done / size : 0;
}

/**
 * Returns for example "12 of 30 MB · 4.2 MB/s · 5 s left".
 * @param {Page} page
 * @param {{ done: number, size: number, rate: import("./rate.js").Rate }} options
 */
function figures({ say }, { done, size, rate }) {
  const parts = [say("files.of", { done: sizeText(done), size: sizeText(size) })];
  const { bytesPerSecond } = rate;
  if (bytesPerSecond !== null) parts.push(`${sizeText(bytesPerSecond)}/s`);
  const seconds = rate.secondsFor(size - done);
  if (seconds !== null) {
    const { key, count } = timeLeft(seconds);
    parts.push(say(key, { count }));
  }
  return parts.join(" · ");
}

/** @param {HTMLElement} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
