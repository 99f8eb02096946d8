/** Further tabs of this browser in the same room. The newer one is told, and muted. */

import { room } from "./address.js";
import { byId } from "./dom.js";
import { say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */

/** @param {Page} page */
export function startTabs(page) {
  const channel = new BroadcastChannel("byway");
  const tab = crypto.getRandomValues(new Uint32Array(2)).join("-");
  let muted = false;
  /** Whether the microphone goes on with the tab: not if it was off, or the person switched it. */
  let wanted = true;
  let inCall = false;

  const silence = (/** @type {boolean} */ on) => {
    muted = on;
    for (const person of page.people.values()) person.silence(on);
    if (on) wanted = page.media.microphone.wanted;
    if (wanted && byId("call").dataset.role !== "viewer") page.media.setEnabled("microphone", !on);
    if (!on) page.endNotice("tab");
  };

  page.events.addEventListener("call", () => {
    if (Boolean(page.call) === inCall) return;
    inCall = Boolean(page.call);
    if (inCall) channel.postMessage({ type: "joined", room: room(), tab });
    else if (muted) silence(false);
  });
  page.media.addEventListener("change", () => {
    if (muted && page.media.microphone.status === "on") wanted = false;
  });
  page.events.addEventListener("arrived", (event) => {
    if (muted) /** @type {CustomEvent<import("./person.js").Person>} */ (event).detail.silence(true);
  });
  channel.addEventListener("message", ({ data }) => {
    if (!page.call || data?.room !== room()) return;
    if (data.type === "joined") channel.postMessage({ type: "here", room: room(), tab, to: data.tab });
    if (data.type === "here" && data.to === tab && !muted) {
      silence(true);
      page.notice("tab", say("tab.second"), { text: say("tab.unmute"), act: () => silence(false) });
      page.announce(say("tab.second"));
    }
  });
}
