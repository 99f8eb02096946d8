/**
 * Chromium and Firefox as people have them, but for three things: camera and microphone are of
 * their own making, they trust the tests' certificate authority, and on this machine loopback
 * counts as a network, because there may be no other.
 */
import { existsSync } from "node:fs";
import { chromium, firefox } from "playwright-core";

import { Authority } from "./certificates.mjs";

/** Authority that the browsers trust, for servers with TLS. */
export const authority = new Authority();

/**
 * The binary itself where it is known: Debian's script around it reads files of the machine's
 * administrator.
 */
export const CHROMIUM = installed(process.env.CHROMIUM, "/usr/lib/chromium/chromium", "/usr/bin/chromium", "/usr/bin/google-chrome");

/**
 * The same without windows, which takes a quarter less of the processor. What has windows is seen
 * by the scenarios that launch {@link CHROMIUM}, and by those of the lab.
 */
const WINDOWLESS = installed(process.env.CHROMIUM, "/usr/lib/chromium/chromium-headless-shell") ?? CHROMIUM;

/** Not /usr/bin/firefox, which on Ubuntu only offers to install one. */
export const FIREFOX = installed(process.env.FIREFOX, "/usr/lib/firefox-esr/firefox-esr", "/usr/lib/firefox/firefox");

/** Reason to skip scenarios with Firefox, or false. */
export const withoutFirefox = !FIREFOX && "Firefox is not installed";

/**
 * Features of each new window that cost more than the page in it: the suggestions under the address
 * bar are a page of 390 modules, and a renderer is held in reserve. No scenario sees them.
 */
const COSTLY = ["WebUIOmniboxPopup", "WebUIOmniboxFullPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess"];

/** Those that playwright-core disables. Of two such flags the browser takes the last. */
const DISABLED = [
  "AvoidUnnecessaryBeforeUnloadCheckSync",
  "BoundaryEventDispatchTracksNodeRemoval",
  "DestroyProfileOnBrowserClose",
  "DialMediaRouteProvider",
  "GlobalMediaControls",
  "HttpsUpgrades",
  "LensOverlay",
  "MediaRouter",
  "PaintHolding",
  "ThirdPartyStoragePartitioning",
  "Translate",
  "RenderDocument",
  "OptimizationHints",
];

const FLAGS = [
  `--disable-features=${[...COSTLY, ...DISABLED].join(",")}`,
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
  // Pages behind others are as awake as the one in front.
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  // Chromium refuses its sandbox to root, and only then is it left out.
  ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
];

/** A camera and a microphone of the browser's own making. */
export const FAKE_DEVICES = "--use-fake-device-for-media-stream";

/** Both are allowed without asking. */
const ALLOWED = "--use-fake-ui-for-media-stream";

/** The same in the words of Firefox. */
const PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.autoplay.default": 0,
};

/** Direct paths over loopback. */
const LOOPBACK = { flag: "--allow-loopback-in-peer-connection", preference: { "media.peerconnection.ice.loopback": true } };

/**
 * Folder with the trusted authorities of a browser, to which it also writes.
 * @param {Authority} trusted
 */
const homeOf = (trusted) => ({ ...process.env, HOME: trusted.home(), TMPDIR: trusted.home() });

/**
 * Node of a browser, and the authority that it trusts.
 *
 * @typedef {object} Where
 * @property {string[]} [on] What to put before its command, so that it runs on another node of a
 *   network.
 * @property {Authority} [trusted]
 * @property {string[]} [devices] Flags of Chromium that say which camera and microphone it has, and
 *   who may use them.
 * @property {boolean} [windows] Whether Chromium has windows. It has on another node, unless this
 *   says otherwise.
 */

/** @param {Where} [where] */
export const launchChromium = ({ on = [], trusted = authority, devices = [FAKE_DEVICES, ALLOWED], windows = on.length > 0 } = {}) => {
  const program = windows ? CHROMIUM : WINDOWLESS;
  return chromium.launch({
    executablePath: on.length ? trusted.script("chromium", [...on, program]) : program,
    args: [...FLAGS, ...devices, ...(on.length ? [] : [LOOPBACK.flag])],
    env: homeOf(trusted),
  });
};

/**
 * Mozilla's own build, driven by WebDriver BiDi: what playwright calls Firefox by itself is patched
 * for tests.
 *
 * @param {Where} [where]
 */
export const launchFirefox = ({ on = [], trusted = authority } = {}) =>
  firefox.launch({
    channel: "moz-firefox",
    executablePath: trusted.introduceTo(on.length ? [process.execPath, DOOR, JSON.stringify(on), FIREFOX] : [FIREFOX]),
    firefoxUserPrefs: on.length ? PREFERENCES : { ...PREFERENCES, ...LOOPBACK.preference },
    env: homeOf(trusted),
  });

/** Firefox is driven over a port of its node's loopback, which is not ours: this leads there. */
const DOOR = new URL("door.mjs", import.meta.url).pathname;

function installed(...places) {
  return places.find((path) => path && existsSync(path));
}
