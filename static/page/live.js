/** Live room: the speaker is told how many watch, and what that takes of the own uplink. */

import { byId } from "./dom.js";
import { formatBitrate } from "./person.js";
import { say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("../byway.js").Peer} Peer */
/** @typedef {import("../byway.js").Report} Report */

/** @param {Page} page */
export function startLive(page) {
  /** Latest report of each viewer. @type {WeakMap<Peer, Report>} */
  const reports = new WeakMap();

  const draw = () => {
    const { call } = page;
    if (!call || byId("call").dataset.role !== "speaker") return page.endNotice("live");
    const viewers = call.peers.filter((peer) => peer.viewer);
    const uplinks = viewers.map((peer) => reports.get(peer));
    const sending = uplinks.reduce((sum, report) => sum + (report?.sendingBps ?? 0), 0);
    const limited = uplinks.some((report) => report?.limitation === "bandwidth");
    const text = say(!viewers.length ? "live.nobody" : limited ? "live.uplink-full" : "live.uplink", {
      viewers: viewers.length,
      sending: formatBitrate(sending),
    });
    if (byId("notices").querySelector("[data-notice=live] span")?.textContent !== text) page.notice("live", text);
  };

  page.events.addEventListener("call", draw);
  page.events.addEventListener("people", draw);
  page.events.addEventListener("watcher", (event) => {
    const viewer = /** @type {CustomEvent<Peer>} */ (event).detail;
    viewer.addEventListener("stats", ({ report }) => {
      reports.set(viewer, report);
      draw();
    });
  });
}
