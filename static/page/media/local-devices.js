/** Camera and microphone of this person, and the stream of their tracks. */

import { BywayError } from "../../byway.js";
import { isMobile, pictureConstraints, soundConstraints } from "./constraints.js";
import { Device, KINDS, TRACK_KIND } from "./device.js";
import { DEFAULT_BACKGROUND, PictureChain } from "./picture-chain.js";
import { SoundChain } from "./sound-chain.js";

/** @typedef {import("./device.js").Kind} Kind */
/** @typedef {import("./device.js").Choice} Choice */
/** @typedef {import("./notice.js").Notice} Notice */
/** @typedef {import("./constraints.js").Processing} Processing */
/** @typedef {import("./constraints.js").Resolution} Resolution */

/** Time after which a camera that is off is stopped. Until then peers get black pictures. */
const RELEASE_MS = 1500;

/** A device that ends sooner than this is broken, and is not replaced. */
const BROKEN_MS = 2000;

/**
 * Devices and their requests. Requests run one after the other, since two prompts at once hide each
 * other. `close` aborts them, and stops the tracks that a browser delivers later.
 */
export class LocalDevices {
  /** Tracks that are sent. Always the same object. */
  stream = new MediaStream();
  camera = new Device("camera");
  microphone = new Device("microphone");

  #session = new AbortController();
  /** @type {Promise<void>} */
  #queue = Promise.resolve();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #releaseTimer;

  /**
   * @param {import("./opener.js").Opener} opener
   * @param {import("./preferences.js").Preferences} preferences
   * @param {(kind: Kind | "list", notice?: Notice | null) => void} changed
   */
  constructor(opener, preferences, changed) {
    this.opener = opener;
    this.list = opener.list;
    this.preferences = preferences;
    this.changed = changed;
    for (const kind of KINDS) this[kind].choice = preferences.choice(`${kind}-device`);
    this.sound = new SoundChain(preferences.get("noise", false), (track, notice) => {
      this.microphone.track = track;
      this.microphone.enable();
      this.#sync("microphone", notice);
    });
    this.picture = new PictureChain(preferences.get("background", DEFAULT_BACKGROUND), (track, notice) => {
      this.camera.track = track;
      this.camera.enable();
      this.#sync("camera", notice);
    });
  }

