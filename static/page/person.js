/** Another member of the call: tile, pictures, state and history. */

import { byId, element, icon } from "./dom.js";
import { say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("../byway.js").Peer} Peer */
/** @typedef {import("../byway.js").Report} Report */

/** Reports that are kept: two minutes. */
const HISTORY_LENGTH = 120;
/** Least time between two changes of a state, since a page may be hostile. */
const STATE_MS = 1_000;
/** Least time that a recording is shown: the notice must not flicker, nor a short one be missed. */
const RECORDING_MS = 5_000;
/** Least time between two announcements of a kind. */
const REPEAT_MS = 10_000;

/** A member with a tile for the camera, and one for the screen while it is shared. */
export class Person {
  /** Recent reports, oldest first. @type {{ at: number, report: Report }[]} */
  history = [];
  /** Whether the hand is raised. */
  hand = false;
  /** Whether this person records the call, as that page told. */
  recording = false;
  /** Volume of this person's sound, 0 to 1. */
  volume = 1;
  /** Limit of the picture that this person sends, as that page told. @type {string | null} */
  limitation = null;
  /** Quality in words, since the last report. */
  quality = /** @type {import("./quality.js").Quality | null} */ (null);
  /** States as the other page told them last. */ #told = { hand: false, recording: false };
  /** @type {{ [state: string]: ReturnType<typeof setTimeout> | undefined }} */ #timers = {};
  /** Times of the last announcements, by kind. @type {Map<string, number>} */
  #announced = new Map();
  /** Whether this page plays nothing of this person. */ #silenced = false;
  /** Whether there has been a path: without one now, it is interrupted. */ #wasConnected = false;
  /** Message of the last failure, while there is no path. */
  #failure = "";
  /** @type {HTMLElement} */ #tile;
  /** @type {HTMLVideoElement} */ #video;
  /** Tile of the shared screen. @type {HTMLElement | null} */ #screen = null;

