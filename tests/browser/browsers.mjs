/**
 * Chromium and Firefox as people have them, but for three things: camera and microphone are of their own making, loopback
 * counts as a network, because the machine may have no other, and they trust the tests' certificate authority.
 */
import { existsSync } from "node:fs";
import { chromium, firefox } from "playwright-core";

import { Authority } from "./certificates.mjs";

/** Whom the browsers trust, for servers that speak TLS. */
export const authority = new Authority();

/** The binary itself where it is known: Debian's script around it reads files of the machine's administrator. */
const CHROMIUM = installed(process.env.CHROMIUM, "/usr/lib/chromium/chromium", "/usr/bin/chromium", "/usr/bin/google-chrome");

/** Not /usr/bin/firefox, which on Ubuntu only offers to install one. */
const FIREFOX = installed(process.env.FIREFOX, "/usr/lib/firefox-esr/firefox-esr", "/usr/lib/firefox/firefox");

/** Why scenarios with Firefox are left out, or false. */
export const withoutFirefox = !FIREFOX && "Firefox is not installed";

const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A camera and a microphone of the browser's own making, allowed without asking.
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  // Direct paths over loopback: the machine may have no other network.
  "--allow-loopback-in-peer-connection",
  // Pages behind others are as awake as the one in front.
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  // Chromium refuses its sandbox to root, and only then is it left out.
  ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
];

/** The same in the words of Firefox. */
const PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.autoplay.default": 0,
  "media.peerconnection.ice.loopback": true,
};

/** Both look for whom they trust below their home, and Firefox refuses one that is another user's. */
const inHome = () => ({ ...process.env, HOME: authority.home() });

export const launchChromium = () => chromium.launch({ executablePath: CHROMIUM, args: FLAGS, env: inHome() });

/** Mozilla's own build, driven by WebDriver BiDi: what playwright calls Firefox by itself is patched for tests. */
export const launchFirefox = () =>
  firefox.launch({
    channel: "moz-firefox",
    executablePath: authority.introduceTo(FIREFOX),
    firefoxUserPrefs: PREFERENCES,
    env: inHome(),
  });

function installed(...places) {
  return places.find((path) => path && existsSync(path));
}
