/**
 * Part "Explain this call" of the panel "Connection": consent to share connection details, and the
 * timeline of the call, from the pages that share it and from the relay.
 */

import { causesOf } from "./explain/causes.js";
import { sentenceOf } from "./explain/sentences.js";

/** @typedef {import("../page.js").Page} Page */
/** @typedef {import("../../byway.js").TimelineEvent} TimelineEvent */
/** @typedef {import("../../byway.js").TimelineMember} TimelineMember */

const words = {
  en: () => import("./explain/words/en.js"),
  zh: () => import("./explain/words/zh.js"),
};

/** Time between two looks for new events. */
const UPDATE_MS = 3_000;

/** Events that the list shows. */
const MAX_SHOWN = 300;

/**
 * @param {HTMLElement} section
 * @param {Page} page
 * @returns {() => void} Ends the updates.
 */
export function openExplain(section, page) {
  let isOpen = true;
  let close = () => {};
  page.addWords(words).then(
    () => isOpen && (close = show(section, page)),
    (error) => console.warn(error),
  );
  return () => {
    isOpen = false;
    close();
  };
}

/** @param {HTMLElement} section @param {Page} page */
function show(section, page) {
  const { element, say } = page;
  const input = element("input", { id: "reports", type: "checkbox", role: "switch", "aria-describedby": "reports-help" });
  const label = element("label", { class: "switch" },
    input, element("span", { class: "track" }), element("span", { text: say("explain.share") }));
  const causes = element("ul", { class: "causes" });
  const state = element("p", { class: "quiet" });
  const list = element("ol", { id: "timeline", class: "timeline", tabindex: 0, "aria-label": say("explain.events") });
  section.append(
    element("h3", { text: say("explain.title") }),
    label,
    element("p", { id: "reports-help", class: "quiet", text: say("explain.help") }),
    causes,
    state,
    list,
  );

  /** Call that is shown. @type {import("../../byway.js").Call | null} */
  let shown = null;
  /** @type {TimelineEvent[]} */ let events = [];
  /** @type {Map<string, TimelineMember>} */ const members = new Map();
  let next = 0;
  let reading = false;

  const drawSwitch = () => {
    input.checked = page.call ? page.call.reports : page.remember.get("reports") === "on";
  };
  const nameOf = (/** @type {string | undefined} */ id) => {
    if (id === shown?.id) return say("explain.you");
    return (id && members.get(id)?.name) || say("explain.someone");
  };
  const draw = () => {
    const found = causesOf(events, { self: shown?.id ?? null });
    causes.replaceChildren(...found.map(({ fault, member }) =>
      element("li", { "data-fault": fault },
        element("span", { text: say(`explain.fault-${fault}`, { name: nameOf(member) }) }),
        " ",
        element("a", { href: `help#${fault}`, target: "_blank", rel: "noopener", text: say("explain.more") }))));
    causes.hidden = found.length === 0;
    state.textContent = say(!shown ? "explain.no-call" : events.length ? "explain.events" : "explain.empty");
    list.replaceChildren(...events.slice(-MAX_SHOWN).map((event) => line(page, event, nameOf)));
  };
  const update = async () => {
    const { call } = page;
    if (call !== shown) {
      [shown, events, next] = [call, [], 0];
      members.clear();
      drawSwitch();
      draw();
    }
    if (!call || reading || call.signaling !== "open") return;
    reading = true;
    const after = next;
    try {
      const read = await call.timeline({ after });
      if (call !== page.call || call !== shown || !list.isConnected) return;
      for (const member of read.members) members.set(member.id, member);
      next = read.next;
      // A member that begins to share adds to the past, too, and one that ends it takes that back.
      if (after > 0 && read.events.some(({ kind }) => kind === "reports")) {
        [events, next, reading] = [[], 0, false];
        return update();
      }
      events = [...events, ...read.events].sort((one, other) => one.at - other.at || one.n - other.n);
      draw();
    } catch (error) {
      state.textContent = page.sayError(/** @type {import("../../byway.js").BywayError} */ (error));
    } finally {
      reading = false;
    }
  };
  input.addEventListener("change", () => {
    page.remember.set("reports", input.checked ? "on" : null);
    page.call?.setReports(input.checked);
    // The server discards what was shared: begin again.
    [events, next] = [[], 0];
    update();
  });

  drawSwitch();
  draw();
  update();
  const timer = setInterval(update, UPDATE_MS);
  page.events.addEventListener("call", update);
  return () => {
    clearInterval(timer);
    page.events.removeEventListener("call", update);
  };
}

/**
 * @param {Page} page
 * @param {TimelineEvent} event
 * @param {(id: string | undefined) => string} nameOf
 */
function line({ element, say }, event, nameOf) {
  const time = new Date(event.at * 1000);
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "medium" });
  return element("li", { "data-kind": event.kind, "data-source": event.source, "data-member": event.member },
    element("time", { datetime: time.toISOString(), text: format.format(time) }),
    element("bdi", { class: "who", text: nameOf(event.member) }),
    element("span", { class: "source", text: say(`explain.source-${event.source}`) }),
    element("span", { class: "what", text: sentenceOf(event, { say, nameOf }) }));
}
