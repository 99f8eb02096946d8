/**
 * A web developer's page that uses byway.js, for the scenarios of the module. What it does is in
 * `window`: `byway` (the module), `call`, and `events`, the names of the events so far.
 */
import { eventually } from "./eventually.mjs";
import { open } from "./stage.mjs";

/** Opens a page that is not ours, which has imported the module and counts its descriptions. */
export async function openWith(scenario, options) {
  const page = await open(scenario, "/", options);
  await page.evaluate(async () => {
    window.byway = { ...(await import("/byway.js")) };
    window.described = 0;
    const { setLocalDescription } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.setLocalDescription = function (...parameters) {
      window.described += 1;
      return setLocalDescription.apply(this, parameters);
    };
    // The module's channel to the other module, for a page that misuses it.
    const { createDataChannel } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.createDataChannel = function (...parameters) {
      const channel = createDataChannel.apply(this, parameters);
      if (parameters[0] === "byway.echo") window.control = channel;
      return channel;
    };
  });
  return page;
}

/** Joins a room. `camera`: with the fake camera, else without anything to send. */
export const join = (page, room, { camera = false, ...options } = {}) =>
  page.evaluate(async ({ camera, ...given }) => {
    const stream = camera ? await window.byway.openCamera() : null;
    window.events = [];
    window.heard = [];
    window.call = await window.byway.join({ ...given, stream });
    const note = (target, ...types) => {
      for (const type of types) target.addEventListener(type, () => window.events.push(type));
    };
    note(window.call, "host", "locked", "viewers", "closed");
    window.call.addEventListener("peer", ({ peer }) => {
      note(peer, "open", "connection", "media", "streams", "channel", "left");
      peer.addEventListener("message", ({ data }) => window.heard.push(data));
    });
  }, { room, camera, ...options });

/** Two pages in one room, which are connected. */
export async function pair(scenario, room, { first = {}, second = {}, open: opening = {} } = {}) {
  const pages = [await openWith(scenario, { ...opening, ...first.open }), await openWith(scenario, { ...opening, ...second.open })];
  await join(pages[0], room, { ...first, open: undefined });
  await join(pages[1], room, { ...second, open: undefined });
  await Promise.all(pages.map((page) => happened(page, "open")));
  return pages;
}

/** Waits until an event of this type happened, `times` times. */
export const happened = (page, type, times = 1) =>
  eventually(`${times} × ${type}`, () =>
    page.evaluate(([wanted, least]) => window.events.filter((it) => it === wanted).length >= least || null, [type, times]),
  );

/** Waits until a function in the page, given an argument, returns something. */
export const becomes = (page, what, check, argument, patienceMs) =>
  eventually(what, () => page.evaluate(check, argument), patienceMs);

/** Frames of the peer's video that were decoded so far. */
const decoded = (page) => page.evaluate(async () => (await window.call.peers[0].report()).framesDecoded);

/** Waits until the peer's picture moves. */
export async function pictureMoves(page) {
  const before = await decoded(page);
  await eventually("frames", async () => (await decoded(page)) > before + 10 || null);
}