  /** @param {Page} page @param {Peer} peer */
  constructor(page, peer) {
    this.page = page;
    this.peer = peer;
    this.name = peer.name || say("call.guest");
    const short = this.name.length > 32 ? `${[...this.name].slice(0, 30).join("")}…` : this.name;
    /** Mark of one who has the name of another that is here, or nothing. */
    this.mark = distinguish(short, [...page.people.values()]);
    /** Name, shortened to fit a sentence, which no other has. */
    this.shortName = short + this.mark;
    /** Whole name, with its mark. */
    this.label = this.name + this.mark;
    /** @type {HTMLElement} */
    this.root = byId("peer-template").content.firstElementChild.cloneNode(true);
    this.#tile = /** @type {HTMLElement} */ (this.root.querySelector(".tile"));
    this.#video = /** @type {HTMLVideoElement} */ (this.root.querySelector("video"));
    this.#video.srcObject = peer.stream;
    this.#video.addEventListener("playing", () => this.drawNote());
    this.#play(this.#video);
    this.#part(".name").textContent = this.label;
    this.#part(".badge.hand").after(
      element("span", { class: "badge recording", hidden: true }, icon("record"), element("span", { class: "hidden", text: say("call.recording") })),
    );
    this.#part(".actions").append(this.#menu(this.#tile, this.#video));
    this.#part(".words").textContent = say("path.connecting");
    peer.addEventListener("media", () => {
      this.drawMedia();
      page.tell("people");
    });
    peer.addEventListener("streams", () => this.drawScreen());
    this.drawMedia();
    this.drawScreen();
    this.setSpeaker(page.media.speakerId);
  }

  /** Path and protocol as the tile shows them. @returns {"direct" | "relayed" | "connecting"} */
  get path() {
    return /** @type {any} */ (this.root.dataset.path);
  }

  /** Videos of this person: camera first, then the screen. @returns {HTMLVideoElement[]} */
  get videos() {
    return [...this.root.querySelectorAll("video")];
  }

  /** @param {string} selector */
  #part(selector) {
    return /** @type {HTMLElement} */ (this.root.querySelector(selector));
  }

  /** Takes a fresh report: path, figures and quality. @param {Report} report */
  draw(report) {
    this.history.push({ at: Date.now(), report });
    if (this.history.length > HISTORY_LENGTH) this.history.shift();
    const { path } = report;
    const before = this.path;
    this.#wasConnected ||= path !== "connecting";
    for (const each of [this.root, this.#part(".how")]) {
      each.dataset.path = path;
      each.dataset.protocol = path === "connecting" ? "" : (report.protocol ?? "");
    }
    this.#part(".words").replaceChildren(...this.#line(report));
    if (path !== "connecting") this.#failure = "";
    this.drawNote();
    // The line changes every second, so the live region announces only a change of the path.
    if (path !== "connecting" && before !== path) {
      this.page.announce(say("path.connected", { name: this.shortName, path: describePath(report) }));
    }
    const peer = { camera: this.peer.media.camera, limitation: this.limitation };
    this.quality = this.page.assess(this.history, { before: this.quality, peer });
    this.root.dataset.quality = this.quality.level;
  }

  /**
   * Returns for example "Relayed over UDP · 3 ms · 1.2 Mbit/s", where no part breaks across lines.
   * @param {Report} report
   */
  #line(report) {
    if (report.path === "connecting") return [say(this.#wasConnected ? "path.interrupted" : "path.connecting")];
    const parts = [describePath(report)];
    if (report.roundTripMs !== null) parts.push(`${Math.max(1, Math.round(report.roundTripMs))} ms`);
    if (report.receivingBps !== null) parts.push(formatBitrate(report.receivingBps));
    const spans = parts.map((part) => element("span", { text: part }));
    return spans.flatMap((span, index) => (index ? [" · ", span] : [span]));
  }

  /** Shows microphone and camera as the other side told them. */
  drawMedia() {
    const { microphone, camera } = this.peer.media;
    // Refused and busy devices give nothing, either. The note tells them apart.
    const short = (/** @type {string} */ state) => (state === "on" || state === "off" ? state : "none");
    this.root.dataset.microphone = short(microphone);
    this.root.dataset.camera = short(camera);
    const muted = this.#part(".badge.muted");
    muted.hidden = microphone === "on";
    muted.title = this.#part(".muted .state").textContent = say(`microphone.${microphone}`);
    this.drawNote();
  }

  /** Shows a sentence where the picture would be. */
  drawNote() {
    const note = this.#part(".note");
    const { camera } = this.peer.media;
    const [track] = this.peer.stream.getVideoTracks();
    const sees = camera === "on" && track && !track.muted;
    if (this.path === "connecting" && !sees) note.textContent = this.#failure || say("path.connecting-note");
    else if (this.path === "connecting") note.textContent = this.#failure;
    else note.textContent = sees ? "" : say(`camera.${camera === "on" ? "starting" : camera}`, { name: this.shortName });
  }

  /** Shows the tile of a shared screen, or removes it. */
  drawScreen() {
    const stream = this.peer.streams.get("screen");
    if (!stream) {
      this.#screen?.remove();
      this.#screen = null;
      return this.page.tell("people");
    }
    if (this.#screen) return this.page.tell("people");
    const video = element("video", { "data-purpose": "screen", autoplay: true, playsinline: true });
    video.srcObject = stream;
    video.volume = this.volume;
    this.#play(video);
    const caption = element("figcaption", {}, element("bdi", { class: "name", text: say("share.of", { name: this.label }) }));
    this.#screen = element("figure", { class: "tile screen" }, video, element("div", { class: "actions" }), caption);
    this.#screen?.querySelector(".actions")?.append(this.#menu(/** @type {HTMLElement} */ (this.#screen), video));
    this.root.append(/** @type {HTMLElement} */ (this.#screen));
    this.silence(this.#silenced);
    this.setSpeaker(this.page.media.speakerId);
    this.#announce("screen", say("share.began", { name: this.shortName }));
    this.page.tell("people");
  }

  /**
   * Menu of a tile: large view, full screen, picture in picture, volume.
   * @param {HTMLElement} tile
   * @param {HTMLVideoElement} video
   */
  #menu(tile, video) {
    const { label: name } = this;
    const button = (/** @type {string} */ key, /** @type {() => void} */ act) =>
      element("button", { type: "button", text: say(key), onclick: () => (act(), menu.removeAttribute("open")) });
    const enlarge = fullScreenOf(tile, video);
    const menu = element("details", { class: "menu" },
      element("summary", { "aria-label": say("tile.menu", { name }) }, icon("more")),
      element("div", {},
        button("tile.focus", () => this.page.events.dispatchEvent(new CustomEvent("focus", { detail: tile }))),
        ...(enlarge ? [button("tile.full-screen", enlarge)] : []),
        ...(document.pictureInPictureEnabled
          ? [button("tile.picture-in-picture", () => video.requestPictureInPicture().catch(() => {}))]
          : []),
        ...(this.hasVolume ? [element("label", {}, element("span", { text: say("tile.volume") }), this.volumeSlider())] : []),
      ),
    );
    menu.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape" || !menu.open) return;
      event.stopPropagation();
      menu.removeAttribute("open");
      menu.querySelector("summary").focus();
    });
    return menu;
  }

  /**
   * Plays a video, also one without a track yet. Safari plays nothing in a page that sends nothing,
   * until the person asks for it.
   * @param {HTMLVideoElement} video
   */
  #play(video) {
    video.play().catch(({ name }) => name === "NotAllowedError" && this.page.tell("blocked"));
  }

  /** Whether the browser lets a page set a volume. iPhones and iPads do not. */
  get hasVolume() {
    const probe = document.createElement("video");
    probe.volume = 0.5;
    return probe.volume === 0.5;
  }

  /** Builds a slider of the volume. @param {Record<string, any>} [attributes] */
  volumeSlider(attributes = {}) {
    return element("input", {
      type: "range", min: 0, max: 1, step: 0.05, value: this.volume, ...attributes,
      "aria-label": say("tile.volume-of", { name: this.label }),
      oninput: (/** @type {any} */ { target }) => this.setVolume(Number(target.value)),
    });
  }

  /** @param {number} volume 0 to 1. */
  setVolume(volume) {
    this.volume = volume;
    for (const video of this.videos) video.volume = volume;
    for (const input of this.root.querySelectorAll("input[type=range]")) /** @type {HTMLInputElement} */ (input).value = String(volume);
  }

  /** Plays this person's sound on a speaker. @param {string | null} deviceId */
  setSpeaker(deviceId) {
    for (const video of this.videos) video.setSinkId?.(deviceId ?? "").catch(() => {});
  }

  /** @param {boolean} muted Whether this page plays nothing of this person. */
  silence(muted) {
    this.#silenced = muted;
    for (const video of this.videos) video.muted = muted;
  }

  /**
   * Shows a state as the other page tells it, the latest of each second.
   * @param {"hand" | "recording"} state @param {boolean} on
   */
  tell(state, on) {
    this.#told[state] = on;
    if (this.#timers[state] === undefined) this.#drawTold(state);
  }

  /** @param {"hand" | "recording"} state */
  #drawTold(state) {
    this.#timers[state] = undefined;
    if (this[state] === this.#told[state] || !this.root.isConnected) return;
    this[state] = this.#told[state];
    this.#part(`.badge.${state}`).hidden = !this[state];
    this.root.toggleAttribute("data-recording", this.recording);
    if (this[state]) this.#announce(state, say(`call.${state}-of`, { name: this.shortName }));
    else if (state === "recording") this.#announce("recording-ended", say("call.recorded", { name: this.shortName }));
    this.page.tell("people");
    const isRecording = state === "recording" && this.recording;
    this.#timers[state] = setTimeout(() => this.#drawTold(state), isRecording ? RECORDING_MS : STATE_MS);
  }

  /**
   * Announces an event that the other page decides on, unless it repeats.
   * @param {string} kind @param {string} text
   */
  #announce(kind, text) {
    const now = performance.now();
    if (now - (this.#announced.get(kind) ?? -Infinity) < REPEAT_MS) return;
    this.#announced.set(kind, now);
    this.page.announce(text);
  }

  /** Whether this person talks now. */
  get isSpeaking() {
    if (this.peer.media.microphone !== "on") return false;
    const receiver = this.peer.connection.getReceivers().find(({ track }) => track.kind === "audio");
    return (receiver?.getSynchronizationSources()[0]?.audioLevel ?? 0) > SPEAKING_LEVEL;
  }

  /** Shows a failure in the tile until there is a path. @param {string} message */
  fail(message) {
    this.#failure = message;
    this.drawNote();
  }
}

/**
 * Text as it looks: letters of one shape are equal, and invisible ones nothing.
 * @param {string} name
 */
const seen = (name) => name.normalize("NFKC").replace(/[\s\p{DI}]/gu, "").toLowerCase();

/**
 * Returns a mark such as " (2)" if another person has the name already: a private message or a
 * removal must not go to the wrong one.
 * @param {string} name @param {Person[]} others
 */
function distinguish(name, others) {
  const taken = new Set(others.map(({ shortName }) => seen(shortName)));
  let mark = "";
  for (let number = 2; taken.has(seen(name + mark)); number += 1) mark = ` (${number})`;
  return mark;
}

/**
 * Returns how to show a tile in full screen, or null. An iPhone shows a video alone.
 * @param {HTMLElement} tile @param {any} video
 * @returns {(() => void) | null}
 */
function fullScreenOf(tile, video) {
  if (tile.requestFullscreen) return () => void tile.requestFullscreen().catch(() => {});
  return video.webkitEnterFullscreen ? () => video.webkitEnterFullscreen() : null;
}

/** Above breath and fans, below quiet speech. */
const SPEAKING_LEVEL = 0.02;

/** @param {Report} report */
export const describePath = ({ path, protocol }) =>
  say(`path.${path}${protocol ? "-over" : ""}`, { protocol: (protocol ?? "").toUpperCase() });

/** @param {number} bps */
export const formatBitrate = (bps) => (bps < 1e6 ? `${Math.round(bps / 1e3)} kbit/s` : `${(bps / 1e6).toFixed(1)} Mbit/s`);
