/**
 * Pictures of a call for the README: starts the server, opens the page for drawn people, and
 * records what Ada sees. `make` beside it says what this needs.
 */
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { authority, launchChromium } from "../../tests/e2e/browser/browsers.mjs";
import { addressOf, enter, lineReads, peers, toggleRelay } from "../../tests/e2e/browser/page.mjs";
import { startServer } from "../../tests/e2e/browser/server.mjs";
import { Film, SLOWNESS, addPointer } from "./film.mjs";

const [only] = process.argv.slice(2);

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const ROOM = "tea-at-four";
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true };

/** 800 by 500 pixels. */
const SMALL = { viewport: { width: 1000, height: 625 }, deviceScaleFactor: 0.8, pace: 1 / SLOWNESS };

/** For people whose pages are not seen: less to paint for a machine without a graphics card. */
const UNSEEN = { viewport: { width: 480, height: 360 }, pace: 1 / SLOWNESS };

/** Time until the browsers have found their bitrates. */
const SETTLED_MS = 30_000;

/** Longest time until the page calls the connection good. A busy machine does not get there. */
const PATIENCE_MS = 150_000;

const server = await startServer({ udp: "127.0.0.1:3478", http: "127.0.0.1:8080" });
const browser = await launchChromium();
const scene = await readFile(here("scene.js"), "utf8");
try {
  if (only !== "film") await makeStills();
  if (only !== "stills") await makeFilm();
  if (!only) await writeFile(here("made-from"), `${(await structure()).join("\n")}\n`);
} finally {
  await browser.close();
  await server.stop();
  authority.forget();
}

/** Opens the lobby for a person. `scale` and `pace` are those of `act` in scene.js. */
async function arrive(name, { scale = 1, pace = 1, ...options } = {}) {
  const permissions = ["camera", "microphone"];
  const context = await browser.newContext({ ...DESKTOP, colorScheme: "dark", permissions, ...options });
  await context.addInitScript({ content: `(() => {\n${scene}\nact("${name}", ${scale}, ${pace});\n})();` });
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`${name}: ${error.stack}`));
  await page.goto(addressOf(server.origin, ROOM));
  await page.fill("#name", name);
  return page;
}

/** call.png: Ada at her desk. phone.png: Grace on her phone, in the same call. */
async function makeStills() {
  const ada = await arrive("Ada", { scale: 1.5 });
  const grace = await arrive("Grace", { scale: 1.5, ...PHONE });
  await enter(ada);
  await enter(grace);
  await Promise.all([peers(ada, 1), peers(grace, 1)]);
  await toggleRelay(ada);
  await lineReads(/^Relayed over UDP/, ada, grace);
  await ada.click("#info");
  await sleep(SETTLED_MS);
  await ada.locator("#panel .connection[data-quality=good]").waitFor({ timeout: PATIENCE_MS });
  await ada.screenshot({ path: here("call.png") });
  await grace.screenshot({ path: here("phone.png") });
  await Promise.all([ada, grace].map((page) => page.context().close()));
}

/** call.webp: the course of a call. */
async function makeFilm() {
  const ada = await arrive("Ada", SMALL);
  const grace = await arrive("Grace", UNSEEN);
  const alan = await arrive("Alan", { scale: 0.5, ...UNSEEN });
  const katherine = await arrive("Katherine", { scale: 0.5, ...UNSEEN });
  const press = await addPointer(ada);
  await sleep(1_500);

  const film = new Film(ada);
  const acts = [
    [1_800, () => press("#join")],
    [3_300, () => grace.click("#join")],
    [5_200, () => press("#info")],
    [7_000, () => press("#panel label:has(#relay)")],
    [9_800, () => press("#panel-close")],
    [10_300, () => alan.click("#join")],
    [10_800, () => katherine.click("#join")],
    [11_600, () => write(grace, "Here is the map.")],
    [12_600, () => grace.click("#share")],
    [14_600, () => press("#chat")],
    [16_000, () => write(ada, "I see it. Thank you!")],
    [18_300, () => press("#hangup")],
  ];
  const shot = film.shoot();
  for (const [at, play] of acts) {
    await film.until(at);
    await play();
  }
  await shot;
  await Promise.all([ada, grace, alan, katherine].map((page) => page.context().close()));
  await film.develop(here("call.webp"));
}

/** Sends a line of chat. Opens the panel where it is closed. */
async function write(page, text) {
  if ((await page.getAttribute("#chat", "aria-expanded")) === "false") await page.click("#chat");
  await page.fill("#chat-input", text);
  await page.press("#chat-input", "Enter");
}

/** Ids and classes of the document, as tests/tidy/pictures.rs reads them. */
async function structure() {
  const document = await readFile(here("../../static/index.html"), "utf8");
  const names = [...document.matchAll(/ (id|class)="([^"]*)"/g)].flatMap(([, attribute, value]) =>
    value.split(" ").map((name) => (attribute === "id" ? `#${name}` : `.${name}`)),
  );
  return [...new Set(names)].sort();
}
