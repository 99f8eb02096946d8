import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { test } from "node:test";

import { videoFlows } from "../connections.mjs";
import { call, open, room } from "../stage.mjs";

/** For a person to look at; no test compares pixels. */
const SCREENSHOTS = new URL("../../../../target/screenshots/", import.meta.url).pathname;
await mkdir(SCREENSHOTS, { recursive: true });

const SIZES = {
  phone: { width: 360, height: 740 },
  "lying phone": { width: 740, height: 360 },
  desk: { width: 1280, height: 800 },
};

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"]) {
    test(`on a ${size} in ${colorScheme}, everything fits`, async (scenario) => {
      // Without animation a picture shows where they end.
      const look = { viewport, colorScheme, reducedMotion: "reduce" };
      const landing = await open(scenario, "/", look);
      await fits(landing);
      await landing.screenshot({ path: `${SCREENSHOTS}landing-${size.replace(" ", "-")}-${colorScheme}.png` });

      const lobby = await open(scenario, `/?${new URLSearchParams({ room: room(scenario) })}`, look);
      await fits(lobby);
      await isInView(lobby, "#join");
      await lobby.screenshot({ path: `${SCREENSHOTS}lobby-${size.replace(" ", "-")}-${colorScheme}.png` });

      const name = "Ada Lovelace, Countess of a rather long name indeed";
      const [first, second] = await call(scenario, `${room(scenario)}-call`, { ...look, name, relay: true });
      await videoFlows(first, second);
      await fits(first);
      await isInView(first, "#hangup");
      await first.screenshot({ path: `${SCREENSHOTS}call-${size.replace(" ", "-")}-${colorScheme}.png` });
      for (const count of [3, 5, 8]) {
        await crowd(first, count);
        await fits(first);
        await isInView(first, "#hangup");
        await first.screenshot({ path: `${SCREENSHOTS}call-of-${count}-${size.replace(" ", "-")}-${colorScheme}.png` });
      }
    });
  }
}

/** Elements with text to read, and those that show where to write. */
const READ = ["h1", ".lead", "#new-call", "#open-room label", "#room-name", "#join", "#copy", ".switch", ".note", ".name"];
const EDGES = ["#room-name", "#name"];

test("light and dark differ, and text stands out from its ground in both", async (scenario) => {
  const grounds = [];
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(scenario, "/", { colorScheme });
    const found = await page.evaluate(paint, { read: READ, edges: EDGES });
    for (const { what, least, ground, figure } of found) {
      assert.ok(contrast(ground, figure) >= least, `${what} in ${colorScheme}: ${figure} on ${ground}`);
    }
    grounds.push(String(found[0].ground));
  }
  assert.notEqual(grounds[0], grounds[1]);
});

/** Runs in the page: the colors of each element and of what lies under it. */
function paint({ read, edges }) {
  const painter = document.createElement("canvas").getContext("2d");
  // Whatever notation the style sheet uses: painted, then read back.
  const channels = (color) => {
    painter.fillStyle = color;
    painter.fillRect(0, 0, 1, 1);
    return [...painter.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const ground = (element) => {
    const { backgroundColor } = getComputedStyle(element);
    return backgroundColor.startsWith("rgba") ? ground(element.parentElement) : channels(backgroundColor);
  };
  const look = (what, least, figure, under) => {
    const element = document.querySelector(what);
    return { what, least, ground: ground(under(element)), figure: channels(getComputedStyle(element)[figure]) };
  };
  return [
    ...read.map((what) => look(what, 4.5, "color", (element) => element)),
    ...edges.map((what) => look(what, 3, "borderTopColor", (element) => element.parentElement)),
  ];
}

/**
 * Fills the call up to `count` people with copies of the one other: how many there are is all that
 * matters here.
 */
const crowd = (page, count) =>
  page.evaluate((wanted) => {
    const tiles = document.querySelector("#tiles");
    const [one] = tiles.querySelectorAll(".peer");
    while (tiles.querySelectorAll(".tile").length < wanted) {
      const copy = one.cloneNode(true);
      copy.querySelector("video").srcObject = one.querySelector("video").srcObject;
      tiles.append(copy);
    }
    tiles.dataset.count = String(wanted);
    tiles.dataset.layout = "grid";
  }, count);

/** Whether a control is visible without scrolling. */
async function isInView(page, selector) {
  const { y, height } = await page.locator(selector).boundingBox();
  const given = page.viewportSize().height;
  assert.ok(y >= 0 && y + height <= given, `${selector} at ${y} to ${y + height} in a window of ${given}`);
}

/** No line of the page is wider than the window. */
async function fits(page) {
  const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(needed <= given, `${needed} pixels of content in a window of ${given}`);
}

/** Contrast ratio of WCAG 2.2. */
function contrast(a, b) {
  const luminance = (color) => {
    const [red, green, blue] = color.map((value) => value / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [darker, lighter] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (lighter + 0.05) / (darker + 0.05);
}
