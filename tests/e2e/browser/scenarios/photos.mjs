import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { findsNothing } from "../axe.mjs";
import { withoutFirefox } from "../browsers.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { peers, says } from "../page.mjs";
import { screenOf } from "../screens.mjs";
import { call, firefox, join, room } from "../stage.mjs";

const FILTERS = [
  "blur", "brightness", "contrast", "grayscale", "hue-rotate", "invert", "opacity", "saturate-up", "saturate-down", "sepia",
  "drop-shadow",
];

/** Opens the panel and chooses the picture with this label. */
async function openPhoto(page, label) {
  await page.click("#photo");
  await page.selectOption("#photo-picture", { label });
  await page.locator("#photo-take:not(:disabled)").waitFor();
}

/** Takes a photo with a filter, and reads the pixels of its file. */
async function take(page, filter) {
  const before = await newest(page);
  await page.selectOption("#photo-filter", filter);
  await page.click("#photo-take");
  await eventually(`a photo with ${filter}`, async () => (await newest(page)) !== before || null);
  return page.locator("#photos img").first().evaluate(statisticsOf);
}

const newest = (page) => page.evaluate(() => document.querySelector("#photos img")?.src);

/** Runs in the page: size of an image, some of its pixels, and how much neighbours differ. */
async function statisticsOf(image) {
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const pixel = (x, y) => [...data.slice(4 * (y * width + x), 4 * (y * width + x) + 4)];
  let [energy, difference, least] = [0, 0, 255];
  for (let at = 0; at < data.length - 4; at += 4) {
    energy += (data[at + 5] - data[at + 1]) ** 2;
    difference = Math.max(difference, Math.abs(data[at] - data[at + 1]), Math.abs(data[at] - data[at + 2]));
    least = Math.min(least, data[at + 3]);
  }
  return {
    width, height, energy, difference, least,
    // The fake camera's background never changes.
    still: pixel(10, height - 10), corner: pixel(0, 0), middle: pixel(width / 2, height / 2), below: pixel(width / 2, height - 8),
  };
}

const isNear = (actual, expected, what) =>
  actual.forEach((value, index) => assert.ok(Math.abs(value - Math.min(255, Math.max(0, expected[index]))) <= 4, `${what}: ${actual}, not ${expected}`));
const spread = ([red, green, blue]) => Math.max(red, green, blue) - Math.min(red, green, blue);

/** Checks of each filter's photo of the fake camera. `plain` is the photo without a filter. */
const EXPECTED = {
  blur(photo, plain) {
    assert.ok(photo.energy < plain.energy / 2, `${photo.energy} of ${plain.energy}`);
    assert.equal(photo.least, 255, "edges stay opaque");
  },
  brightness: ({ still }, plain) => isNear(still, plain.still.map((value) => 1.5 * value), "brightness"),
  contrast: ({ still }, plain) => isNear(still.slice(0, 3), plain.still.map((value) => 1.6 * (value - 127.5) + 127.5), "contrast"),
  grayscale({ still, difference }, plain) {
    const [red, green, blue] = plain.still;
    assert.ok(difference <= 1, `red, green and blue differ by ${difference}`);
    isNear(still, [...Array(3).fill(0.2126 * red + 0.7152 * green + 0.0722 * blue), 255], "grayscale");
  },
  "hue-rotate"({ still: [red, green, blue] }, plain) {
    assert.ok(plain.still[1] > plain.still[2], `green: ${plain.still}`);
    assert.ok(blue > green && green > red, `turned by 90 degrees: ${[red, green, blue]}`);
  },
  invert: ({ still }, plain) => isNear(still, [...plain.still.slice(0, 3).map((value) => 255 - value), 255], "invert"),
  opacity({ still, least }, plain) {
    assert.ok(least >= 126 && least <= 129, `alpha ${least}`);
    isNear(still.slice(0, 3), plain.still, "opacity");
  },
  "saturate-up": ({ still }, plain) => assert.ok(spread(still) > 1.2 * spread(plain.still), `${still} of ${plain.still}`),
  "saturate-down": ({ still }, plain) => assert.ok(spread(still) < 0.6 * spread(plain.still), `${still} of ${plain.still}`),
  sepia({ still }, plain) {
    const [red, green, blue] = plain.still;
    isNear(still, [0.393 * red + 0.769 * green + 0.189 * blue, 0.349 * red + 0.686 * green + 0.168 * blue, 0.272 * red + 0.534 * green + 0.131 * blue, 255], "sepia");
  },
  "drop-shadow"({ corner, middle, below }) {
    assert.equal(corner[3], 0, "the corner is transparent");
    assert.equal(middle[3], 255, "the picture is opaque");
    assert.ok(below[3] > 20 && below[3] < 250 && Math.max(...below.slice(0, 3)) < 20, `a shadow: ${below}`);
  },
};

