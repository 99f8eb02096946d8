/** Screen beside the camera. */
import { join, openCamera } from "http://localhost:8080/byway.js";

const button = document.querySelector("button");
const status = document.querySelector("[role=status]");
const pictures = document.querySelector("div");
const say = (text) => (status.textContent = text);

/** Stream of the screen, while it is shared. */
let shared = null;

location.hash ||= crypto.randomUUID();

try {
  const call = await join({ room: location.hash, stream: await openCamera() });
  say("Open the address of this page in another tab or browser.");
  call.addEventListener("peer", ({ peer }) => show(peer));
  call.addEventListener("error", ({ error }) => say(error.message));
  button.disabled = false;
  button.onclick = () => (shared ? stop(call) : share(call));
} catch (error) {
  say(error.message);
}

async function share(call) {
  try {
    shared = await navigator.mediaDevices.getDisplayMedia({ video: true, audio: true });
  } catch {
    return say("The screen is not shared. Press the button and choose a screen or window.");
  }
  shared.getVideoTracks()[0].onended = () => stop(call);
  button.setAttribute("aria-pressed", "true");
  await call.addStream(shared, "screen");
}

async function stop(call) {
  for (const track of shared.getTracks()) track.stop();
  shared = null;
  button.setAttribute("aria-pressed", "false");
  await call.removeStream("screen");
}

/** Shows one picture for each stream of the peer. */
function show(peer) {
  const videos = new Map();
  const update = () => {
    for (const [purpose, stream] of peer.streams) {
      if (!videos.has(purpose)) videos.set(purpose, addVideo(purpose));
      if (videos.get(purpose).srcObject !== stream) videos.get(purpose).srcObject = stream;
    }
    for (const [purpose, video] of videos) {
      if (peer.streams.has(purpose)) continue;
      video.remove();
      videos.delete(purpose);
    }
  };
  update();
  peer.addEventListener("streams", update);
  peer.addEventListener("left", () => videos.forEach((video) => video.remove()));
}

function addVideo(purpose) {
  const video = document.createElement("video");
  video.autoplay = video.playsInline = true;
  video.dataset.purpose = purpose;
  pictures.append(video);
  return video;
}
