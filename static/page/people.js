/** The people of the call: their tiles, the layout, and what changes every second. */

import { byId } from "./dom.js";
import { Person } from "./person.js";
import { say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("../byway.js").Peer} Peer */

/** Time between two looks at who talks. */
const SPEAKING_MS = 300;

/** @param {Page} page @param {Peer} peer */
export function addPerson(page, peer) {
  const person = new Person(page, peer);
  page.people.set(peer, person);
  byId("tiles").append(person.root);
  peer.addEventListener("stats", ({ report }) => {
    if (page.people.has(peer)) person.draw(report);
  });
  page.events.dispatchEvent(new CustomEvent("arrived", { detail: person }));
  page.tell("people");
}

/** @param {Page} page @param {Peer} peer */
export function removePerson(page, peer) {
  page.people.get(peer)?.root.remove();
  page.people.delete(peer);
  page.tell("people");
}

/** @param {Page} page */
export function startPeople(page) {
  /** Tile that a person chose to see large. @type {HTMLElement | null} */
  let chosen = null;
  const tiles = byId("tiles");

  const lay = () => {
    const all = /** @type {HTMLElement[]} */ ([...tiles.querySelectorAll(".tile")]).filter((tile) => !tile.hidden);
    if (chosen && !chosen.isConnected) chosen = null;
    const screen = /** @type {HTMLElement | undefined} */ (all.filter((tile) => tile.classList.contains("screen")).at(-1));
    const large = chosen ?? screen ?? null;
    for (const tile of all) tile.classList.toggle("large", tile === large);
    tiles.dataset.count = String(all.length);
    tiles.dataset.layout = large ? "focus" : all.length === 2 && page.people.size === 1 ? "pair" : "grid";
  };
  page.events.addEventListener("people", lay);
  page.events.addEventListener("call", lay);
  page.events.addEventListener("focus", (event) => {
    const tile = /** @type {CustomEvent<HTMLElement>} */ (event).detail;
    chosen = chosen === tile ? null : tile;
    lay();
  });
  tiles.addEventListener("dblclick", (/** @type {MouseEvent} */ { target }) => {
    const tile = target instanceof Element && !target.closest(".actions") && target.closest(".tile");
    if (tile) page.events.dispatchEvent(new CustomEvent("focus", { detail: tile }));
  });
  const playAll = () => {
    for (const { videos } of page.people.values()) for (const video of videos) video.play().catch(() => {});
    page.endNotice("blocked");
  };
  page.events.addEventListener("blocked", () => {
    page.notice("blocked", say("call.blocked"), { text: say("call.play"), act: playAll });
    page.announce(say("call.blocked"));
  });
  page.media.addEventListener("change", () => {
    for (const person of page.people.values()) person.setSpeaker(page.media.speakerId);
  });

  setInterval(() => {
    for (const person of page.people.values()) person.root.classList.toggle("speaking", person.isSpeaking);
  }, SPEAKING_MS);
  lay();
}