test("each filter changes the photo of another person as its name says, also where the browser has none", async (scenario) => {
  const pages = await call(scenario, room(scenario), { name: "Ada" });
  await videoFlows(...pages);
  // As in Safari.
  await pages[1].evaluate(() => delete CanvasRenderingContext2D.prototype.filter);
  for (const page of pages) {
    await openPhoto(page, "Ada");
    const plain = await take(page, "none");
    const { width, height } = await page.evaluate(() => document.querySelector(".peer video").srcObject.getVideoTracks()[0].getSettings());
    assert.deepEqual([plain.width, plain.height], [width, height]);
    for (const filter of FILTERS) {
      const photo = await take(page, filter);
      assert.deepEqual([photo.width, photo.height], [width, height], filter);
      EXPECTED[filter](photo, plain);
    }
    assert.equal(await page.locator("#photos li").count(), 1 + FILTERS.length);
  }
});

test("photos are of full size, saved under a safe name, removed, bounded, and there when the panel opens again", async (scenario) => {
  const tolerated = /ERR_FILE_NOT_FOUND/;
  const page = await join(scenario, room(scenario), { tolerated });
  const name = '<b>../../con.exe "x';
  const other = await join(scenario, room(scenario), { name, tolerated });
  await peers(page, 1);
  await screenOf(page);
  await openPhoto(page, "Your screen");
  const { width, height } = await take(page, "sepia");
  assert.deepEqual([width, height], [1600, 600], "not the size of the preview");

  await page.selectOption("#photo-picture", { label: name });
  await page.locator("#photo-take:not(:disabled)").waitFor();
  await page.click("#photo-take");
  await page.locator("#photos li:nth-child(2)").waitFor();
  assert.equal(await page.inputValue("#photo-filter"), "sepia", "the filter stays");
  assert.equal(await page.locator("#photos li .who").first().innerText(), name, "the newest is first");
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#photos .download").first().click()]);
  assert.match(download.suggestedFilename(), /^photo-b-con-exe-x-\d{4}(-\d\d){5}\.png$/);
  assert.equal((await readFile(await download.path())).toString("latin1", 1, 4), "PNG");

  await findsNothing(page, "panel photo");
  await page.locator("#photos .send").first().click();
  await says(page, /Offered to everyone in the chat/);
  await other.click("#chat");
  await other.locator("#chat-log li.file").waitFor();

  const url = await newest(page);
  await page.locator("#photos .remove").first().click();
  assert.equal(await page.locator("#photos li").count(), 1);
  assert.equal(await page.evaluate(() => document.activeElement.closest(".taken") !== null), true, "the focus stays near");
  const isGone = (url) => Object.assign(new Image(), { src: url }).decode().then(() => false, () => true);
  assert.equal(await page.evaluate(isGone, url), true, "its URL is revoked");

  await page.click("#panel-close");
  assert.equal(await drawings(page), 0, "a closed panel draws nothing");
  await page.click("#photo");
  await page.locator("#photos li").waitFor();
  assert.ok((await drawings(page)) > 0, "an open one does");

  // The countdown, and its end when the panel closes.
  await page.locator("label:has(#photo-countdown)").click();
  await page.click("#photo-take");
  await page.locator(".countdown:not([hidden])").waitFor();
  await page.locator("#photos li:nth-child(2)").waitFor();
  await page.locator("label:has(#photo-countdown)").click();

  await page.selectOption("#photo-picture", { label: "You" });
  for (let count = 3; count <= 25; count += 1) {
    const before = await newest(page);
    await page.click("#photo-take");
    await eventually("one more", async () => (await newest(page)) !== before || null);
  }
  assert.equal(await page.locator("#photos li").count(), 24);
  await says(page, /oldest ones were removed/);

  // Nobody is left to get a photo, and nothing to take one of.
  await other.click("#hangup");
  await peers(page, 0);
  await page.locator("#photos .send").first().click();
  await says(page, /Nobody else is here/);
  await page.locator("[data-notice=share] button").click();
  await page.click("#camera");
  await page.locator(".photo", { hasText: "There is no picture. Switch a camera on" }).waitFor();
  assert.equal(await page.locator("#photo-take").isDisabled(), true);
  assert.equal(await page.locator("#photo-picture option").innerText(), "No picture");
  await page.click("#hangup");
  assert.equal(await page.locator("#photos li").count(), 24, "photos outlive the call");
});

/** Number of drawings on canvases while the own camera gives five frames. */
function drawings(page) {
  return page.evaluate(async () => {
    const { prototype } = CanvasRenderingContext2D;
    const original = prototype.drawImage;
    let count = 0;
    prototype.drawImage = function (...parameters) {
      count += 1;
      return original.apply(this, parameters);
    };
    const self = document.querySelector("#self");
    for (let frame = 0; frame < 5; frame += 1) await new Promise((resolve) => self.requestVideoFrameCallback(resolve));
    prototype.drawImage = original;
    return count;
  });
}

test("in Firefox, a filter changes the photo", { skip: withoutFirefox }, async (scenario) => {
  const page = await join(scenario, room(scenario), { browser: await firefox() });
  await openPhoto(page, "You");
  const photo = await take(page, "grayscale");
  assert.ok(photo.difference <= 1 && photo.width > 0, JSON.stringify(photo));
  assert.ok((await take(page, "none")).difference > 10, "its camera has colors");
});
