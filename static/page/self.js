/** Own tile and devices: picture, states beside their buttons, screen sharing. */

import { byId } from "./dom.js";
import { sentenceOf } from "./media/notice.js";
import { say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */

/** @typedef {"camera" | "microphone"} Device */

/** @type {Device[]} */
const DEVICES = ["microphone", "camera"];

/** @param {Page} page */
export function startSelf(page) {
  const { media } = page;
  const self = byId("self");

  const draw = () => {
    const state = byId("call").dataset.state;
    // An empty stream would keep the document from loading.
    const stream = media.stream.getTracks().length ? media.stream : null;
    if (self.srcObject !== stream) self.srcObject = stream;
    self.classList.toggle("mirrored", media.mirrored);
    byId("self-note").textContent = noteOf(page, state);
    byId("self-muted").hidden = state !== "joined" || media.microphone.status === "on";
    byId("self-tile").hidden = byId("call").dataset.role === "viewer";
    byId("preview").hidden = media.camera.status !== "unasked" || byId("call").dataset.role === "viewer";
    for (const device of DEVICES) drawButton(page, device);
    drawBackground();
    byId("flip").hidden = media.camera.status !== "on" || !media.camera.facing;
    byId("share").setAttribute("aria-pressed", String(Boolean(media.screen)));
    drawLevel(state === "lobby" && media.microphone.status === "on");
  };

  /** Trouble with the background that a notice tells. */
  let told = "";
  const drawBackground = () => {
    const { backgroundState } = media;
    const trouble = media.camera.status === "on" && /failed|unsupported/.test(backgroundState) ? backgroundState : "";
    if (trouble === told) return;
    told = trouble;
    if (!trouble) return page.endNotice("background");
    const act = () => media.setEnabled("camera", false);
    page.notice("background", say(`background.${trouble}`), { text: say("background.camera-off"), act });
  };

  /** Stops the level meter. @type {(() => void) | null} */
  let stopLevel = null;
  /** Shows before the call how loud the microphone is. @param {boolean} wanted */
  const drawLevel = (wanted) => {
    const meter = byId("lobby-level");
    meter.hidden = !wanted;
    if (wanted) {
      stopLevel ??= media.watchLevel((level) => (meter.value = level));
    } else {
      stopLevel?.();
      stopLevel = null;
    }
  };

  for (const device of DEVICES) byId(device).addEventListener("click", () => toggleDevice(page, device));
  byId("flip").addEventListener("click", () => media.flip());
  byId("share").addEventListener("click", () => toggleSharing(page));
  byId("share").hidden = !media.canShareScreen;

  media.addEventListener("change", (event) => {
    const { notice } = /** @type {import("./media/notice.js").MediaChange} */ (event).detail;
    if (notice) page.announce(sentenceOf(page, notice));
    draw();
    page.call?.setMedia(media.states);
    page.call?.setStream(media.stream);
  });
  media.addEventListener("screen", (event) => {
    const { error } = /** @type {CustomEvent} */ (event).detail ?? {};
    if (error) page.announce(page.sayError(error));
    if (media.screen) page.call?.addStream(media.screen, "screen");
    else page.call?.removeStream("screen");
    if (media.screen) page.notice("share", say("share.on"), { text: say("share.stop"), act: () => media.stopSharing() });
    else page.endNotice("share");
    draw();
  });
  page.events.addEventListener("call", () => {
    page.call?.setMedia(media.states);
    if (!page.call) media.stopSharing();
    draw();
  });
  draw();
}

/**
 * Turns a device on or off. One that is missing is asked for.
 * @param {Page} page
 * @param {Device} device
 */
export async function toggleDevice(page, device) {
  const wanted = page.media[device].status !== "on";
  await page.media.setEnabled(device, wanted);
  const { error } = page.media[device];
  if (wanted && error) page.announce(reasonOf(page, error));
}

/** @param {Page} page */
export async function toggleSharing(page) {
  if (page.media.screen) return page.media.stopSharing();
  const screen = await page.media.shareScreen();
  if (screen) page.announce(say("share.on"));
}

/** Sentence in place of the own picture. @param {Page} page @param {string | undefined} state */
function noteOf({ media, sayError }, state) {
  const { status, error } = media.camera;
  if (status === "on") return /preparing|unsupported/.test(media.backgroundState) ? say(`background.${media.backgroundState}`) : "";
  if (error) return reasonOf({ media, sayError }, error);
  return say(status === "unasked" && state === "lobby" ? "lobby.ready" : "camera.own-off");
}

/**
 * Reason why a device is missing, with the way back from a refusal.
 * @param {Pick<Page, "media" | "sayError">} page
 * @param {import("../byway.js").BywayError} error
 */
const reasonOf = ({ media, sayError }, error) =>
  error.code.endsWith("-denied") ? `${sayError(error)} ${say(media.undoKey)}` : sayError(error);

/**
 * Shows the state of a device on its button, in words too.
 * @param {Page} page
 * @param {Device} device
 */
function drawButton({ media, sayError }, device) {
  const { status, error } = media[device];
  const button = byId(device);
  button.setAttribute("aria-pressed", String(status === "on"));
  button.dataset.status = status;
  button.hidden = byId("call").dataset.role === "viewer";
  button.title = error ? sayError(error) : say(`${device}.own-${status === "on" ? "on" : "off"}`);
}
