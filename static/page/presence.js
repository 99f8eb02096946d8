/**
 * Messages between two Byway pages: a raised hand, a running recording, a host's request to mute,
 * and the limit of the picture that a page sends. They have a channel of their own, so that a
 * developer's page gets none of them as its own messages.
 */

import { byId } from "./dom.js";
import { say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("./person.js").Person} Person */

/** Label of the channel. */
const LABEL = "byway.page";
/** Limits of a sent picture that statistics name. */
const LIMITATIONS = ["none", "cpu", "bandwidth", "other"];
/** Longest message that is read. */
const MAX_LENGTH = 1_000;
/** Least time between two requests of a host that are shown. */
const MUTE_MS = 10_000;
/** Times of the last request of each host. @type {WeakMap<Person, number>} */
const asked = new WeakMap();

/** @param {Page} page */
export function startPresence(page) {
  page.events.addEventListener("arrived", (event) => {
    const person = /** @type {CustomEvent<Person>} */ (event).detail;
    const channel = greet(page, person.peer);
    tellLimitation(person);
    channel.addEventListener("message", ({ data }) => receive(page, person, data));
  });
  // Viewers have a right to know of a recording, too.
  page.events.addEventListener("watcher", (event) => {
    greet(page, /** @type {CustomEvent<import("../byway.js").Peer>} */ (event).detail);
  });
  page.events.addEventListener("recording", () => {
    for (const peer of page.call?.peers ?? []) send({ peer }, { recording: page.recording });
  });
  page.events.addEventListener("people", () => drawRecorders(page));
  page.events.addEventListener("call", () => drawRecorders(page));

  byId("hand").addEventListener("click", () => {
    page.hand = !page.hand;
    drawHand(page);
    for (const person of page.people.values()) send(person, { hand: page.hand });
    page.tell("people");
  });
  page.events.addEventListener("call", () => drawHand(page));
  page.media.addEventListener("change", () => {
    if (page.media.microphone.status !== "on") page.endNotice("mute");
  });
}

/**
 * Tells the own states whenever the channel opens, also over a new connection.
 * @param {Page} page @param {import("../byway.js").Peer} peer
 */
function greet(page, peer) {
  const channel = peer.openChannel(LABEL);
  channel.addEventListener("open", () => channel.send(JSON.stringify({ hand: page.hand, recording: page.recording })));
  return channel;
}

/**
 * Tells a person when the limit of the picture changes that is sent there: only the sender knows
 * it.
 * @param {Person} person
 */
function tellLimitation(person) {
  /** @type {string | null} */
  let told = null;
  person.peer.addEventListener("stats", ({ report: { limitation } }) => {
    if (limitation !== null && limitation !== told && send(person, { limitation })) told = limitation;
  });
  // What was under way over the old connection may be lost.
  person.peer.addEventListener("connection", () => (told = null));
}

/**
 * Asks a person to mute the microphone.
 * @param {Person} person
 * @returns {boolean} Whether the request could be sent.
 */
export const askToMute = (person) => send(person, { mute: true });

/**
 * @param {Pick<Person, "peer">} person
 * @param {object} message
 * @returns {boolean} Whether it is sent. States are sent again when the channel opens.
 */
function send({ peer }, message) {
  const channel = peer.openChannel(LABEL);
  if (channel.readyState !== "open") return false;
  channel.send(JSON.stringify(message));
  return true;
}

/**
 * @param {Page} page
 * @param {Person} person
 * @param {unknown} data Anything: the other page may be hostile.
 */
function receive(page, person, data) {
  if (typeof data !== "string" || data.length > MAX_LENGTH) return;
  let message;
  try {
    message = JSON.parse(data);
  } catch {
    return; // not of a Byway page
  }
  if (typeof message?.hand === "boolean") person.tell("hand", message.hand);
  if (typeof message?.recording === "boolean") person.tell("recording", message.recording);
  if (LIMITATIONS.includes(message?.limitation)) person.limitation = message.limitation;
  if (message?.mute === true && person.peer.host && page.media.microphone.status === "on") {
    // A request that comes again and again would take the button away from under the pointer.
    if (performance.now() - (asked.get(person) ?? -Infinity) < MUTE_MS) return;
    asked.set(person, performance.now());
    page.notice("mute", say("host.asks-mute", { name: person.shortName }), {
      text: say("host.mute-now"),
      act: () => page.media.setEnabled("microphone", false),
    });
    page.announce(say("host.asks-mute", { name: person.shortName }));
  }
}

/** Keeps in view who records. @param {Page} page */
function drawRecorders(page) {
  const names = [...page.people.values()].filter(({ recording }) => recording).map(({ shortName }) => shortName);
  if (!names.length) return page.endNotice("recorded");
  const text = names.length > 1 ? say("call.recorded-by", { count: names.length }) : say("call.recording-of", { name: names[0] });
  if (byId("notices").querySelector("[data-notice=recorded] span")?.textContent !== text) page.notice("recorded", text);
}

/** @param {Page} page */
function drawHand(page) {
  byId("hand").setAttribute("aria-pressed", String(page.hand));
  byId("self-hand").hidden = !page.hand;
}
