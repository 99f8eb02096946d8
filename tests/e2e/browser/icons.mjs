/**
 * Icons of the installed page, drawn from static/icon.svg by Chromium:
 *
 *     npm run icons     writes static/icons/*.png again
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { launchChromium } from "./browsers.mjs";

const STATIC = new URL("../../../static/", import.meta.url);

/**
 * Files by name. Systems cut a maskable icon to their own shape, so its background fills the square
 * and its drawing keeps to the middle 80 %.
 */
const ICONS = {
  "icon-192.png": { size: 192 },
  "icon-512.png": { size: 512 },
  "maskable-512.png": { size: 512, maskable: true },
};

const drawing = await readFile(new URL("icon.svg", STATIC), "utf8");
/** One color from edge to edge, and the drawing smaller, without its own background. */
const maskable = drawing
  .replace(/<rect [^>]*>/, '<rect width="32" height="32" fill="#12606b"/><g transform="translate(4 4) scale(.75)">')
  .replace("</svg>", "</g></svg>");

const browser = await launchChromium();
const page = await browser.newPage();
await mkdir(new URL("icons/", STATIC), { recursive: true });
for (const [name, { size, maskable: fills }] of Object.entries(ICONS)) {
  const url = `data:image/svg+xml;base64,${Buffer.from(fills ? maskable : drawing).toString("base64")}`;
  await page.setViewportSize({ width: size, height: size });
  await page.setContent(`<body style="margin:0"><img src="${url}" width="${size}" height="${size}" style="display:block">`);
  const image = await page.screenshot({ omitBackground: true, clip: { x: 0, y: 0, width: size, height: size } });
  await writeFile(fileURLToPath(new URL(`icons/${name}`, STATIC)), image);
}
await browser.close();
process.exit();
