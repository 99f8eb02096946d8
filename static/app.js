/**
 * The call page: the first user of byway.js, and an example of how to use it.
 *
 * The address says what to do: `/?room=NAME` names the room, `&relay=1` forces the relay, and a join token travels in
 * the fragment (`#token=...`), which browsers keep to themselves.
 *
 * What other programs may rely on in the page:
 *   #join #hangup #relay #room-link #status     by id
 *   video#self, .peer video                     what is seen
 *   .peer [data-path][data-protocol]            direct | relayed | connecting, and udp | tcp | tls
 *   #call[data-state]                           lobby | joining | joined
 *   document.querySelector("#call").call        the running Call of byway.js, or null
 */
import { join, openCamera } from "./byway.js";

/** @type {(id: string) => any} */
const element = (id) => document.getElementById(id);
const page = element("call");
const tiles = element("tiles");
const self = element("self");
const relay = element("relay");

/** @type {MediaStream | null} */
let stream = null;
page.call = null;

// ---- Where we are -----------------------------------------------------------------------------------------------

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

/** The link to send: the room and the token, without what is our own choice (the relay). */
function linkTo(name) {
  const link = address();
  link.search = new URLSearchParams({ room: name }).toString();
  return link.href;
}

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
element("open-room").addEventListener("submit", (event) => {
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
  hangUp();
  show();
});

// ---- Our camera and microphone ----------------------------------------------------------------------------------

/** Both where there are both, else the one there is. */
async function openDevices() {
  try {
    return await openCamera();
  } catch (error) {
    if (error.code !== "no-camera") throw error;
    return openCamera({ audio: true }).catch(() => openCamera({ video: true }));
  }
}

/** @returns {Promise<boolean>} Whether there is something to send. A sentence tells why not. */
async function turnOnDevices() {
  try {
    stream ??= await openDevices();
  } catch (error) {
    say(`${error.message} You can still join to see and hear the others.`);
  }
  drawSelf();
  return Boolean(stream);
}

function turnOffDevices() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  drawSelf();
}

/** The preview starts by itself only where that asks nobody anything. */
async function previewIfAllowed() {
  const names = ["camera", "microphone"];
  const states = await Promise.all(
    names.map((name) => navigator.permissions?.query({ name }).catch(() => null) ?? null),
  );
  if (page.dataset.state === "lobby" && states.every((permission) => permission?.state === "granted")) turnOnDevices();
}

const track = (kind) => stream?.getTracks().find((candidate) => candidate.kind === kind);
const cameraOn = () => Boolean(track("video")?.enabled);

function drawSelf() {
  if (self.srcObject !== stream) self.srcObject = stream;
  const joined = page.dataset.state === "joined";
  element("self-note").textContent = cameraOn() ? "" : joined || stream ? "Your camera is off" : "Ready when you are";
  element("preview").hidden = Boolean(stream);
  for (const [id, kind] of [["microphone", "audio"], ["camera", "video"]]) {
    element(id).hidden = !track(kind);
    element(id).setAttribute("aria-pressed", String(Boolean(track(kind)?.enabled)));
  }
}

for (const [id, kind] of [["microphone", "audio"], ["camera", "video"]]) {
  element(id).addEventListener("click", () => {
    track(kind).enabled = !track(kind).enabled;
    drawSelf();
    page.call?.peers.forEach(tellCamera);
  });
}
element("preview").addEventListener("click", turnOnDevices);

// ---- The call ---------------------------------------------------------------------------------------------------

element("lobby").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (page.dataset.state !== "lobby") return;
  setState("joining");
  say("Joining …");
  const equipped = await turnOnDevices();
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined;
  try {
    const options = { room: room(), name: element("name").value.trim(), stream, relayOnly: relay.checked, token };
    run(await join(options), equipped);
  } catch (error) {
    setState("lobby");
    say(error.message);
  }
});

