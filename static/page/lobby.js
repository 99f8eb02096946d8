/** Lobby: own picture, name and devices before the call, and the return to it. */

import { isHostsToken, isLive, isRelayWanted, linkTo, room } from "./address.js";
import { byId } from "./dom.js";
import { checkEntry, isByInvitation, showLanding } from "./entry.js";
import { say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */

/**
 * Whether this person only watches: in a live room everyone does, except who started it or has a
 * host's token.
 * @param {Page} page
 */
export const isViewer = (page) => isLive() && !isHostsToken() && page.rememberInTab.get("speaker") !== room();

/**
 * Shows the page of the current address: the landing page, or a room's lobby.
 * @param {Page} page
 */
export function showAddress(page) {
  if (isByInvitation) checkEntry(page, { showLobby, showAddress });
  else if (room()) showLobby(page);
  else showLanding("open");
}

/** @param {Page} page */
function showLobby(page) {
  const name = room() ?? "";
  byId("landing").hidden = true;
  byId("call").hidden = byId("join").hidden = false;
  // A host invites from the panel "People": the own link would make others hosts.
  byId("invite").hidden = isHostsToken();
  document.title = `${name} · Byway`;
  page.endNotice("ended");
  page.relay = { on: isRelayWanted(), forced: false };
  page.tell("relay");
  byId("room-link").value = linkTo(name);
  byId("name").value = page.remember.get("name") ?? "";
  page.announce("");
  drawJoin(page);
  if (!isViewer(page)) previewIfAllowed(page);
}

/** Shows on the button that this tab was in the call before a reload. @param {Page} page */
export function drawJoin(page) {
  const viewer = isViewer(page);
  const again = page.rememberInTab.get("in") === room();
  byId("join").textContent = say(again ? "lobby.rejoin" : viewer ? "lobby.watch" : "lobby.join");
  byId("call").dataset.role = viewer ? "viewer" : isLive() ? "speaker" : "member";
  if (again) byId("join").focus();
  page.tell("call");
}

/** @param {Page} page */
export function startLobby(page) {
  byId("copy").addEventListener("click", async () => {
    const link = byId("room-link");
    page.announce(say((await page.copy(link.value, link)) ? "invite.copied" : "invite.copy-selected"));
  });
  byId("preview").addEventListener("click", () => preview(page));
}

/** @param {Page} page */
async function preview(page) {
  await page.media.open();
  const errors = [page.media.camera.error, page.media.microphone.error].filter((error) => error !== null);
  if (!errors.length) return;
  const both = errors.length === 2 && errors[0].message === errors[1].message ? errors.slice(1) : errors;
  page.announce([...both.map((error) => page.sayError(error)), ...(errors.length > 1 ? [say("lobby.join-anyway")] : [])].join(" "));
}

/** Starts the preview only if that shows no permission prompt. @param {Page} page */
async function previewIfAllowed(page) {
  const names = /** @type {PermissionName[]} */ (["camera", "microphone"]);
  const states = await Promise.all(
    names.map((name) => navigator.permissions?.query({ name }).catch(() => null) ?? null),
  );
  const inLobby = room() && byId("call").dataset.state === "lobby";
  if (inLobby && states.every((permission) => permission?.state === "granted")) preview(page);
}
