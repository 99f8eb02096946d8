/** Recordings of the call page: made by its controls, and read as files. */
import { readFile } from "node:fs/promises";

import { eventually } from "./eventually.mjs";

/** First bytes of a file by its extension: offset and hexadecimal bytes. */
export const MAGIC = {
  mp4: [4, "66747970"],
  m4a: [4, "66747970"],
  webm: [0, "1a45dfa3"],
  weba: [0, "1a45dfa3"],
  mkv: [0, "1a45dfa3"],
  ogg: [0, "4f676753"],
  wav: [0, "52494646"],
};

/** Opens the panel, and waits until its formats are tried. */
export async function openPanel(page) {
  if ((await page.getAttribute("#record", "aria-expanded")) === "false") await page.click("#record");
  await page.locator("#record-start").waitFor();
  // Sound in WAV is made by every browser, and is listed with the last ones.
  await page.locator("#record-format option[value='convert:audio/wav']").waitFor({ state: "attached" });
}

/** Starts a recording, and waits until it is written. */
export async function start(page, { what = "all", format } = {}) {
  await openPanel(page);
  await page.selectOption("#record-what", what);
  if (format) await page.selectOption("#record-format", format);
  await page.click("#record-start");
  await page.locator("#record-pause:not([hidden])").waitFor();
  const at = Date.now();
  await written(page, 1);
  return at;
}

/** Waits until this number of kilobytes is written. */
export const written = (page, kilobytes) =>
  eventually(`${kilobytes} kB are written`, async () => {
    const [, size, unit] = /([\d.]+) (kB|MB)$/.exec(await page.locator("#record-state").innerText()) ?? [];
    return Number(size) * (unit === "MB" ? 1_000 : 1) >= kilobytes || null;
  });

/** Waits until the newest of this number of recordings is finished. */
export const finished = (page, count = 1) =>
  eventually(`${count} recordings are finished`, async () =>
    (await page.locator("#recordings li[data-state=done] a[download]").count()) === count || null, 30_000);

/**
 * Records a picture of the call in every format and puts the recordings into the list. Several run
 * at a time, which the panel cannot: most of the cost is that of the call meanwhile.
 *
 * @param {import("playwright-core").Page} page
 * @param {{ picture: string, atOnce: number }} options
 * @returns {Promise<string[]>} Values of the formats, in the order of the list.
 */
export const recordInAllFormats = (page, options) =>
  page.evaluate(async ({ picture: id, atOnce }) => {
    const { Recorder, recorderOf } = await import("/page/panels/record/recorder.js");
    const { convertedFormats, recordedFormats } = await import("/page/panels/record/formats.js");
    const { onePicture } = await import("/page/panels/record/subject.js");
    const { pictures } = await import("/page/pictures.js");
    const list = recorderOf(null);
    const picture = pictures(list.page).find((candidate) => candidate.id === id);
    const recorded = recordedFormats();
    const formats = [...recorded, ...(await convertedFormats(recorded))];
    const recorders = Array.from({ length: atOnce }, () => new Recorder(list.page));
    const isWritten = async ({ running }) => {
      while (running.file.size < 1_000) await new Promise((resolve) => setTimeout(resolve, 50));
    };
    for (let next = 0; next < formats.length; next += atOnce) {
      const group = formats.slice(next, next + atOnce);
      await Promise.all(group.map((format, index) => recorders[index].start(onePicture(list.page, picture), format, null)));
      const running = recorders.slice(0, group.length);
      await Promise.all(running.map(isWritten));
      await Promise.all(running.map((recorder) => recorder.stop()));
      list.items.push(...running.flatMap((recorder) => recorder.items.splice(0)));
    }
    list.dispatchEvent(new Event("change"));
    return list.items.map(({ meta }) => meta.format.value);
  }, options);

/** Downloads a recording of the list, by default the newest. */
export async function download(page, index = 0) {
  const waiting = page.waitForEvent("download");
  await page.locator("#recordings a[download]").nth(index).click();
  const file = await waiting;
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}

/**
 * Plays the newest recording's metadata and shows it at these times.
 *
 * @param {import("playwright-core").Page} page
 * @param {number[]} parts Places to seek, as parts of the duration.
 * @param {[number, number][]} points Pixels to read there, as parts of the picture.
 * @param {number} index Number of the recording in the list, newest first.
 */
export const look = (page, parts = [0.5], points = [[0.5, 0.5]], index = 0) =>
  page.evaluate(async ([parts, points, index]) => {
    const player = document.querySelectorAll("#recordings :is(video, audio)")[index];
    const within = (type) => new Promise((resolve, reject) => {
      player.addEventListener(type, resolve, { once: true });
      setTimeout(() => reject(new Error(`no ${type}: ${player.error?.message}`)), 10_000);
    });
    player.preload = "auto";
    if (player.readyState < 1) await within("loadedmetadata");
    const { duration, videoWidth: width = 0, videoHeight: height = 0 } = player;
    const frames = [];
    const canvas = new OffscreenCanvas(width || 1, height || 1);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    for (const part of parts) {
      const seeked = within("seeked");
      player.currentTime = duration * part;
      await seeked;
      if (!width) continue;
      if (player.readyState < 2) await within("canplay");
      context.drawImage(player, 0, 0);
      frames.push(points.map(([x, y]) => [...context.getImageData(width * x, height * y, 1, 1).data].slice(0, 3)));
    }
    return { duration, width, height, frames };
  }, [parts, points, index]);

/**
 * Decodes the sound of a file: seconds, and how loud tones of these frequencies are (0 to 1).
 */
export const listen = (page, bytes, frequencies = []) =>
  page.evaluate(async ([base64, frequencies]) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const context = new OfflineAudioContext(1, 48_000, 48_000);
    const sound = await context.decodeAudioData(bytes.buffer);
    const samples = sound.getChannelData(0);
    const loudness = frequencies.map((frequency) => {
      let [real, imaginary] = [0, 0];
      const step = (2 * Math.PI * frequency) / 48_000;
      for (const [index, sample] of samples.entries()) {
        real += sample * Math.cos(step * index);
        imaginary += sample * Math.sin(step * index);
      }
      return (2 * Math.hypot(real, imaginary)) / samples.length;
    });
    const peakOf = (part) => part.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
    return { seconds: sound.duration, loudness, peak: peakOf(samples), lastPeak: peakOf(samples.slice(-48_000)) };
  }, [bytes.toString("base64"), frequencies]);

/**
 * Makes a page send a picture of one color and a tone, in place of its devices.
 */
export const sendColor = (page, color, hertz) =>
  page.evaluate(async ([color, hertz]) => {
    window.color = color;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [320, 180];
    const context = canvas.getContext("2d");
    setInterval(() => {
      context.fillStyle = window.color;
      context.fillRect(0, 0, 320, 180);
    }, 50);
    const audio = new AudioContext();
    const tone = new OscillatorNode(audio, { frequency: hertz });
    const target = new MediaStreamAudioDestinationNode(audio);
    tone.connect(new GainNode(audio, { gain: 0.3 })).connect(target);
    tone.start();
    const stream = new MediaStream([...canvas.captureStream(15).getTracks(), ...target.stream.getTracks()]);
    await document.querySelector("#call").call.setStream(stream);
  }, [color, hertz]);
