/** Connection to one person: quality in words, figures of now, plots, and the emoji to compare. */

import { emojiOf } from "./emoji.js";
import { figuresOf } from "./figures.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../person.js").Person} Person */
/** @typedef {import("../../../byway.js").Report} Report */

/** One person's part of the panel, which can be folded away. */
export class PersonCard {
  /** Fingerprints that the emoji are of. */
  #shown = "";
  /** @type {Map<string, HTMLElement>} */ #cells = new Map();
  /** Module of the plots, once it is loaded. @type {typeof import("./plots.js") | null} */
  #module = null;
  /** Plots of an open card. @type {ReturnType<typeof import("./plots.js").plot> | null} */
  #plots = null;

  /**
   * @param {Page} page
   * @param {Person} person
   * @param {{ open: boolean }} options
   */
  constructor(page, person, { open }) {
    const { element, say } = page;
    this.page = page;
    this.person = person;
    this.quality = element("span", { class: "quality" });
    this.reason = element("p", { class: "reason" });
    this.body = element("tbody");
    this.charts = element("div", { class: "plots" });
    this.emoji = element("div", { class: "same-emoji" });
    /** @type {HTMLDetailsElement} */
    this.root = element("details", { class: "connection", open },
      element("summary", {}, element("bdi", { class: "who", text: person.label }), this.quality),
      this.reason,
      element("table", { class: "figures" },
        element("caption", { class: "hidden", text: say("info.figures-of", { name: person.shortName }) }),
        this.body,
      ),
      this.charts,
      this.emoji,
    );
    this.root.addEventListener("toggle", () => this.update(this.#module));
  }

  /**
   * Draws the newest report.
   * @param {typeof import("./plots.js") | null} plots Null until it is loaded.
   */
  update(plots) {
    this.#module = plots;
    const { page, person } = this;
    const { say } = page;
    const history = page.history(person.peer);
    const report = history.at(-1)?.report;
    // Null before the first report.
    const { level = "", reason = null } = person.quality ?? {};
    this.root.dataset.quality = level;
    this.quality.textContent = level && say(`quality.${level}`);
    this.reason.textContent = reason ? say(reason, { name: person.shortName }) : "";
    this.reason.hidden = !reason;
    if (!report || !this.root.open) return this.#endPlots();

    for (const [key, value] of figuresOf(report, say)) this.#cell(key).textContent = value;
    this.#showEmoji(report);
    if (plots) {
      this.#plots ??= plots.plot(this.charts, page);
      this.#plots.update(history);
    }
  }

  /** Cell of a figure, in a row that is added at its first value. @param {string} key */
  #cell(key) {
    const { element, say } = this.page;
    const known = this.#cells.get(key);
    if (known) return known;
    const cell = element("td");
    const heading = element("th", { scope: "row", text: say(`info.${key}`) });
    this.body.append(element("tr", { "data-figure": key }, heading, cell));
    this.#cells.set(key, cell);
    return cell;
  }

  /** @param {Report} report */
  async #showEmoji({ fingerprints }) {
    const pair = fingerprints ? `${fingerprints.local} ${fingerprints.remote}` : "";
    if (pair === this.#shown) return;
    this.#shown = pair;
    const { element, say } = this.page;
    if (!fingerprints) return this.emoji.replaceChildren();
    const emoji = await emojiOf(fingerprints).catch(() => null);
    if (pair !== this.#shown) return;
    if (!emoji) return this.emoji.replaceChildren(element("p", { class: "quiet", text: say("info.emoji-impossible") }));
    this.emoji.replaceChildren(
      element("h3", { text: say("info.emoji") }),
      element("ol", {}, ...emoji.map(([picture, name]) =>
        element("li", {},
          element("span", { class: "picture", "aria-hidden": "true", text: picture }),
          element("span", { text: say(`emoji.${name}`) }),
        ))),
      element("p", { class: "quiet", text: say("info.emoji-help", { name: this.person.shortName }) }),
    );
  }

  #endPlots() {
    this.#plots?.close();
    this.#plots = null;
  }

  close() {
    this.#endPlots();
    this.root.remove();
  }
}
