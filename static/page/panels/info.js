/** Panel "Connection": path and quality of the connection to each person, and the relay setting. */

import { openExplain } from "./explain.js";
import { PersonCard } from "./info/person-card.js";
import { describeForSupport } from "./info/support.js";

/** @typedef {import("../page.js").Page} Page */

/** Words of this panel. */
export const words = {
  en: () => import("./info/words/en.js"),
  zh: () => import("./info/words/zh.js"),
};

/** Time between two updates: reports are a second old at most. */
const UPDATE_MS = 1_000;

/** @param {HTMLElement} section @param {Page} page */
export function open(section, page) {
  const { element, say } = page;
  /** @type {Map<import("../../byway.js").Peer, PersonCard>} */
  const cards = new Map();
  /** @type {typeof import("./info/plots.js") | null} */
  let plots = null;

  const relayHelp = element("p", { id: "relay-help", class: "quiet" });
  const alone = element("p", { class: "quiet" });
  const people = element("div", { class: "connections" });
  const noPlots = element("p", { class: "quiet", hidden: true, text: say("info.no-plots") });
  const support = element("div", { class: "support" });
  const explain = element("section", { id: "explain", class: "explain" });
  section.classList.add("info");
  section.append(element("div", { class: "relay" }, page.relaySwitch, relayHelp), alone, people, noPlots, explain, support);
  page.relaySwitch.querySelector("input")?.setAttribute("aria-describedby", relayHelp.id);

  const explainRelay = () => {
    relayHelp.textContent = say(page.relay.forced ? "info.relay-forced" : "info.relay-help");
  };
  const update = () => {
    for (const [peer, card] of cards) {
      if (page.people.has(peer)) continue;
      card.close();
      cards.delete(peer);
    }
    for (const [peer, person] of page.people) {
      if (cards.has(peer)) continue;
      const card = new PersonCard(page, person, { open: cards.size === 0 });
      cards.set(peer, card);
      people.append(card.root);
    }
    alone.hidden = cards.size > 0;
    alone.textContent = say(page.call ? "info.alone" : "info.no-call");
    for (const card of cards.values()) card.update(plots);
  };
  const closeExplain = openExplain(explain, page);
  addSupport(support, page);
  explainRelay();
  update();
  // The figures are there at once, the plots follow on a slow line.
  import("./info/plots.js").then(
    (module) => {
      plots = module;
      update();
    },
    () => (noPlots.hidden = false),
  );

  const timer = setInterval(update, UPDATE_MS);
  const closed = new AbortController();
  page.events.addEventListener("relay", explainRelay, { signal: closed.signal });
  for (const type of ["people", "call"]) page.events.addEventListener(type, update, { signal: closed.signal });
  return () => {
    clearInterval(timer);
    closed.abort();
    closeExplain();
    plots = null;
    for (const card of cards.values()) card.close();
    page.relaySwitch.querySelector("input")?.removeAttribute("aria-describedby");
  };
}

/**
 * Adds the button that copies a text for the operator of the server.
 * @param {HTMLElement} holder
 * @param {Page} page
 */
function addSupport(holder, page) {
  const { element, say } = page;
  const note = element("p", { class: "quiet", text: say("info.copy-help") });
  /** For browsers that refuse the clipboard. */
  const field = element("textarea", { readonly: true, hidden: true, rows: 8, "aria-label": say("info.report") });
  const copy = async () => {
    const sentence = say((await page.copy(describeForSupport(page), field)) ? "info.copied" : "info.copy-selected");
    note.textContent = sentence;
    page.announce(sentence);
  };
  const text = say("info.copy-report");
  const check = element("a", { class: "button small", href: page.address.checkUrl(), target: "_blank", text: say("check.open") });
  holder.append(
    element("p", { class: "row" }, element("button", { id: "copy-report", type: "button", class: "small", text, onclick: copy }), check),
    note, field,
  );
}
