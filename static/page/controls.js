/** Panels, shortcut keys, wake lock and the relay switch. */

import { byId, element, isWriting, loadStyles } from "./dom.js";
import { toggleDevice, toggleSharing } from "./self.js";
import { addWords, say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */

/**
 * Module of a panel. `open` fills the section and may return a function that ends what the panel
 * does while it is open.
 * @typedef {{ open: (section: HTMLElement, page: Page) => (() => void) | void,
 *   words?: Record<string, import("./words.js").Loader> }} PanelModule
 */

/**
 * Modules of the panels by the id of their button. Each is loaded when it is first opened.
 * @type {Record<string, () => Promise<PanelModule>>}
 */
const PANELS = {
  people: () => import("./panels/people.js"),
  chat: () => import("./panels/chat.js"),
  photo: () => import("./panels/photo.js"),
  gif: () => import("./panels/gif.js"),
  record: () => import("./panels/record.js"),
  info: () => import("./panels/info.js"),
  settings: () => import("./panels/settings.js"),
};

/** Style sheets of the panels, which load with them. @type {Record<string, string[]>} */
const STYLES = {
  chat: ["chat", "files"],
  photo: ["gallery", "photo"],
  gif: ["gallery", "gif"],
  record: ["record"],
  info: ["info", "explain"],
  settings: ["settings"],
};

/** @param {string} id @returns {Promise<PanelModule>} */
async function loadPanel(id) {
  const module = await PANELS[id]();
  if (module.words) await addWords(module.words);
  return module;
}

/** @param {Page} page */
export function startPanels(page) {
  const panel = byId("panel");
  /** Button of the open panel. @type {HTMLElement | null} */
  let opener = null;
  /** @type {(() => void) | void} */
  let closed;
  /**
   * Number of times that a panel was opened; a module that loads for an earlier time is ignored.
   */
  let openings = 0;

  const close = ({ returnFocus = true } = {}) => {
    if (!opener) return;
    closed?.();
    closed = undefined;
    byId("relay-holder").append(page.relaySwitch);
    byId("panel-body").replaceChildren();
    panel.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    if (returnFocus) opener.focus();
    opener = null;
  };
  /** @param {string} id */
  const open = async (id) => {
    close({ returnFocus: false });
    const mine = ++openings;
    const button = byId(id);
    opener = button;
    button.setAttribute("aria-expanded", "true");
    byId("panel-title").textContent = say(`panel.${id}`);
    panel.dataset.panel = id;
    panel.hidden = false;
    byId("panel-title").focus();
    const body = byId("panel-body");
    body.replaceChildren(element("p", { class: "quiet", text: say("panel.loading") }));
    try {
      const [module] = await Promise.all([loadPanel(id), loadStyles(STYLES[id] ?? [])]);
      if (opener !== button || mine !== openings) return;
      const section = element("section");
      body.replaceChildren(section);
      closed = module.open(section, page);
    } catch (error) {
      console.warn(error);
      if (opener === button && mine === openings) body.replaceChildren(element("p", { text: say("panel.failed") }));
    }
  };

  for (const id of Object.keys(PANELS)) {
    byId(id).addEventListener("click", () => (opener === byId(id) ? close() : open(id)));
  }
  byId("panel-close").addEventListener("click", () => close());
  byId("call").addEventListener("keydown", (/** @type {KeyboardEvent} */ { key }) => key === "Escape" && close());
  page.events.addEventListener("call", () => {
    // What was made in a call is there after it.
    if (page.call) byId("call").dataset.hadCall = "";
    else if (opener?.matches(".in-call:not(.kept)")) close({ returnFocus: false });
  });
}

/** @param {Page} page */
export function startKeys(page) {
  /** Whether the microphone is on only while the space bar is held. */
  let talking = false;
  const isFree = (/** @type {KeyboardEvent} */ { target, ctrlKey, metaKey, altKey }) =>
    page.call && byId("call").dataset.role !== "viewer" && !ctrlKey && !metaKey && !altKey && !isWriting(target);

  addEventListener("keydown", (event) => {
    if (event.repeat || !isFree(event)) return;
    if (event.key === "m") toggleDevice(page, "microphone");
    if (event.key === "v") toggleDevice(page, "camera");
    if (event.key === "s") toggleSharing(page);
    // On a button the space bar presses it.
    if (event.key === " " && !(/** @type {Element} */ (event.target).closest("button, summary, a"))) {
      event.preventDefault();
      if (page.media.microphone.status !== "off") return;
      talking = true;
      page.media.setEnabled("microphone", true);
    }
  });
  const release = () => {
    if (talking) page.media.setEnabled("microphone", false);
    talking = false;
  };
  addEventListener("keyup", ({ key }) => key === " " && release());
  addEventListener("blur", release);
  // A button that was clicked would take the space bar of who wants to talk.
  byId("controls").addEventListener("click", (/** @type {MouseEvent} */ { detail, target }) => {
    const isByPointer = detail > 0;
    if (isByPointer && page.call && /** @type {Element} */ (target).closest("[aria-pressed]")) byId("call").focus();
  });
}

/** Keeps the screen on during a call. @param {Page} page */
export function startWakeLock(page) {
  /** @type {WakeLockSentinel | null} */
  let lock = null;
  const update = async () => {
    if (!page.call || document.visibilityState === "hidden") {
      lock?.release().catch(() => {});
      lock = null;
    } else if (!lock || lock.released) {
      // Refused for example at a low battery.
      lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
      // The call may have ended meanwhile.
      if (lock && !page.call) update();
    }
  };
  page.events.addEventListener("call", update);
  document.addEventListener("visibilitychange", update);
}

/** @param {Page} page */
export function startRelaySwitch(page) {
  const input = byId("relay");
  input.addEventListener("change", () => page.setRelay(input.checked));
  page.events.addEventListener("relay", () => {
    input.checked = page.relay.on;
    input.disabled = page.relay.forced;
  });
}
