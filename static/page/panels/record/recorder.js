/** Running recording of this page, and the finished ones. They outlive the panel and the call. */

import { datedName } from "../../file-names.js";
import { Mixer } from "./sound.js";
import { createStage } from "./stage.js";
import { RecordingFile, describe, earlier, fileOf, removeFiles } from "./storage.js";
import { watchCall } from "./subject.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("./formats.js").Format} Format */
/** @typedef {import("./storage.js").Meta} Meta */
/** @typedef {import("./subject.js").Subject} Subject */

/**
 * Finished recording, or one that is being finished.
 * @typedef {object} Item
 * @property {Meta} meta
 * @property {"finishing" | "done" | "failed"} state
 * @property {number} progress 0 to 1, while it is being finished.
 * @property {Blob | null} blob
 * @property {string} url
 * @property {string} fileName
 * @property {string} note Sentence on what went wrong, or nothing.
 */

const FPS = 25;
/** Time between two writes: at most this is lost in a crash. */
const SLICE_MS = 1_000;
/** Bits a second for each pixel, for the motion of people who talk. */
const BITS_PER_PIXEL = 2.5;
const AUDIO_BITRATE = 128_000;
const KEY_FRAME_MS = 2_000;

/** One recording while it runs. */
class Running {
  /** @type {"running" | "paused"} */
  state = "running";
  #stage;
  #mixer = new Mixer();
  /** @type {MediaRecorder} */ #recorder;
  #endWatch;
  #elapsedMs = 0;
  #since = 0;
  #writing = Promise.resolve();
  /** Resolves once the browser has given everything. @type {Promise<void>} */
  stopped;

  /**
   * @param {Page} page @param {Subject} subject @param {Format} format @param {RecordingFile} file
   * @param {(error: Error) => void} onTrouble
   */
  constructor(page, subject, format, file, onTrouble) {
    this.subject = subject;
    this.file = file;
    const size = subject.size();
    this.#stage = format.hasVideo ? createStage({ ...size, fps: FPS }) : null;
    const tracks = [this.#mixer.track, ...(this.#stage ? [this.#stage.track] : [])];
    this.#mixer.resume();
    this.#endWatch = watchCall(page, () => this.#show());
    this.#recorder = new MediaRecorder(new MediaStream(tracks), /** @type {MediaRecorderOptions} */ ({
      mimeType: format.recorded,
      videoBitsPerSecond: Math.round(size.width * size.height * BITS_PER_PIXEL),
      audioBitsPerSecond: AUDIO_BITRATE,
      // Chromium writes MP4 from one key frame to the next. It also makes seeking quick.
      videoKeyFrameIntervalDuration: KEY_FRAME_MS,
    }));
    let failed = false;
    const fail = (/** @type {Error} */ error) => {
      if (failed) return;
      failed = true;
      onTrouble(error);
    };
    this.#recorder.ondataavailable = ({ data }) => {
      if (!data.size || failed) return;
      this.#writing = this.#writing.then(() => (failed ? undefined : file.write(data))).catch(fail);
    };
    this.#recorder.onerror = (event) => fail(/** @type {any} */ (event).error ?? new Error("MediaRecorder"));
    this.#recorder.onstart = () => (this.#since = performance.now());
    this.stopped = new Promise((resolve) => (this.#recorder.onstop = () => resolve()));
    this.#recorder.start(SLICE_MS);
  }

  /** Recorded milliseconds, without pauses. */
  get elapsedMs() {
    return this.#elapsedMs + (this.#since ? performance.now() - this.#since : 0);
  }

  /** Takes what is to be seen and heard now. */
  #show() {
    const { scene, videos, sounds } = this.subject.content();
    this.#stage?.show(scene, videos);
    this.#mixer.mix(sounds);
  }

  pause() {
    if (this.state === "paused" || this.#recorder.state !== "recording") return;
    this.#recorder.pause();
    this.#elapsedMs = this.elapsedMs;
    this.#since = 0;
    this.state = "paused";
    this.#stage?.setIdle(true);
  }

  resume() {
    if (this.state !== "paused") return;
    this.#stage?.setIdle(false);
    this.#recorder.resume();
    this.#since = performance.now();
    this.state = "running";
  }

  /** Resolves once everything is written. */
  async stop() {
    this.#elapsedMs = this.elapsedMs;
    this.#since = 0;
    this.#endWatch();
    if (this.#recorder.state !== "inactive") {
      this.#recorder.stop();
      await this.stopped;
    }
    this.#stage?.close();
    this.#mixer.close();
    this.subject.close?.();
    await this.#writing;
  }
}

