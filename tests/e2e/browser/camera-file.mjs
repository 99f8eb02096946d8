/** A camera whose picture is known: a person in front of a green screen. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterwards } from "./afterwards.mjs";
import { FAKE_DEVICES, launchChromium } from "./browsers.mjs";

/** Size of the picture, of which the person takes the square in the middle. */
const SIZE = { width: 640, height: 360 };

/** Parts of the picture: the green screen, and the face. */
export const SCREEN = { x: 0.06, y: 0.5 };
export const FACE = { x: 0.466, y: 0.22 };

/** Colour of the green screen. */
export const GREEN = "#00b140";

const PERSON = new URL("pictures/astronaut.jpg", import.meta.url);

/**
 * A Chromium with that camera.
 * @param {import("node:test").TestContext} scenario
 * @param {import("playwright-core").Page} page Any page of the server, to draw the picture in.
 */
export async function withGreenScreen(scenario, page) {
  const person = (await readFile(PERSON)).toString("base64");
  const planes = await page.evaluate(drawPlanes, { person, ...SIZE, green: GREEN });
  const file = join(tmpdir(), `byway-camera-${process.pid}.y4m`);
  const header = `YUV4MPEG2 W${SIZE.width} H${SIZE.height} F30:1 Ip A1:1 C420jpeg\n`;
  const frame = Buffer.concat([Buffer.from("FRAME\n"), Buffer.from(planes, "base64")]);
  afterwards(scenario, () => rm(file));
  await writeFile(file, Buffer.concat([Buffer.from(header), frame, frame]));
  const devices = [FAKE_DEVICES, `--use-file-for-fake-video-capture=${file}`, "--use-fake-ui-for-media-stream"];
  const browser = await launchChromium({ devices });
  afterwards(scenario, () => browser.close());
  return browser;
}

/** Runs in the page. Returns the planes of brightness and of the two colours, in base64. */
async function drawPlanes({ person, width, height, green }) {
  const bytes = Uint8Array.from(atob(person), (letter) => letter.charCodeAt(0));
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = green;
  context.fillRect(0, 0, width, height);
  context.drawImage(await createImageBitmap(new Blob([bytes])), (width - height) / 2, 0, height, height);
  const { data } = context.getImageData(0, 0, width, height);
  const at = (x, y) => data.subarray(4 * (y * width + x), 4 * (y * width + x) + 3);
  const plane = (step, [r, g, b], offset) => {
    const values = [];
    for (let y = 0; y < height; y += step) {
      for (let x = 0; x < width; x += step) {
        const [red, green_, blue] = at(x, y);
        // Limited range, as cameras have it.
        values.push(Math.round(offset + (r * red + g * green_ + b * blue) / 255));
      }
    }
    return values;
  };
  const planes = [
    ...plane(1, [65.5, 128.6, 25], 16), ...plane(2, [-37.8, -74.2, 112], 128), ...plane(2, [112, -93.8, -18.2], 128),
  ];
  let text = "";
  for (const value of planes) text += String.fromCharCode(value);
  return btoa(text);
}
