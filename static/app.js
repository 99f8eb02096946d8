/**
 * The call page: the first user of byway.js, and an example of how to use it.
 *
 * The address says what to do: `/?room=NAME` names the room, `&relay=1` forces the relay, and a
 * join token travels in the fragment (`#token=...`), which browsers keep to themselves.
 *
 * What other programs may rely on in the page:
 *   #join #hangup #relay #room-link #status     by id
 *   video#self, .peer video                     what is seen
 *   .peer [data-path][data-protocol]            direct | relayed | connecting, and udp | tcp | tls
 *   #call[data-state]                           lobby | joining | joined
 *   document.querySelector("#call").call        the running Call of byway.js, or null
 */
import { join, openDevices } from "./byway.js";

/** @typedef {import("./byway.js").Call} Call */
/** @typedef {import("./byway.js").Peer} Peer */
/** @typedef {import("./byway.js").Report} Report */
/** @typedef {import("./byway.js").BywayError} BywayError */

/** @type {(id: string) => any} */
const element = (id) => document.getElementById(id);
const page = element("call");
const tiles = element("tiles");
const self = element("self");
const relay = element("relay");

/** What our camera and microphone give. @type {MediaStream | null} */
let stream = null;
/** Why they give nothing. */
let trouble = "";
/** @type {Call | null} */
page.call = null;

// ---- Where we are
// -----------------------------------------------------------------------------------------------

const address = () => new URL(location.href);
const relayWanted = () => address().searchParams.get("relay") === "1";
const room = () => address().searchParams.get("room");

/** Shows what the address asks for. */
function show() {
  const name = room();
  element("landing").hidden = Boolean(name);
  element("invite").hidden = page.hidden = !name;
  document.title = name ? `${name} · Byway` : "Byway";
  if (!name) return;
  relay.checked = relayWanted();
  element("room-link").value = linkTo(name);
  say("");
  previewIfAllowed();
}

/**
 * The link to send: the room and the token, without what is our own choice (the relay).
 * @param {string} name
 */
function linkTo(name) {
  const link = address();
  link.search = new URLSearchParams({ room: name }).toString();
  return link.href;
}

/** @param {string} name */
function go(name) {
  history.pushState(null, "", linkTo(name));
  show();
  element("join").focus();
}

/** 100 random bits in 32 letters that are hard to mistake for each other. */
function unguessableName() {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789";
  const random = [...crypto.getRandomValues(new Uint8Array(20))].map((byte) => letters[byte % 32]);
  return random.join("").replace(/(.{5})(?=.)/g, "$1-");
}

element("new-call").addEventListener("click", () => go(unguessableName()));
element("open-room").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  go(element("room-name").value.trim());
});
element("copy").addEventListener("click", async () => {
  const link = element("room-link");
  try {
    await navigator.clipboard.writeText(link.value);
    say("Link copied.");
  } catch {
    link.select();
    say("Copy the selected link.");
  }
});
addEventListener("popstate", () => {
  abandon();
  show();
});

// ---- Our camera and microphone
// ----------------------------------------------------------------------------------

/**
 * Being opened: whoever asks meanwhile waits for the same.
 * @type {Promise<import("./byway.js").Devices> | null}
 */
let opening = null;

async function turnOnDevices() {
  if (!stream) {
    const devices = await (opening ??= openDevices().finally(() => (opening = null)));
    stream = devices.stream;
    trouble = inSentences(devices);
    stream?.getTracks().forEach(watchDevice);
  }
  drawSelf();
}

/**
 * Opens one device during a call or before it: it was refused, busy or not there, or has been
 * unplugged.
 * @param {string} kind
 */
async function turnOnDevice(kind) {
  const before = stream;
  const devices = await openDevices({ [kind]: true });
  trouble = inSentences(devices);
  if (trouble) say(trouble);
  // Meanwhile the call was left, or somebody has clicked twice.
  if (stream !== before || !room() || track(kind)) return devices.stream?.getTracks().forEach((each) => each.stop());
  if (devices.stream) {
    stream = new MediaStream([...(before?.getTracks() ?? []).filter((each) => each.kind !== kind), ...devices.stream.getTracks()]);
    devices.stream.getTracks().forEach(watchDevice);
    page.call?.setStream(stream);
  }
  drawSelf();
}

/** @param {MediaStreamTrack} device */
const watchDevice = (device) => device.addEventListener("ended", drawSelf); // unplugged

/** @param {import("./byway.js").Devices} devices */
const inSentences = ({ errors }) => errors.map(({ message }) => message).join(" ");

async function turnOffDevices() {
  const late = opening; // answered when nobody waits for it any more
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  trouble = "";
  drawSelf();
  if (late && (await late).stream && !room()) turnOffDevices();
}

