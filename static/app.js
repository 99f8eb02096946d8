/**
 * The call page: the first user of byway.js, and an example of its use.
 *
 * In the page's URL, `/?room=NAME` names the room, and `&relay=1` forces the relay. A join token is
 * in the fragment (`#token=...`), which browsers do not send to the server.
 *
 * Stable hooks for other programs:
 *   #join #hangup #relay #room-link #status     controls, by id
 *   video#self, .peer video                     the own and the peers' videos
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
const selfVideo = element("self");
const relay = element("relay");

/** Stream of the local camera and microphone. @type {MediaStream | null} */
let stream = null;
/** Messages of the devices that could not be opened, or empty. */
let deviceErrors = "";
/** @type {Call | null} */
page.call = null;

// --- Address and room ---

const address = () => new URL(location.href);
const relayWanted = () => address().searchParams.get("relay") === "1";
const room = () => address().searchParams.get("room");

/** Shows the page for the current address: the landing page, or a room's lobby. */
function showAddress() {
  const name = room();
  element("landing").hidden = Boolean(name);
  element("invite").hidden = page.hidden = !name;
  document.title = name ? `${name} · Byway` : "Byway";
  if (!name) return;
  relay.checked = relayWanted();
  element("room-link").value = linkTo(name);
  setStatus("");
  previewIfAllowed();
}

/**
 * Returns the link to share: the room and the token, without this person's relay setting.
 * @param {string} name
 */
function linkTo(name) {
  const link = address();
  link.search = new URLSearchParams({ room: name }).toString();
  return link.href;
}

/** Opens a room's lobby. @param {string} name */
function openRoom(name) {
  history.pushState(null, "", linkTo(name));
  showAddress();
  element("join").focus();
}

/** Returns 100 random bits, in 32 characters that are hard to confuse with each other. */
function randomRoomName() {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789";
  const random = [...crypto.getRandomValues(new Uint8Array(20))].map((byte) => letters[byte % 32]);
  return random.join("").replace(/(.{5})(?=.)/g, "$1-");
}

element("new-call").addEventListener("click", () => openRoom(randomRoomName()));
element("open-room").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  openRoom(element("room-name").value.trim());
});
element("copy").addEventListener("click", async () => {
  const link = element("room-link");
  try {
    await navigator.clipboard.writeText(link.value);
    setStatus("Link copied.");
  } catch {
    link.select();
    setStatus("Copy the selected link.");
  }
});
addEventListener("popstate", () => {
  leaveRoom();
  showAddress();
});

// --- Local camera and microphone ---

/**
 * Pending request for the devices. Further requests wait for the same one.
 * @type {Promise<import("./byway.js").Devices> | null}
 */
let opening = null;

async function turnOnDevices() {
  if (!stream) {
    const devices = await (opening ??= openDevices().finally(() => (opening = null)));
    stream = devices.stream;
    deviceErrors = messagesOf(devices);
    stream?.getTracks().forEach(watchDevice);
  }
  drawSelf();
}

/**
 * Opens one device, before or during a call, that was denied, busy, missing or unplugged.
 * @param {string} kind
 */