  /** @param {{ camera: boolean, microphone: boolean }} asked */
  open(asked) {
    return this.#run(async (signal) => {
      const missing = KINDS.filter((kind) => asked[kind] && this[kind].wanted && !this[kind].live);
      if (!missing.length) return;
      await this.list.refresh();
      await this.#open(missing, signal);
      if (!signal.aborted) await this.list.refresh();
      for (const kind of missing) if (!signal.aborted) await this.#findByName(kind, signal);
      if (!signal.aborted) this.changed("list");
    });
  }

  /** @param {Kind} kind @param {boolean} on */
  async setEnabled(kind, on) {
    const device = this[kind];
    device.wanted = on;
    if (on && !device.live) return this.open({ camera: kind === "camera", microphone: kind === "microphone" });
    if (device.live) device.error = null;
    device.enable();
    if (kind === "camera") this.#scheduleRelease();
    this.changed(kind);
  }

  /** @param {Kind} kind @param {string} deviceId Empty for the default. */
  choose(kind, deviceId) {
    return this.#run(async (signal) => {
      const device = this[kind];
      const listed = this.list.lists[kind].find((candidate) => candidate.deviceId === deviceId);
      const choice = listed ?? { deviceId, label: "" };
      if (device.live && device.deviceId === deviceId) return this.#remember(kind, choice);
      if (device.wanted) {
        const done = await this.#switch(kind, exactly(deviceId), signal);
        if (done && deviceId) this.#rememberOpen(kind);
        else if (done) this.#remember(kind, choice);
        return;
      }
      this.#release(kind);
      this.#remember(kind, choice);
      this.#sync(kind);
    });
  }

  flip() {
    return this.#run(async (signal) => {
      const { live, facing } = this.camera;
      if (!live) return;
      const other = facing === "environment" ? "user" : "environment";
      const done = await this.#switch("camera", { facingMode: { exact: other } }, signal, UNFLIPPED[other]);
      if (done) this.#rememberOpen("camera");
    });
  }

  /** @param {Resolution} resolution */
  setResolution(resolution) {
    return this.#run(async (signal) => {
      this.opener.resolution = resolution;
      if (!this.camera.live) return;
      try {
        await this.camera.source?.applyConstraints({ ...this.picture.constraints, ...pictureConstraints(resolution) });
        this.camera.error = null;
      } catch (cause) {
        this.camera.error = new BywayError("camera-overconstrained", TOO_MUCH, { cause });
      }
      if (!signal.aborted) this.changed("camera");
    });
  }

  /**
   * Switches sound processing. A browser that cannot do so on an open microphone opens it again.
   * @param {Processing} change
   */
  setProcessing(change) {
    return this.#run(async (signal) => {
      this.opener.processing = { ...this.opener.processing, ...change };
      const { source, live } = this.microphone;
      if (!live || !source) return;
      await source.applyConstraints(soundConstraints(this.opener.processing)).catch(() => {});
      const { deviceId, ...now } = source.getSettings();
      const settings = /** @type {Record<string, unknown>} */ (now);
      const applied = Object.entries(change).every(([name, wanted]) => settings[name] === wanted);
      if (!applied && !signal.aborted) await this.#switch("microphone", exactly(deviceId), signal);
      if (!signal.aborted) this.changed("microphone");
    });
  }

  close() {
    this.#session.abort();
    this.#session = new AbortController();
    this.#queue = Promise.resolve();
    clearTimeout(this.#releaseTimer);
    for (const kind of KINDS) {
      this.#release(kind);
      this[kind].error = null;
      this.#sync(kind);
    }
  }

  // --- Requests ---

  /**
   * Runs a request after those before it.
   * @param {(signal: AbortSignal) => Promise<void> | void} request
   */
  #run(request) {
    const { signal } = this.#session;
    const done = this.#queue.then(() => (signal.aborted ? undefined : request(signal)));
    return (this.#queue = done.catch((error) => console.warn(error)));
  }

  /**
   * @param {Kind[]} kinds @param {AbortSignal} signal
   * @param {Record<Kind, Choice | null>} [choices]
   */
  async #open(kinds, signal, choices = { camera: this.camera.choice, microphone: this.microphone.choice }) {
    const opened = await this.opener.open(kinds, choices, signal);
    if (signal.aborted) return;
    for (const kind of kinds) {
      const { track, error } = opened[kind] ?? {};
      if (track) this.#adopt(kind, track);
      else this.#fail(kind, error ?? new BywayError(`${kind}-failed`));
    }
  }

  /**
   * Replaces a device by another one. Keeps the earlier one if that fails.
   * @param {Kind} kind @param {MediaTrackConstraints} which @param {AbortSignal} signal
   * @param {() => BywayError} [unmet] Error of a machine that has no such device.
   * @returns {Promise<boolean>} Whether the other one is open.
   */
  async #switch(kind, which, signal, unmet) {
    const device = this[kind];
    const request = async () => (await this.opener.request([kind], { [kind]: which }, signal))[kind];
    const before = device.live ? device.source : null;
    const beforeChoice = before && { deviceId: before.getSettings().deviceId ?? "", label: before.label };
    if (isMobile()) before?.stop();
    let opened = await request();
    // Some systems open no second device of a kind.
    if (!signal.aborted && before?.readyState === "live" && /-(busy|failed)$/.test(opened?.error?.code ?? "")) {
      before.stop();
      opened = await request();
    }
    if (signal.aborted) return false;
    if (opened?.track) {
      this.#adopt(kind, opened.track);
      return true;
    }
    let error = opened?.error ?? new BywayError(`${kind}-failed`);
    if (unmet && error.code.endsWith("-overconstrained")) error = unmet();
    if (!before) this.#fail(kind, error);
    else if (device.source === before && before.readyState !== "live") {
      await this.#open([kind], signal, { camera: beforeChoice, microphone: beforeChoice });
    }
    if (!device.live || signal.aborted) return false;
    device.error = error;
    this.changed(kind, { key: `devices.kept-${kind}`, values: { name: device.label }, error });
    return false;
  }

  /**
   * Changes to the remembered device if it has another id today, which its name tells only after
   * permission.
   * @param {Kind} kind @param {AbortSignal} signal
   */
  async #findByName(kind, signal) {
    const device = this[kind];
    const found = this.list.find(kind, device.choice);
    if (!device.live || !found || found.deviceId === device.deviceId) return;
    if (await this.#switch(kind, { deviceId: { exact: found.deviceId } }, signal)) this.#rememberOpen(kind);
  }

  /** @param {Kind} kind */
  #rememberOpen(kind) {
    this.#remember(kind, { deviceId: this[kind].deviceId, label: this[kind].label });
  }

  /** @param {Kind} kind @param {Choice} choice */
  #remember(kind, choice) {
    this[kind].choice = choice.deviceId ? choice : null;
    this.preferences.set(`${kind}-device`, choice);
  }

  // --- Tracks ---

  /** @param {Kind} kind @param {MediaStreamTrack} track */
  #adopt(kind, track) {
    const device = this[kind];
    device.take(track);
    track.addEventListener("ended", () => this.#lost(kind, track));
    for (const type of ["mute", "unmute"]) {
      track.addEventListener(type, () => {
        if (device.source !== track) return;
        // Phones pause the camera of a hidden page.
        const isNews = type === "mute" && document.visibilityState === "visible";
        this.changed(kind, isNews ? { key: `devices.${kind}-interrupted` } : null);
      });
    }
    device.track = this.#chain(kind).take(track);
    device.enable();
    if (kind === "camera") this.#scheduleRelease();
    this.#sync(kind);
  }

  /** @param {Kind} kind @param {BywayError} error @param {Notice | null} [notice] */
  #fail(kind, error, notice = null) {
    this[kind].fail(error);
    this.#chain(kind).close();
    this.#sync(kind, notice);
  }

  /** @param {Kind} kind */
  #release(kind) {
    this[kind].release();
    this.#chain(kind).close();
  }

  /** @param {Kind} kind */
  #chain(kind) {
    return kind === "camera" ? this.picture : this.sound;
  }

  /**
   * Makes the stream hold the live track of this kind.
   * @param {Kind} kind @param {Notice | null} [notice]
   */
  #sync(kind, notice = null) {
    const device = this[kind];
    const track = device.live ? device.track : null;
    for (const old of this.stream.getTracks()) {
      if (old.kind === TRACK_KIND[kind] && old !== track) this.stream.removeTrack(old);
    }
    if (track) this.stream.addTrack(track);
    this.changed(kind, notice);
  }

  /** Stops a camera that stays off, so that its light goes out. */
  #scheduleRelease() {
    clearTimeout(this.#releaseTimer);
    if (this.camera.wanted) return;
    this.#releaseTimer = setTimeout(() => {
      if (this.camera.wanted || !this.camera.live) return;
      this.#release("camera");
      this.#sync("camera");
    }, RELEASE_MS);
  }

  /**
   * Replaces a device that was unplugged, or whose permission was taken back, by the default one.
   * @param {Kind} kind @param {MediaStreamTrack} track
   */
  #lost(kind, track) {
    return this.#run(async (signal) => {
      const device = this[kind];
      if (device.source !== track) return;
      const gone = { key: "devices.gone", values: { name: track.label } };
      const isBroken = performance.now() - device.openedAt < BROKEN_MS;
      if (isBroken) return this.#fail(kind, new BywayError(`${kind}-failed`), gone);
      if (kind === "camera" && !device.wanted) {
        this.#release(kind);
        return this.#sync(kind, gone);
      }
      await this.#open([kind], signal, { camera: null, microphone: null });
      if (!signal.aborted) await this.list.refresh();
      if (signal.aborted) return;
      const replaced = { key: "devices.replaced", values: { name: track.label, other: device.label } };
      this.changed(kind, device.live ? replaced : gone);
      this.changed("list");
    });
  }
}

/** @param {string | undefined} deviceId @returns {MediaTrackConstraints} */
const exactly = (deviceId) => (deviceId ? { deviceId: { exact: deviceId } } : {});

/** Errors for a camera side that is missing. */
const UNFLIPPED = {
  user: () => new BywayError("no-front-camera", "This device has no front camera that can be used."),
  environment: () => new BywayError("no-back-camera", "This device has no back camera that can be used."),
};

const TOO_MUCH = "No camera here can do what was asked. Choose another camera, or a smaller picture.";
