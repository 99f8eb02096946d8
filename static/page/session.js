/** The call's course: lobby, joining, joined, and back to the lobby. */

import { join } from "../byway.js";
import { checkUrl, isHostsToken, isLive, isRelayWanted, room, server, token } from "./address.js";
import { byId } from "./dom.js";
import { isRefusal, refuse } from "./entry.js";
import { drawJoin, isViewer, showAddress } from "./lobby.js";
import { addPerson, removePerson } from "./people.js";
import { whyUnreachable } from "./reach.js";
import { say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("../byway.js").Call} Call */
/** @typedef {import("../byway.js").BywayError} BywayError */

/** Time without the server after which the page looks for the reason. */
const LOST_MS = 10_000;
/** Failures of connections, whose reason the self-test page finds. */
const UNEXPLAINED = ["connection-lost", "relay-unreachable"];
/** @type {ReturnType<typeof setTimeout> | undefined} */
let lostTimer;

/** @param {Page} page */
export function startSession(page) {
  /** Number of join attempts. A later attempt, or leaving, cancels an earlier one. */
  let attempts = 0;
  let abort = new AbortController();

  /** @param {"lobby" | "joining" | "joined"} state */
  const setState = (state) => {
    byId("call").dataset.state = state;
    document.documentElement.dataset.scene = state === "lobby" ? "" : "call";
    byId("join").disabled = state === "joining";
    page.tell("call");
  };

  /** Shows the lobby, where the person can join again. */
  const showLobby = () => {
    page.call = byId("call").call = null;
    for (const peer of page.people.keys()) removePerson(page, peer);
    page.relay = { on: isRelayWanted(), forced: false };
    page.tell("relay");
    page.hand = false;
    for (const id of ["server", "tab", "viewers", "blocked", "check"]) page.endNotice(id);
    setState("lobby");
    page.media.close();
    drawJoin(page);
    byId("join").focus();
  };

  /** Leaves the call, or cancels a pending join, and releases the devices. */
  const leave = () => {
    attempts += 1;
    abort.abort();
    if (page.call) page.call.leave();
    else showLobby();
  };

  /** Keeps the reason in view, and no button that would fail. @param {BywayError} error */
  const sayEnd = (error) => {
    page.announce(page.sayError(error));
    page.notice("ended", page.sayError(error));
    byId("join").hidden = isRefusal(error.code);
  };

  /** @param {BywayError} error */
  const refused = async (error) => {
    setState("lobby");
    // The chat of a call before stays readable.
    if (isRefusal(error.code) && !page.chat) {
      refuse(page, error.code);
      return byId("landing-title").focus();
    }
    sayEnd(error);
    if (error.code !== "server-unreachable") return;
    const mine = attempts;
    const { key, values } = await whyUnreachable(server());
    if (mine === attempts) page.notice("ended", say(key, values));
  };

  byId("lobby").addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const name = byId("name").value.trim();
    const wanted = room();
    if (byId("call").dataset.state !== "lobby" || !wanted) return;
    attempts += 1;
    const mine = attempts;
    abort = new AbortController();
    page.endNotice("ended");
    page.remember.set("name", name || null);
    setState("joining");
    page.announce(say("call.joining"));
    const viewer = isViewer(page);
    if (!viewer) await page.media.open();
    if (mine !== attempts) return;
    try {
      const call = await join({
        room: wanted,
        name,
        stream: viewer ? null : page.media.stream,
        viewer,
        relayOnly: page.relay.on,
        token: token(),
        server: server(),
        signal: abort.signal,
      });
      if (mine === attempts) begin(call);
      else call.leave();
    } catch (error) {
      if (mine === attempts) refused(/** @type {BywayError} */ (error));
    }
  });

  /** @param {Call} call */
  const begin = (call) => {
    page.call = byId("call").call = call;
    call.setReports(page.remember.get("reports") === "on");
    page.rememberInTab.set("in", room());
    page.relay = { on: call.relayOnly, forced: call.relayOnly && !page.relay.on };
    page.tell("relay");
    // The token admits a viewer only: nothing that is opened would be sent.
    if (call.viewer && byId("call").dataset.role !== "viewer") {
      byId("call").dataset.role = "viewer";
      page.media.close();
    }
    setState("joined");
    welcome(page, call);
    call.addEventListener("peer", ({ peer }) => {
      if (peer.viewer) {
        page.events.dispatchEvent(new CustomEvent("watcher", { detail: peer }));
        return page.tell("people");
      }
      addPerson(page, peer);
      page.announce(say("call.arrived", { name: page.people.get(peer)?.shortName ?? "" }));
    });
    call.addEventListener("peerleft", ({ peer }) => {
      const person = page.people.get(peer);
      removePerson(page, peer);
      if (person) page.announce(say("call.departed", { name: person.shortName }));
    });
    call.addEventListener("error", ({ error, peer }) => failed(page, error, peer));
    call.addEventListener("signaling", () => watchServer(page, call));
    call.addEventListener("host", () => {
      if (call.host) page.announce(say("host.you"));
      page.tell("people");
    });
    const drawLock = () => (byId("room-state").hidden = page.call !== call || !call.locked);
    drawLock();
    call.addEventListener("locked", () => {
      page.announce(say(call.locked ? "host.locked" : "host.unlocked"));
      drawLock();
      page.tell("people");
    });
    call.addEventListener("viewers", () => {
      drawViewers(page, call);
      page.tell("people");
    });
    call.addEventListener("closed", ({ reason }) => {
      if (reason?.code === "removed") page.rememberInTab.set("in", null);
      if (reason) sayEnd(reason);
      showLobby();
      drawLock();
    });
    // Not a button: the space bar, held to talk, would press it.
    byId("call").focus();
  };

  byId("hangup").addEventListener("click", () => {
    page.rememberInTab.set("in", null);
    leave();
    page.announce(say("call.left"));
  });
  addEventListener("popstate", () => {
    leave();
    page.media.close();
    showAddress(page);
  });
  addEventListener("pagehide", leave);
}