/**
 * Recordings of the page. Event `change`: anything but size and time changed.
 */
export class Recorder extends EventTarget {
  /** @type {Running | null} */
  running = null;
  /** Whether a recording is about to start. */
  starting = false;
  /** Newest first. @type {Item[]} */
  items = [];
  /** Sentence on the last failure, or nothing. */
  trouble = "";
  /** @type {Item | null} */ #current = null;
  /** @type {FileSystemFileHandle | null} */ #handle = null;
  #leaving = (/** @type {BeforeUnloadEvent} */ event) => event.preventDefault();

  /** @param {Page} page */
  constructor(page) {
    super();
    this.page = page;
    page.events.addEventListener("call", () => {
      if (!page.call) this.stop();
    });
    this.#restore();
  }

  get isActive() {
    return this.starting || this.running !== null;
  }

  /**
   * @param {Subject} subject @param {Format} format
   * @param {FileSystemFileHandle | null} handle File that the person chose for it.
   */
  async start(subject, format, handle) {
    if (this.isActive) return;
    this.starting = true;
    this.trouble = "";
    this.#changed();
    const { call } = this.page;
    const startedAt = Date.now();
    const id = `${startedAt}-${Math.random().toString(36).slice(2, 8)}`;
    /** @type {Meta} */
    const meta = { id, name: datedName("recording", subject.label, new Date(startedAt)), startedAt, format, duration: null };
    const item = newItem(meta);
    const file = new RecordingFile(id, (progress) => {
      item.progress = progress;
      this.dispatchEvent(new CustomEvent("progress", { detail: item }));
    });
    await file.open();
    if (!file.inMemory) await describe(meta);
    this.starting = false;
    try {
      if (!call || this.page.call !== call) throw new DOMException("The call has ended.", "AbortError");
      this.running = new Running(this.page, subject, format, file, (error) => this.#failed(error));
    } catch (error) {
      console.warn(error);
      this.trouble = this.page.say("record.cannot-start");
      subject.close?.();
      file.close();
      removeFiles(id);
      return this.#changed();
    }
    this.#current = item;
    this.#handle = handle;
    subject.ended?.then(() => {
      if (this.#current === item) this.stop();
    });
    addEventListener("beforeunload", this.#leaving);
    this.page.notice("recording", this.page.say("record.on"), { text: this.page.say("record.stop"), act: () => this.stop() });
    this.page.announce(this.page.say("record.began"));
    this.#tell(true);
  }

  pause() {
    this.running?.pause();
    this.#changed();
  }

  resume() {
    this.running?.resume();
    this.#changed();
  }

  /** Ends the running recording, and makes its file. */
  async stop() {
    const { running } = this;
    const item = this.#current;
    if (!running || !item) return;
    this.running = this.#current = null;
    this.items.unshift(item);
    this.page.endNotice("recording");
    this.#tell(false);
    const seconds = running.elapsedMs / 1_000;
    await running.stop();
    await this.#finish(item, running.file, this.#handle, seconds);
    if (!this.isActive && !this.items.some(({ state }) => state === "finishing")) removeEventListener("beforeunload", this.#leaving);
  }

  /** @param {Item} item */
  remove(item) {
    URL.revokeObjectURL(item.url);
    this.items = this.items.filter((other) => other !== item);
    removeFiles(item.meta.id);
    this.#changed();
  }

  /** @param {Error} error */
  #failed(error) {
    console.warn(error);
    const isFull = error.name === "QuotaExceededError";
    const key = !isFull ? "record.broken" : this.running?.file.inMemory ? "record.memory-full" : "record.disk-full";
    this.trouble = this.page.say(key);
    this.page.announce(this.trouble);
    this.page.notice("recording-trouble", this.trouble, {
      text: this.page.say("record.dismiss"),
      act: () => this.page.endNotice("recording-trouble"),
    });
    this.stop();
  }

  /**
   * @param {Item} item @param {RecordingFile} file @param {FileSystemFileHandle | null} handle
   * @param {number | null} seconds Measured time, null for a recording of an earlier visit.
   */
  async #finish(item, file, handle, seconds) {
    const { meta } = item;
    const { say } = this.page;
    try {
      const { place, duration, blob, trouble } = await file.finish(meta.format, handle);
      if (place === "raw") asRecorded(meta);
      meta.duration = duration ?? seconds;
      item.fileName = `${meta.name}.${meta.format.extension}`;
      item.blob = blob ?? (await (place === "chosen" && handle ? handle.getFile() : fileOf(meta.id, place === "raw" ? "raw" : meta.format.extension)));
      if (place === "chosen") await removeFiles(meta.id);
      if (place === "disk" || place === "raw") await describe(meta);
      if (place === "raw") item.note = say("record.unfinished");
      else if (place === "memory" && !file.inMemory) item.note = say("record.in-memory");
      else if (trouble) item.note = say("record.not-chosen");
      item.state = "done";
    } catch (error) {
      console.warn(error);
      item.state = "failed";
      // A crash within the first second leaves nothing to tell of.
      if (seconds === null) this.items = this.items.filter((other) => other !== item);
      item.note = say(/** @type {Error} */ (error).name === "NotFoundError" ? "record.empty" : "record.lost");
      await removeFiles(meta.id);
    }
    file.close();
    if (item.blob) item.url = URL.createObjectURL(new Blob([item.blob], { type: meta.format.type.split(";")[0] }));
    if (seconds !== null) this.page.announce(item.note || say("record.saved"));
    this.#changed();
  }

  /** Lists the recordings of earlier visits, and finishes those that a crash ended. */
  async #restore() {
    for (const meta of await earlier()) {
      if (this.#current?.meta.id === meta.id || this.items.some((item) => item.meta.id === meta.id)) continue;
      const item = newItem(meta);
      if (meta.duration !== null) {
        item.state = "done";
        item.blob = await fileOf(meta.id, meta.format.extension).catch(() => fileOf(meta.id, "raw")).catch(() => null);
        if (!item.blob) continue;
        item.url = URL.createObjectURL(new Blob([item.blob], { type: meta.format.type.split(";")[0] }));
        this.items.push(item);
      } else {
        await this.#recover(item);
      }
      this.items.sort((a, b) => b.meta.startedAt - a.meta.startedAt);
      this.#changed();
    }
  }

  /** @param {Item} item */
  async #recover(item) {
    const file = new RecordingFile(item.meta.id, (progress) => (item.progress = progress));
    await file.open();
    // Another tab has it open: that one records.
    if (file.inMemory) return file.close();
    this.items.push(item);
    this.#changed();
    await this.#finish(item, file, null, null);
    if (item.state === "done") item.note ||= this.page.say("record.recovered");
  }

  /** Tells the others and the own page. @param {boolean} on */
  #tell(on) {
    this.page.recording = on;
    document.querySelector("#record")?.toggleAttribute("data-recording", on);
    this.page.tell("recording");
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {Meta} meta @returns {Item} */
const newItem = (meta) => ({
  meta, state: "finishing", progress: 0, blob: null, url: "", fileName: `${meta.name}.${meta.format.extension}`, note: "",
});

/** Extension of what the browser records, by its container. @type {Record<string, string>} */
const EXTENSIONS = {
  "video/mp4": "mp4", "video/webm": "webm", "video/x-matroska": "mkv", "audio/mp4": "m4a", "audio/webm": "weba", "audio/ogg": "ogg",
};

/** Describes a file that stays as the browser recorded it. @param {Meta} meta */
function asRecorded(meta) {
  const type = meta.format.recorded;
  meta.format = { ...meta.format, type, extension: EXTENSIONS[type.split(";")[0]] ?? meta.format.extension };
}

/** @type {Recorder | null} */
let recorder = null;

/** Recorder of the page. @param {Page} page */
export const recorderOf = (page) => (recorder ??= new Recorder(page));
