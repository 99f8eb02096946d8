/** Call of several people, with names and states. */
import { join, openCamera } from "http://localhost:8080/byway.js";

const form = document.querySelector("form");
const status = document.querySelector("[role=status]");
const controls = document.querySelector("div");
const people = document.querySelector("#people");
const say = (text) => (status.textContent = text);

location.hash ||= crypto.randomUUID();

form.onsubmit = async (event) => {
  event.preventDefault();
  form.hidden = true;
  let stream;
  try {
    stream = await openCamera();
    const name = form.querySelector("input").value;
    const call = await join({ room: location.hash, stream, name });
    const own = addTile(stream, `${name} (you)`);
    own.video.muted = true;
    controls.hidden = false;
    for (const button of controls.querySelectorAll("button")) button.onclick = () => toggle(button, stream, call);

    call.addEventListener("peer", ({ peer }) => show(peer));
    call.addEventListener("error", ({ error }) => say(error.message));
    call.addEventListener("closed", ({ reason }) => say(reason?.message ?? "The call has ended."));
    say("Send the address of this page to the others.");
  } catch (error) {
    for (const track of stream?.getTracks() ?? []) track.stop();
    form.hidden = false;
    say(error.message);
  }
};

/** Switches microphone or camera, and tells the peers. */
function toggle(button, stream, call) {
  const { kind, device } = button.dataset;
  const track = stream.getTracks().find((candidate) => candidate.kind === kind);
  if (!track) return say(`There is no ${device}.`);
  track.enabled = !track.enabled;
  button.setAttribute("aria-pressed", String(!track.enabled));
  call.setMedia({ [device]: track.enabled ? "on" : "off" });
}

function show(peer) {
  const { tile, caption } = addTile(peer.stream);
  const describe = () => {
    const { microphone, camera } = peer.media;
    const states = [microphone !== "on" && "muted", camera !== "on" && "camera off"].filter(Boolean);
    caption.textContent = [peer.name || "Guest", ...states].join(", ");
  };
  describe();
  peer.addEventListener("media", describe);
  peer.addEventListener("stats", ({ report }) => tile.classList.toggle("talks", report.audioLevel > 0.01));
  peer.addEventListener("left", () => tile.remove());
}

/** Names are chosen by strangers: show them as text, never as HTML. */
function addTile(stream, text = "") {
  const tile = document.createElement("figure");
  const video = document.createElement("video");
  const caption = document.createElement("figcaption");
  video.autoplay = video.playsInline = true;
  video.srcObject = stream;
  caption.textContent = text;
  tile.append(video, caption);
  people.append(tile);
  return { tile, video, caption };
}