async function preview() {
  await turnOnDevices();
  if (stream && trouble) say(trouble);
  else if (trouble) say("You can still join, to see and hear the others.");
}

/** The preview starts by itself only where that asks nobody anything. */
async function previewIfAllowed() {
  const names = /** @type {PermissionName[]} */ (["camera", "microphone"]);
  const states = await Promise.all(
    names.map((name) => navigator.permissions?.query({ name }).catch(() => null) ?? null),
  );
  const inLobby = room() && page.dataset.state === "lobby";
  if (inLobby && states.every((permission) => permission?.state === "granted")) preview();
}

/** @param {string} kind */
const track = (kind) => stream?.getTracks().find((candidate) => candidate.kind === kind && candidate.readyState === "live");
const cameraOn = () => Boolean(track("video")?.enabled);
/** What the others cannot. */
const unsent = () => [track("video") ? "" : "see", track("audio") ? "" : "hear"].filter(Boolean).join(" or ");

function drawSelf() {
  if (self.srcObject !== stream) self.srcObject = stream;
  const joined = page.dataset.state === "joined";
  const off = joined || stream ? "Your camera is off" : "Ready when you are";
  element("self-note").textContent = cameraOn() ? "" : trouble || off;
  element("preview").hidden = Boolean(stream);
  for (const [id, kind] of [["microphone", "audio"], ["camera", "video"]]) {
    // One that is missing can be turned on later.
    element(id).hidden = !joined && !stream;
    element(id).title = track(kind) ? "" : trouble;
    element(id).setAttribute("aria-pressed", String(Boolean(track(kind)?.enabled)));
  }
  page.call?.peers.forEach(tellCamera);
}

for (const [id, kind] of [["microphone", "audio"], ["camera", "video"]]) {
  element(id).addEventListener("click", () => {
    const device = track(kind);
    if (!device) return void turnOnDevice(kind);
    device.enabled = !device.enabled;
    drawSelf();
  });
}
element("preview").addEventListener("click", preview);

// ---- The call
// ---------------------------------------------------------------------------------------------------

/** Counts the ways into a room: one that was left meanwhile leads nowhere. */
let attempt = 0;

element("lobby").addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const name = room();
  if (page.dataset.state !== "lobby" || !name) return;
  attempt += 1;
  const mine = attempt;
  setState("joining");
  say("Joining …");
  await turnOnDevices();
  if (mine !== attempt) return;
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined;
  try {
    const call = await join({ room: name, name: element("name").value.trim(), stream, relayOnly: relay.checked, token });
    if (mine === attempt) run(call);
    else call.leave();
  } catch (error) {
    if (mine !== attempt) return;
    setState("lobby");
    say(/** @type {BywayError} */ (error).message);
  }
});

/** @param {Call} call */
function run(call) {
  page.call = call;
  setState("joined");
  if (trouble) say(`${trouble} You see and hear the others; they do not ${unsent()} you.`);
  else if (call.peers.length === 0) say("You are in. Nobody else is here yet: send them the link.");
  // Where the server relays every call, there is nothing to choose.
  relay.disabled = call.relayOnly && !relay.checked;
  relay.checked = call.relayOnly;

  call.addEventListener("peer", ({ peer }) => {
    addTile(peer);
    say(`${nameOf(peer)} is here.`);
  });
  call.addEventListener("peerleft", ({ peer }) => say(`${nameOf(peer)} left.`));
  call.addEventListener("error", ({ error, peer }) => {
    const ourChoice = error.code === "relay-unreachable" && !relay.disabled;
    const sentence = ourChoice ? `${error.message} Switch “Force relay” off to allow a direct path.` : error.message;
    say(sentence);
    const tile = peer && shown.get(peer);
    if (!tile) return;
    tile.dataset.trouble = sentence;
    drawTile(peer, tile);
  });
  call.addEventListener("signaling", () => {
    const alone = call.peers.length === 0;
    if (call.signaling === "lost") say(`The call server is out of reach; ${alone ? "" : "the call goes on, and this page is "}trying again.`);
    if (call.signaling === "open") say("The call server is back.");
  });
  call.addEventListener("closed", leaveStage);
  element("hangup").focus();
}

/** Ends the call, or the way into one, and lets go of the camera. */
function abandon() {
  attempt += 1;
  if (page.call) page.call.leave();
  else leaveStage();
}

/** The call is over, whoever ended it: back to where one can join again. */
function leaveStage() {
  page.call = null;
  relay.disabled = false;
  relay.checked = relayWanted();
  setState("lobby");
  turnOffDevices();
  element("join").focus();
}