/** @param {import("./byway.js").Call} call */
function run(call, equipped) {
  page.call = call;
  setState("joined");
  if (equipped && call.peers.length === 0) say("You are in. Nobody else is here yet: send them the link.");
  // Where the server relays every call, there is nothing to choose.
  relay.disabled = call.relayOnly && !relay.checked;
  relay.checked = call.relayOnly;

  call.addEventListener("peer", ({ peer }) => {
    addTile(peer);
    say(`${nameOf(peer)} is here.`);
  });
  call.addEventListener("peerleft", ({ peer }) => say(`${nameOf(peer)} left.`));
  call.addEventListener("error", ({ error, peer }) => {
    say(error.message);
    if (peer) tileOf(peer)?.setAttribute("data-trouble", error.message);
  });
  call.addEventListener("signaling", () => {
    if (call.signaling === "lost") say("The call server is out of reach; trying again.");
    if (call.signaling === "open") say("The call server is back.");
  });
  call.addEventListener("closed", leaveStage);
  element("hangup").focus();
}

function hangUp() {
  page.call?.leave();
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
  hangUp();
  say("You left the call.");
});
relay.addEventListener("change", () => {
  const here = address();
  if (relay.checked) here.searchParams.set("relay", "1");
  else here.searchParams.delete("relay");
  history.replaceState(null, "", here);
  page.call?.setRelayOnly(relay.checked);
});
addEventListener("pagehide", hangUp);

// ---- The others -------------------------------------------------------------------------------------------------

/** @type {Map<import("./byway.js").Peer, HTMLElement>} */
const shown = new Map();
const tileOf = (peer) => shown.get(peer);
const nameOf = (peer) => peer.name || "Guest";

function addTile(peer) {
  const tile = element("peer-template").content.firstElementChild.cloneNode(true);
  tile.querySelector(".name").textContent = nameOf(peer);
  tile.querySelector("video").srcObject = peer.stream;
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

/** A switched-off camera sends black; the others are told, so that they see a sentence instead. */
function tellCamera(peer) {
  try {
    peer.send(JSON.stringify({ camera: cameraOn() }));
  } catch {
    // Not open yet: told when it is.
  }
}

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

async function drawTile(peer, tile) {
  const report = await peer.report();
  if (!shown.has(peer)) return;
  const how = tile.querySelector(".how");
  const before = how.dataset.path;
  how.dataset.path = report.path;
  how.dataset.protocol = report.protocol ?? "";
  tile.querySelector(".words").textContent = inWords(report);

  const connecting = report.path === "connecting";
  if (!connecting) delete tile.dataset.trouble;
  const sees = peer.stream.getVideoTracks().some((candidate) => !candidate.muted) && !tile.classList.contains("camera-off");
  const note = connecting ? (tile.dataset.trouble ?? "Connecting …") : sees ? "" : "No camera";
  tile.querySelector(".note").textContent = note;
  // The line itself changes every second; said aloud is only a change of path.
  if (!connecting && before !== report.path) say(`${nameOf(peer)} is connected: ${pathInWords(report)}.`);
}

/** For example "Relayed over UDP · 3 ms · 1.2 Mbit/s". */
function inWords({ path, protocol, roundTripMs, receivingBps }) {
  if (path === "connecting") return "Connecting";
  const parts = [pathInWords({ path, protocol })];
  if (roundTripMs !== null) parts.push(`${Math.max(1, Math.round(roundTripMs))} ms`);
  if (receivingBps !== null) parts.push(inBits(receivingBps));
  return parts.join(" · ");
}

const pathInWords = ({ path, protocol }) =>
  `${path === "relayed" ? "Relayed" : "Direct"}${protocol ? ` over ${protocol.toUpperCase()}` : ""}`;

const inBits = (bps) => (bps < 1e6 ? `${Math.round(bps / 1e3)} kbit/s` : `${(bps / 1e6).toFixed(1)} Mbit/s`);

setInterval(() => shown.forEach((tile, peer) => drawTile(peer, tile)), 1000);

// ---- What is said -----------------------------------------------------------------------------------------------

function setState(state) {
  page.dataset.state = state;
  element("join").disabled = state === "joining";
  drawSelf();
}

function say(sentence) {
  element("status").textContent = sentence;
}

show();
