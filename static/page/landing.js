/** Landing page: starts a call or a live room, or opens a room by name. */

import { linkTo, randomRoomName } from "./address.js";
import { byId } from "./dom.js";
import { codeOf, inviteSelf, isByInvitation, isRefusal, sentence } from "./entry.js";

/** @typedef {import("./page.js").Page} Page */

/**
 * @param {Page} page
 * @param {() => void} showAddress Shows the page of the new address.
 */
export function startLanding(page, showAddress) {
  let isOpening = false;

  /** @param {string} name @param {{ live?: boolean }} [options] */
  const open = async (name, { live = false } = {}) => {
    if (isOpening) return;
    isOpening = true;
    byId("landing-note").textContent = "";
    try {
      // The operator's own token must not be in the address of a call, which may be seen by others.
      const token = isByInvitation ? await inviteSelf(page, name) : null;
      history.pushState(null, "", linkTo(name, { live, token }));
      showAddress();
      byId("join").focus();
    } catch (error) {
      const code = codeOf(error);
      // The token is no longer good: the page says so.
      if (isRefusal(code)) showAddress();
      else byId("landing-note").textContent = await sentence(code);
    } finally {
      isOpening = false;
    }
  };

  byId("new-call").addEventListener("click", () => open(randomRoomName()));
  byId("new-live").addEventListener("click", () => {
    const name = randomRoomName();
    page.rememberInTab.set("speaker", name);
    open(name, { live: true });
  });
  byId("open-room").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    open(byId("room-name").value.trim());
  });
  byId("landing-retry").addEventListener("click", showAddress);
}