async function turnOnDevice(kind) {
  const before = stream;
  const devices = await openDevices({ [kind]: true });
  deviceErrors = messagesOf(devices);
  if (deviceErrors) setStatus(deviceErrors);
  // Meanwhile the person has left the call or clicked twice.
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
const messagesOf = ({ errors }) => errors.map(({ message }) => message).join(" ");

async function turnOffDevices() {
  const late = opening; // may deliver a stream after the person has gone back
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  deviceErrors = "";
  drawSelf();
  if (late && (await late).stream && !room()) turnOffDevices();
}

async function preview() {
  await turnOnDevices();
  if (stream && deviceErrors) setStatus(deviceErrors);
  else if (deviceErrors) setStatus("You can still join, to see and hear the others.");
}

/** Starts the preview only if that shows no permission prompt. */
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
/** Verbs for the media that is not sent: "see", "hear" or both. */
const unsent = () => [track("video") ? "" : "see", track("audio") ? "" : "hear"].filter(Boolean).join(" or ");

function drawSelf() {
  if (selfVideo.srcObject !== stream) selfVideo.srcObject = stream;
  const joined = page.dataset.state === "joined";
  const off = joined || stream ? "Your camera is off" : "Ready when you are";
  element("self-note").textContent = cameraOn() ? "" : deviceErrors || off;
  element("preview").hidden = Boolean(stream);
  for (const [id, kind] of [["microphone", "audio"], ["camera", "video"]]) {
    // A missing device can be turned on later.
    element(id).hidden = !joined && !stream;
    element(id).title = track(kind) ? "" : deviceErrors;
    element(id).setAttribute("aria-pressed", String(Boolean(track(kind)?.enabled)));
  }
  page.call?.peers.forEach(sendCameraState);
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

// --- The call ---

/** Number of join attempts. A later attempt, or leaving, cancels an earlier one. */
let joinAttempts = 0;

element("lobby").addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const name = room();
  if (page.dataset.state !== "lobby" || !name) return;
  joinAttempts += 1;
  const mine = joinAttempts;
  setState("joining");
  setStatus("Joining …");
  await turnOnDevices();
  if (mine !== joinAttempts) return;
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined;
  try {
    const call = await join({ room: name, name: element("name").value.trim(), stream, relayOnly: relay.checked, token });
    if (mine === joinAttempts) startCall(call);
    else call.leave();
  } catch (error) {
    if (mine !== joinAttempts) return;
    setState("lobby");
    setStatus(/** @type {BywayError} */ (error).message);
  }
});

/** @param {Call} call */
function startCall(call) {
  page.call = call;
  setState("joined");
  if (deviceErrors) setStatus(`${deviceErrors} You can see and hear the others, but they cannot ${unsent()} you.`);
  else if (call.peers.length === 0) setStatus("You joined the call. Nobody else is here yet: send someone the link.");
  // If the server requires the relay, the switch cannot turn it off.
  relay.disabled = call.relayOnly && !relay.checked;
  relay.checked = call.relayOnly;

  call.addEventListener("peer", ({ peer }) => {
    addTile(peer);
    setStatus(`${nameOf(peer)} is here.`);
  });
  call.addEventListener("peerleft", ({ peer }) => setStatus(`${nameOf(peer)} left.`));
  call.addEventListener("error", ({ error, peer }) => {
    const isOwnChoice = error.code === "relay-unreachable" && !relay.disabled;
    const message = isOwnChoice ? `${error.message} Switch “Force relay” off to allow a direct path.` : error.message;
    setStatus(message);
    const tile = peer && tileOf.get(peer);
    if (!tile) return;
    tile.dataset.error = message;
    drawTile(peer, tile);
  });
  call.addEventListener("signaling", () => {
    const continues = call.peers.length > 0 ? "The call continues. " : "";
    if (call.signaling === "lost") setStatus(`The call server is out of reach. ${continues}Reconnecting …`);
    if (call.signaling === "open") setStatus("The call server is back.");
  });
  call.addEventListener("closed", showLobby);
  element("hangup").focus();
}

/** Leaves the call, or cancels a pending join, and releases the camera. */
function leaveRoom() {
  joinAttempts += 1;
  if (page.call) page.call.leave();
  else showLobby();
}

/** Shows the lobby, where the person can join again. */
function showLobby() {
  page.call = null;
  relay.disabled = false;
  relay.checked = relayWanted();
  setState("lobby");
  turnOffDevices();
  element("join").focus();
}

element("hangup").addEventListener("click", () => {
  leaveRoom();
  setStatus("You left the call.");
});
relay.addEventListener("change", () => {
  const here = address();
  if (relay.checked) here.searchParams.set("relay", "1");
  else here.searchParams.delete("relay");
  history.replaceState(null, "", here);
  page.call?.setRelayOnly(relay.checked);
});
addEventListener("pagehide", leaveRoom);

// --- Peers ---

/** @type {Map<Peer, HTMLElement>} */
const tileOf = new Map();

/** Returns the name of a peer, shortened to fit a sentence. @param {Peer} peer */
const nameOf = ({ name }) => (name.length > 32 ? `${[...name].slice(0, 30).join("")}…` : name || "Guest");

