/** State of the page that its parts and panels share. */

import { checkUrl, isLive, linkTo, room, setRelay, token } from "./address.js";
import { byId, element, icon, loadStyles } from "./dom.js";
import { LocalMedia } from "./media.js";
import { askToMute } from "./presence.js";
import { assess } from "./quality.js";
import { remember, rememberInTab } from "./remember.js";
import { addWords, say, sayError } from "./words.js";

/** @typedef {import("../byway.js").Call} Call */
/** @typedef {import("../byway.js").Peer} Peer */
/** @typedef {import("./person.js").Person} Person */

/**
 * Shared state. Parts and panels receive it, because a panel that is loaded later must not import
 * the modules that are linked into the document.
 *
 * Events of `events`: `call` (a call began or ended), `people` (a person came, left or changed, or
 * the own hand), `relay` (the relay setting changed), `arrived` (a Person came), `watcher` (a
 * viewer came), `focus` (a tile is to be seen large, or no longer), `blocked` (the browser plays a
 * video only if the person asks for it), `recording` (the own recording began or ended), `chat`
 * (`page.chat` was loaded, or failed to).
 */
export class Page {
  /** Running call, or null. @type {Call | null} */
  call = null;
  /** The other members. Viewers of a live room are counted, not shown. @type {Map<Peer, Person>} */
  people = new Map();
  events = new EventTarget();
  media = new LocalMedia({ remember });
  /** `forced`: the server requires the relay, so this person cannot turn it off. */
  relay = { on: false, forced: false };
  /** Label and input of the relay setting, for the panel that shows it. @type {HTMLElement} */
  relaySwitch = byId("relay-switch");
  /** Whether this person raises the hand. */
  hand = false;
  /** Whether this person records. Event `recording` tells the others. */
  recording = false;
  /** Text and files, since the first call. @type {import("./chat/chat.js").Chat | null} */
  chat = null;

  address = { checkUrl, isLive, linkTo, room, token };
  remember = remember;
  rememberInTab = rememberInTab;
  say = say;
  addWords = addWords;
  sayError = sayError;
  element = element;
  loadStyles = loadStyles;
  icon = icon;
  assess = assess;
  askToMute = askToMute;

  /** Says an event in the live region. @param {string} message */
  announce(message) {
    byId("status").textContent = message;
  }

  /**
   * Copies a text. If the browser refuses, selects it in a field, for the person to copy.
   * @param {string} text
   * @param {HTMLInputElement | HTMLTextAreaElement} field
   * @returns {Promise<boolean>} Whether it was copied.
   */
  async copy(text, field) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      field.value = text;
      field.hidden = false;
      field.select();
      return false;
    }
  }

  /**
   * Keeps a message visible until {@link Page.endNotice}.
   * @param {string} id
   * @param {string} text
   * @param {{ text: string, act: () => void }} [action]
   */
  notice(id, text, action) {
    this.endNotice(id);
    const item = element("li", { "data-notice": id }, element("span", { text }));
    if (action) item.append(element("button", { type: "button", text: action.text, onclick: action.act }));
    byId("notices").append(item);
  }

  /** @param {string} id */
  endNotice(id) {
    byId("notices").querySelector(`[data-notice="${id}"]`)?.remove();
  }

  /** @param {string} type */
  tell(type) {
    this.events.dispatchEvent(new Event(type));
  }

  /** Reports of a peer during the last two minutes, oldest first. @param {Peer} peer */
  history(peer) {
    return this.people.get(peer)?.history ?? [];
  }

  /**
   * Forces the relay, or allows direct paths again.
   * @param {boolean} on
   */
  setRelay(on) {
    setRelay(on);
    this.call?.setRelayOnly(on);
    // Without the own wish, the server may still require it.
    const forced = !on && Boolean(this.call?.relayOnly);
    this.relay = { on: on || forced, forced };
    this.tell("relay");
  }
}
