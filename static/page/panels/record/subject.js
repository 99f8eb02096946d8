/** Subject of a recording: pictures and sounds, read again whenever the call changes. */

import { pictures } from "../../pictures.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../person.js").Person} Person */
/** @typedef {import("../../pictures.js").Picture} Picture */
/** @typedef {import("./paint.js").Scene} Scene */
/** @typedef {import("./paint.js").Entry} Entry */
/**
 * @typedef {object} Content
 * @property {Scene} scene
 * @property {Map<string, MediaStreamTrack>} videos By the key of their entry.
 * @property {Set<MediaStreamTrack>} sounds
 */

/**
 * @typedef {object} Subject
 * @property {string} label Name of the recording.
 * @property {() => Content} content
 * @property {() => { width: number, height: number }} size
 * @property {Promise<unknown>} [ended] Resolves when nothing is left to record.
 * @property {() => void} [close]
 */

/** Picture of a composed recording. */
const ALL_SIZE = { width: 1280, height: 720 };
/** Largest picture of a recording of one. */
const LARGEST = { width: 1920, height: 1080 };
const EVENTS = ["people", "call"];

/** @param {MediaStream | null | undefined} stream @param {"audio" | "video"} kind */
const liveTracks = (stream, kind) =>
  (stream?.getTracks() ?? []).filter((track) => track.kind === kind && track.readyState === "live");

/** Sounds of a person: microphone, and that of the shared screen. @param {Person} person */
const soundsOf = ({ peer }) => [...liveTracks(peer.stream, "audio"), ...liveTracks(peer.streams.get("screen"), "audio")];

/** @param {Page} page */
const ownSounds = ({ media }) => liveTracks(media.stream, "audio");

/** All people and screens, laid out as in the call. @param {Page} page @returns {Subject} */
export const everybody = (page) => ({
  label: page.say("record.call-name"),
  size: () => ALL_SIZE,
  content() {
    const shown = pictures(page);
    /** @type {Map<string, MediaStreamTrack>} */
    const videos = new Map();
    /** @type {Entry[]} */
    const entries = [];
    /** @type {number | null} */
    let large = null;
    const add = (/** @type {string} */ key, /** @type {string} */ name, /** @type {"camera" | "screen"} */ purpose) => {
      const picture = shown.find(({ id }) => id === key);
      if (!picture && purpose === "screen") return;
      const [track] = liveTracks(picture?.stream, "video");
      if (track) videos.set(key, track);
      if (purpose === "screen" || picture?.video?.closest(".tile.large")) large = entries.length;
      const note = track ? "" : page.say("camera.off");
      entries.push({ key, name, note, whole: purpose === "screen" });
    };
    // For who sees the recording later, "You" would be nobody.
    const own = page.remember.get("name") || page.say("call.you");
    add("own-camera", own, "camera");
    add("own-screen", own, "screen");
    for (const { shortName, peer } of page.people.values()) {
      add(`camera-${peer.id}`, shortName, "camera");
      add(`screen-${peer.id}`, shortName, "screen");
    }
    const sounds = new Set([...ownSounds(page), ...liveTracks(page.media.screen, "audio"), ...[...page.people.values()].flatMap(soundsOf)]);
    return { scene: { entries, large, pair: entries.length === 2 && page.people.size === 1 }, videos, sounds };
  },
});

/**
 * One picture of the call, with the sound of its person.
 * @param {Page} page @param {Picture} picture @returns {Subject}
 */
export function onePicture(page, picture) {
  const { id, label, person, purpose, stream, video } = picture;
  return {
    label,
    size() {
      const settings = liveTracks(stream, "video")[0]?.getSettings() ?? {};
      return fitted(video?.videoWidth || settings.width || 640, video?.videoHeight || settings.height || 360);
    },
    content() {
      const now = pictures(page).find((candidate) => candidate.id === id);
      const [track] = liveTracks(now?.stream, "video");
      const gone = Boolean(person && !page.people.has(person.peer));
      const note = track ? "" : gone ? page.say("record.left", { name: label }) : page.say("record.no-picture", { name: label });
      const sounds = person ? soundsOf(person) : [...ownSounds(page), ...(purpose === "screen" ? liveTracks(page.media.screen, "audio") : [])];
      return {
        scene: { entries: [{ key: id, name: "", note, whole: true }], large: null, pair: false },
        videos: new Map(track ? [[id, track]] : []),
        sounds: new Set(sounds),
      };
    },
  };
}

/**
 * A screen that only the recording sees, with the own microphone.
 * @param {Page} page @param {MediaStream} stream @returns {Subject}
 */
export const ownScreen = (page, stream) => ({
  label: page.say("record.screen-name"),
  size() {
    const { width, height } = liveTracks(stream, "video")[0]?.getSettings() ?? {};
    return fitted(width || 1280, height || 720);
  },
  content() {
    const [track] = liveTracks(stream, "video");
    return {
      scene: { entries: [{ key: "screen", name: "", note: "", whole: true }], large: null, pair: false },
      videos: new Map(track ? [["screen", track]] : []),
      sounds: new Set([...liveTracks(stream, "audio"), ...ownSounds(page)]),
    };
  },
  // The browser's own button ends the sharing.
  ended: new Promise((resolve) => liveTracks(stream, "video")[0]?.addEventListener("ended", resolve)),
  close: () => stream.getTracks().forEach((track) => track.stop()),
});

/** Even sides, as encoders want them. @param {number} width @param {number} height */
function fitted(width, height) {
  const scale = Math.min(1, LARGEST.width / width, LARGEST.height / height);
  const even = (/** @type {number} */ side) => Math.max(16, 2 * Math.round((side * scale) / 2));
  return { width: even(width), height: even(height) };
}

/**
 * Calls back when the content of a recording may have changed.
 * @param {Page} page @param {() => void} onChange
 * @returns {() => void} Ends that.
 */
export function watchCall(page, onChange) {
  const ended = new AbortController();
  const { signal } = ended;
  /** @type {WeakSet<object>} */
  const watched = new WeakSet();
  const changed = () => {
    for (const { peer } of page.people.values()) {
      if (watched.has(peer)) continue;
      watched.add(peer);
      // A new connection brings new tracks.
      for (const type of /** @type {const} */ (["connection", "streams", "media"])) peer.addEventListener(type, changed, { signal });
      peer.stream.addEventListener("addtrack", changed, { signal });
      peer.stream.addEventListener("removetrack", changed, { signal });
    }
    onChange();
  };
  for (const type of EVENTS) page.events.addEventListener(type, changed, { signal });
  for (const type of ["change", "screen"]) page.media.addEventListener(type, changed, { signal });
  changed();
  return () => ended.abort();
}
