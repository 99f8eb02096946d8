/** Camera, microphone, speaker and shared screen of this person. */

import { watchLevel } from "./level.js";
import { DEFAULT_RESOLUTION, supported, supportedProcessing } from "./media/constraints.js";
import { DeviceList } from "./media/device-list.js";
import { LocalDevices } from "./media/local-devices.js";
import { MediaChange, undoKey } from "./media/notice.js";
import { Opener } from "./media/opener.js";
import { Preferences } from "./media/preferences.js";
import { ScreenShare, canShareScreen } from "./media/screen.js";

/** @typedef {import("./media/device.js").Kind} Kind */
/** @typedef {import("./media/device.js").Status} Status */
/** @typedef {import("./media/constraints.js").Resolution} Resolution */
/** @typedef {import("./media/constraints.js").Processing} Processing */
/** @typedef {import("./media/notice.js").Notice} Notice */
/** @typedef {import("./media/picture-chain.js").Background} Background */
/** @typedef {"on" | "off" | "none" | "refused" | "busy"} State */

/** States of the client module by status. @type {Record<Status, State>} */
const STATES = {
  on: "on",
  off: "off",
  unasked: "none",
  none: "none",
  refused: "refused",
  busy: "busy",
  failed: "busy",
};

/**
 * Local devices. Methods never reject: the reason of a failure is in `camera.error` or
 * `microphone.error`, also while the earlier device goes on.
 *
 * Events: `change`, with `detail.kind` (camera, microphone, speaker, list) and `detail.notice`
 * ({@link Notice} to tell once, or null; `sentenceOf` of media/notice.js words it). `screen`, with
 * `detail.error` (BywayError or null).
 */
export class LocalMedia extends EventTarget {
  #list = new DeviceList();
  #screen = new ScreenShare((error) => this.dispatchEvent(new CustomEvent("screen", { detail: { error } })));
  /** @type {LocalDevices} */
  #devices;
  #opener;

  /** @param {{ remember: import("./media/preferences.js").Remember }} page */
  constructor({ remember }) {
    super();
    this.preferences = new Preferences(remember);
    this.speakerId = this.preferences.choice("speaker-device")?.deviceId ?? "";
    this.mirrorWanted = this.preferences.get("mirror", true);
    /** @type {Processing} */
    const processing = this.preferences.get("sound", {});
    this.#opener = new Opener(this.#list, this.preferences.get("resolution", DEFAULT_RESOLUTION), processing);
    this.#devices = new LocalDevices(this.#opener, this.preferences, (kind, notice) => this.#changed(kind, notice));
    /** Tracks that are sent. Always the same object. */
    this.stream = this.#devices.stream;
    this.camera = this.#devices.camera;
    this.microphone = this.#devices.microphone;
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#devicesChanged());
  }

  /** States of both devices, as `setMedia` of the client module wants them. */
  get states() {
    return { microphone: STATES[this.microphone.status], camera: STATES[this.camera.status] };
  }

  /** Names and ids of the devices: `camera`, `microphone` and `speaker`. */
  get lists() {
    return this.#list.lists;
  }

  /** Whether the own picture is shown mirrored: never that of a back camera. */
  get mirrored() {
    return this.mirrorWanted && this.camera.facing !== "environment";
  }

  /** Picture that is asked for. The camera's settings say what came. */
  get resolution() {
    return this.#opener.resolution;
  }

  /** Sound processing that this browser can switch, and whether it is on. @returns {Processing} */
  get processing() {
    const settings = /** @type {Record<string, any>} */ (this.microphone.source?.getSettings() ?? {});
    const switched = this.#opener.processing;
    return Object.fromEntries(supportedProcessing().map((name) => [name, settings[name] ?? switched[name] ?? true]));
  }

  /** Whether the noise suppressor is switched on. */
  get noiseSuppression() {
    return this.#devices.sound.wanted;
  }

  /** Whether the noise suppressor works on the sound that is sent. */
  get noiseSuppressed() {
    return Boolean(this.microphone.track && this.microphone.track !== this.microphone.source);
  }

  /** Settings of the virtual background. @returns {Background} */
  get background() {
    return this.#devices.picture.settings;
  }

  /**
   * `preparing`: nothing is sent until it is there. `failed`: the others see the room.
   * `unsupported`: this browser cannot replace it, and nothing is sent.
   */
  get backgroundState() {
    return this.#devices.picture.state;
  }

  /** Shared screen, or null. */
  get screen() {
    return this.#screen.stream;
  }

  get canShareScreen() {
    return canShareScreen();
  }