element("hangup").addEventListener("click", () => {
  abandon();
  say("You left the call.");
});
relay.addEventListener("change", () => {
  const here = address();
  if (relay.checked) here.searchParams.set("relay", "1");
  else here.searchParams.delete("relay");
  history.replaceState(null, "", here);
  page.call?.setRelayOnly(relay.checked);
});
addEventListener("pagehide", abandon);

// ---- The others
// -------------------------------------------------------------------------------------------------

/** @type {Map<Peer, HTMLElement>} */
const shown = new Map();

/** As it fits a sentence. @param {Peer} peer */
const nameOf = ({ name }) => (name.length > 32 ? `${[...name].slice(0, 30).join("")}…` : name || "Guest");

/** @param {Peer} peer */
function addTile(peer) {
  const tile = element("peer-template").content.firstElementChild.cloneNode(true);
  tile.querySelector(".name").textContent = peer.name || "Guest";
  const video = tile.querySelector("video");
  video.srcObject = peer.stream;
  video.addEventListener("playing", () => drawTile(peer, tile));
  tiles.append(tile);
  shown.set(peer, tile);
  countTiles();
  peer.addEventListener("open", () => tellCamera(peer));
  peer.addEventListener("message", ({ data }) => hearCamera(tile, data));
  peer.addEventListener("left", () => {
    shown.delete(peer);
    tile.remove();
    countTiles();
  });
  drawTile(peer, tile);
}

/**
 * A switched-off camera sends black; the others are told, so that they see a sentence instead.
 * @param {Peer} peer
 */
function tellCamera(peer) {
  try {
    peer.send(JSON.stringify({ camera: cameraOn() }));
  } catch {
    // Not open yet: told when it is.
  }
}

/** @param {HTMLElement} tile @param {any} data */
function hearCamera(tile, data) {
  try {
    tile.classList.toggle("camera-off", JSON.parse(data).camera === false);
  } catch {
    // Another page may send what it likes over this channel.
  }
}

function countTiles() {
  tiles.dataset.count = String(tiles.children.length);
}

/** @param {Peer} peer @param {HTMLElement} tile */
async function drawTile(peer, tile) {
  const report = await peer.report().catch(() => null); // the connection was closed meanwhile
  if (!report || !shown.has(peer)) return;
  const how = /** @type {HTMLElement} */ (tile.querySelector(".how"));
  const before = how.dataset.path;
  how.dataset.path = report.path;
  how.dataset.protocol = report.protocol ?? "";
  tile.querySelector(".words")?.replaceChildren(...inWords(report));

  const connecting = report.path === "connecting";
  if (!connecting) delete tile.dataset.trouble;
  const sees = peer.stream.getVideoTracks().some((candidate) => !candidate.muted) && !tile.classList.contains("camera-off");
  const note = /** @type {HTMLElement} */ (tile.querySelector(".note"));
  note.textContent = connecting ? (tile.dataset.trouble ?? "Connecting …") : sees ? "" : "No camera";
  // The line itself changes every second; said aloud is only a change of path.
  if (!connecting && before !== report.path) say(`${nameOf(peer)} is connected: ${pathInWords(report)}.`);
}

/**
 * For example "Relayed over UDP · 3 ms · 1.2 Mbit/s", each part on one line.
 * @param {Report} report
 */
function inWords(report) {
  const { path, roundTripMs, receivingBps } = report;
  if (path === "connecting") return ["Connecting"];
  const parts = [pathInWords(report)];
  if (roundTripMs !== null) parts.push(`${Math.max(1, Math.round(roundTripMs))} ms`);
  if (receivingBps !== null) parts.push(inBits(receivingBps));
  return parts.flatMap((part, index) => {
    const span = document.createElement("span");
    span.textContent = part;
    return index ? [" · ", span] : [span];
  });
}

/** @param {Report} report */
const pathInWords = ({ path, protocol }) =>
  `${path === "relayed" ? "Relayed" : "Direct"}${protocol ? ` over ${protocol.toUpperCase()}` : ""}`;

/** @param {number} bps */
const inBits = (bps) => (bps < 1e6 ? `${Math.round(bps / 1e3)} kbit/s` : `${(bps / 1e6).toFixed(1)} Mbit/s`);

setInterval(() => shown.forEach((tile, peer) => drawTile(peer, tile)), 1000);

// ---- What is said
// -----------------------------------------------------------------------------------------------

/** @param {"lobby" | "joining" | "joined"} state */
function setState(state) {
  page.dataset.state = state;
  element("join").disabled = state === "joining";
  drawSelf();
}

/** @param {string} sentence */
function say(sentence) {
  element("status").textContent = sentence;
}

show();