/** @param {Peer} peer */
function addTile(peer) {
  const tile = element("peer-template").content.firstElementChild.cloneNode(true);
  tile.querySelector(".name").textContent = peer.name || "Guest";
  const video = tile.querySelector("video");
  video.srcObject = peer.stream;
  video.addEventListener("playing", () => drawTile(peer, tile));
  tiles.append(tile);
  tileOf.set(peer, tile);
  countTiles();
  peer.addEventListener("open", () => sendCameraState(peer));
  peer.addEventListener("message", ({ data }) => applyCameraState(tile, data));
  peer.addEventListener("left", () => {
    tileOf.delete(peer);
    tile.remove();
    countTiles();
  });
  drawTile(peer, tile);
}

/**
 * Sends whether the camera is on. A camera that is off sends black, so the peer shows a note.
 * @param {Peer} peer
 */
function sendCameraState(peer) {
  try {
    peer.send(JSON.stringify({ camera: cameraOn() }));
  } catch {
    // Not open yet: the `open` event sends it.
  }
}

/** @param {HTMLElement} tile @param {any} data */
function applyCameraState(tile, data) {
  try {
    tile.classList.toggle("camera-off", JSON.parse(data).camera === false);
  } catch {
    // Another page may send messages of its own over this channel.
  }
}

function countTiles() {
  tiles.dataset.count = String(tiles.children.length);
}

/** @param {Peer} peer @param {HTMLElement} tile */
async function drawTile(peer, tile) {
  const report = await peer.report().catch(() => null); // the connection was closed meanwhile
  if (!report || !tileOf.has(peer)) return;
  const how = /** @type {HTMLElement} */ (tile.querySelector(".how"));
  const before = how.dataset.path;
  how.dataset.path = report.path;
  how.dataset.protocol = report.protocol ?? "";
  tile.querySelector(".words")?.replaceChildren(...describeReport(report));

  const connecting = report.path === "connecting";
  if (!connecting) delete tile.dataset.error;
  const sees = peer.stream.getVideoTracks().some((candidate) => !candidate.muted) && !tile.classList.contains("camera-off");
  const note = /** @type {HTMLElement} */ (tile.querySelector(".note"));
  note.textContent = connecting ? (tile.dataset.error ?? "Connecting …") : sees ? "" : "No camera";
  // The line changes every second, so the live region announces only a change of the path.
  if (!connecting && before !== report.path) setStatus(`${nameOf(peer)} is connected: ${describePath(report)}.`);
}

/**
 * Returns for example "Relayed over UDP · 3 ms · 1.2 Mbit/s", where no part breaks across lines.
 * @param {Report} report
 */
function describeReport(report) {
  const { path, roundTripMs, receivingBps } = report;
  if (path === "connecting") return ["Connecting"];
  const parts = [describePath(report)];
  if (roundTripMs !== null) parts.push(`${Math.max(1, Math.round(roundTripMs))} ms`);
  if (receivingBps !== null) parts.push(formatBitrate(receivingBps));
  return parts.flatMap((part, index) => {
    const span = document.createElement("span");
    span.textContent = part;
    return index ? [" · ", span] : [span];
  });
}

/** @param {Report} report */
const describePath = ({ path, protocol }) =>
  `${path === "relayed" ? "Relayed" : "Direct"}${protocol ? ` over ${protocol.toUpperCase()}` : ""}`;

/** @param {number} bps */
const formatBitrate = (bps) => (bps < 1e6 ? `${Math.round(bps / 1e3)} kbit/s` : `${(bps / 1e6).toFixed(1)} Mbit/s`);

setInterval(() => tileOf.forEach((tile, peer) => drawTile(peer, tile)), 1000);

// --- State and status ---

/** @param {"lobby" | "joining" | "joined"} state */
function setState(state) {
  page.dataset.state = state;
  element("join").disabled = state === "joining";
  drawSelf();
}

/** Shows a sentence in the live region. @param {string} message */
function setStatus(message) {
  element("status").textContent = message;
}

showAddress();
