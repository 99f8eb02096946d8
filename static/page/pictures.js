/**
 * Pictures of the call that a photo, a GIF or a recording can be made of. Panels that load later
 * import it; nothing that is linked into the document does.
 */

import { labelled, showOptions } from "./fields.js";

/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("./person.js").Person} Person */

/**
 * @typedef {object} Picture
 * @property {string} id
 * @property {string} label Name to show and to save it under. Parts of it come from other members.
 * @property {HTMLVideoElement | null} video Element of the page that plays it, never mirrored in
 *   its frames. Null for the own screen, see {@link playPicture}.
 * @property {MediaStream} stream
 * @property {Person | null} person Null for the own ones.
 * @property {"camera" | "screen"} purpose
 */

/**
 * Returns the pictures with a live video track: own camera, own screen, then each person's camera
 * and screen.
 * @param {Page} page
 * @returns {Picture[]}
 */
export function pictures(page) {
  const { media, say } = page;
  /** @type {Picture[]} */
  const all = [];
  if (media.camera.status === "on") {
    const video = /** @type {HTMLVideoElement} */ (document.querySelector("video#self"));
    all.push({ id: "own-camera", label: say("call.you"), video, stream: media.stream, person: null, purpose: "camera" });
  }
  if (media.screen) {
    all.push({ id: "own-screen", label: say("pictures.own-screen"), video: null, stream: media.screen, person: null, purpose: "screen" });
  }
  for (const person of page.people.values()) all.push(...picturesOf(page, person));
  return distinguish(all.filter(({ stream }) => hasPicture(stream)));
}

/** @param {Page} page @param {Person} person */
function picturesOf({ say }, person) {
  const { peer, shortName: name, videos } = person;
  /**
   * @param {"camera" | "screen"} purpose
   * @param {MediaStream} stream
   * @param {string} label
   * @returns {Picture}
   */
  const picture = (purpose, stream, label) => {
    const video = videos.find(({ dataset }) => dataset.purpose === purpose) ?? null;
    return { id: `${purpose}-${peer.id}`, label, video, stream, person, purpose };
  };
  const screen = peer.streams.get("screen");
  // A camera that is off sends black pictures. A client that tells no states has a track if it
  // sends.
  const camera = peer.media.camera === "off" ? [] : [picture("camera", peer.stream, name)];
  return screen ? [...camera, picture("screen", screen, say("share.of", { name }))] : camera;
}

/** @param {MediaStream} stream */
const hasPicture = (stream) => stream.getVideoTracks().some(({ readyState }) => readyState === "live");

/** Numbers the labels that are equal. @param {Picture[]} all */
function distinguish(all) {
  /** @type {Map<string, number>} */
  const seen = new Map();
  for (const picture of all) {
    const number = (seen.get(picture.label) ?? 0) + 1;
    seen.set(picture.label, number);
    if (number > 1) picture.label = `${picture.label} (${number})`;
  }
  return all;
}

/**
 * Plays a picture: in the page's own element, or in one of its own that is not shown.
 * @param {Picture} picture
 * @returns {{ video: HTMLVideoElement, close: () => void }}
 */
export function playPicture({ video, stream }) {
  if (video) return { video, close: () => {} };
  const own = playUnseen(stream);
  return { video: own, close: () => (own.srcObject = null) };
}

/**
 * Plays a stream in a video that is not shown, to draw its frames.
 * @param {MediaStream} stream
 */
export function playUnseen(stream) {
  const video = document.createElement("video");
  video.muted = video.playsInline = video.autoplay = true;
  video.srcObject = stream;
  video.play().catch(() => {});
  return video;
}

/**
 * Builds a labelled `select` of the pictures that follows the call. The select has a `change` event
 * also when the call changes what is chosen.
 * @param {Page} page
 * @param {{ id: string, label: string, extra?: { value: string, text: string }[] }} options
 *   `extra`:
 *   options before the pictures; while one of them is chosen, `chosen()` is null.
 * @returns {{ root: HTMLElement, select: HTMLSelectElement, chosen: () => Picture | null, close: ()
 *   => void }}
 */
export function pictureList(page, { id, label, extra = [] }) {
  const { element, say } = page;
  /** @type {HTMLSelectElement} */
  const select = element("select", { id });
  const root = labelled(page, label, select);
  /** Choice of the person, which comes back with its picture. */
  let wanted = "";

  const draw = () => {
    const options = [...extra, ...pictures(page).map((picture) => ({ value: picture.id, text: picture.label }))];
    select.disabled = !options.length;
    if (!options.length) options.push({ value: "", text: say("pictures.none") });
    const isThere = options.some(({ value }) => value === wanted);
    const chosen = isThere ? wanted : options[0].value;
    const changed = chosen !== select.value;
    showOptions(page, select, options, chosen);
    if (changed) select.dispatchEvent(new Event("change"));
  };
  select.addEventListener("input", () => (wanted = select.value));
  const closed = new AbortController();
  for (const type of ["people", "call"]) page.events.addEventListener(type, draw, { signal: closed.signal });
  for (const type of ["change", "screen"]) page.media.addEventListener(type, draw, { signal: closed.signal });
  draw();
  return {
    root,
    select,
    chosen: () => pictures(page).find((picture) => picture.id === select.value) ?? null,
    close: () => closed.abort(),
  };
}