/** Says how the call begins: alone, or without a device. @param {Page} page @param {Call} call */
function welcome(page, call) {
  const { camera, microphone } = page.media;
  // A device may go on after an error, for example if another one could not be chosen.
  const unsent = [microphone, camera].filter(({ error, live }) => error && !live);
  if (byId("call").dataset.role === "viewer") {
    page.announce(say(call.peers.length ? "live.watching" : "live.waiting"));
  } else if (unsent.length) {
    const key = unsent.length > 1 ? "call.receive-only" : unsent[0] === camera ? "call.not-seen" : "call.not-heard";
    const sentences = unsent.map(({ error }) => page.sayError(/** @type {BywayError} */ (error)));
    page.announce([...new Set(sentences), say(key)].join(" "));
  } else if (call.peers.length === 0) {
    // A host makes links for others, and has none to send.
    const alone = isHostsToken() ? (isLive() ? "live.alone-host" : "call.alone-host") : isLive() ? "live.alone" : "call.alone";
    page.announce(say(alone));
  }
}

/**
 * Keeps in view that a call has viewers, who have no tile: anyone who knows an open room can be
 * one.
 * @param {Page} page
 * @param {Call} call
 */
function drawViewers(page, call) {
  const { viewers } = call;
  // The speaker of a live room has a line of its own.
  if (isLive() || !viewers) return page.endNotice("viewers");
  const text = say("call.watched", { count: viewers });
  page.notice("viewers", text);
  page.announce(text);
}

/**
 * @param {Page} page
 * @param {BywayError} error
 * @param {import("../byway.js").Peer | null} peer
 */
function failed(page, error, peer) {
  const ownChoice = error.code === "relay-unreachable" && !page.relay.forced;
  const message = ownChoice ? `${page.sayError(error)} ${say("relay.switch-off")}` : page.sayError(error);
  page.announce(message);
  if (UNEXPLAINED.includes(error.code)) {
    page.notice("check", say("check.why"), { text: say("check.open"), act: () => window.open(checkUrl(), "_blank") });
  }
  if (peer) page.people.get(peer)?.fail(message);
}

/** Keeps the loss of the server in view until it is back. @param {Page} page @param {Call} call */
function watchServer(page, call) {
  if (call.signaling === "lost") {
    const text = say(call.peers.length ? "call.server-lost-continues" : "call.server-lost");
    page.announce(text);
    page.notice("server", text);
    clearTimeout(lostTimer);
    lostTimer = setTimeout(async () => {
      if (page.call !== call || call.signaling !== "lost") return;
      const { key, values } = await whyUnreachable(server());
      if (page.call === call && call.signaling === "lost") page.notice("server", say(key, values));
    }, LOST_MS);
  } else {
    page.endNotice("server");
    if (call.signaling === "open") page.announce(say("call.server-back"));
  }
}