  /** Whether the browser plays sound on a chosen speaker. */
  get canChooseSpeaker() {
    return "setSinkId" in HTMLMediaElement.prototype;
  }

  /** Constraints that this browser knows. */
  get supported() {
    return supported();
  }

  /** Key of the words that tell how to undo a refusal in this browser. */
  get undoKey() {
    return undoKey();
  }

  /**
   * Opens the devices that are missing. A device that the person has switched off stays closed.
   * @param {{ camera?: boolean, microphone?: boolean }} [kinds]
   */
  open({ camera = true, microphone = true } = {}) {
    return this.#devices.open({ camera, microphone });
  }

  /**
   * Switches a device on or off. A camera that stays off is stopped, and opened again later.
   * @param {Kind} kind @param {boolean} on
   */
  setEnabled(kind, on) {
    return this.#devices.setEnabled(kind, on);
  }

  /**
   * Chooses a device from the lists. A device that is off is opened when it is switched on.
   * @param {Kind} kind @param {string} deviceId Empty for the default.
   */
  choose(kind, deviceId) {
    return this.#devices.choose(kind, deviceId);
  }

  /** Changes between the front and the back camera. */
  flip() {
    return this.#devices.flip();
  }

  /** @param {Resolution} resolution */
  setResolution(resolution) {
    this.preferences.set("resolution", resolution);
    return this.#devices.setResolution(resolution);
  }

  /** Switches the browser's own sound processing. @param {Processing} change */
  async setProcessing(change) {
    await this.#devices.setProcessing(change);
    this.preferences.set("sound", this.#opener.processing);
  }

  /** Resolves when the suppressor runs, failed, or is off. @param {boolean} on */
  async setNoiseSuppression(on) {
    this.preferences.set("noise", on);
    await this.#devices.sound.setWanted(on);
    this.#changed("microphone");
  }

  /** @param {Partial<Background>} change */
  setBackground(change) {
    const settings = { ...this.background, ...change };
    // A file is forgotten with the page.
    this.preferences.set("background", settings.behind === "file" ? { ...settings, behind: "dusk" } : settings);
    this.#devices.picture.set(settings);
    this.#changed("camera");
  }

  /** @param {boolean} on */
  setMirror(on) {
    this.mirrorWanted = on;
    this.preferences.set("mirror", on);
    this.#changed("camera");
  }

  /** @param {string} deviceId Empty for the default speaker. */
  async chooseSpeaker(deviceId) {
    const choice = this.lists.speaker.find((candidate) => candidate.deviceId === deviceId) ?? { deviceId, label: "" };
    try {
      await new Audio().setSinkId?.(deviceId);
    } catch {
      return this.#changed("speaker", { key: "devices.speaker-failed", values: { name: choice.label } });
    }
    this.speakerId = deviceId;
    this.preferences.set("speaker-device", choice);
    this.#changed("speaker");
  }

  /** Reads the lists again, for example after the browser's own list of speakers. */
  async refreshLists() {
    await this.#list.refresh();
    this.#changed("list");
  }

  /**
   * Reports how loud the microphone is.
   * @param {(level: number) => void} onLevel Gets 0 to 1.
   * @returns {() => void} Stops the meter.
   */
  watchLevel(onLevel) {
    return watchLevel(() => this.microphone.source, onLevel);
  }

  /**
   * Opens the browser's picker; only in a click.
   * @returns {Promise<MediaStream | null>} Null if nothing was chosen or it failed.
   */
  shareScreen() {
    return this.#screen.start();
  }

  stopSharing() {
    this.#screen.stop();
  }

  /** Stops everything, also what a browser delivers later. Choices and switches stay. */
  close() {
    this.#screen.stop();
    this.#devices.close();
  }

  async #devicesChanged() {
    const { added, removed } = await this.#list.refresh();
    const speaker = removed.find(({ kind, deviceId }) => kind === "speaker" && deviceId === this.speakerId);
    if (speaker) {
      this.speakerId = "";
      this.#changed("speaker", { key: "devices.speaker-gone", values: { name: speaker.label } });
    }
    // A headset comes as microphone and speaker, and is one device to a person.
    const name = [...new Set(added.map(({ label }) => label))].join(", ");
    this.#changed("list", name ? { key: "devices.came", values: { name } } : null);
  }

  /** @param {"camera" | "microphone" | "speaker" | "list"} kind @param {Notice | null} [notice] */
  #changed(kind, notice = null) {
    this.dispatchEvent(new MediaChange(kind, notice));
  }
}
