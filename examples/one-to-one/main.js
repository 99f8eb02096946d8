/** Call of two people. */
import { join, openCamera } from "http://localhost:8080/byway.js";

const [own, other] = document.querySelectorAll("video");
const status = document.querySelector("[role=status]");
const say = (text) => (status.textContent = text);

// Anyone who knows the name of a room can join it.
location.hash ||= crypto.randomUUID();

let stream;
try {
  stream = own.srcObject = await openCamera();
  const call = await join({ room: location.hash, stream });
  call.addEventListener("closed", ({ reason }) => {
    for (const track of stream.getTracks()) track.stop();
    own.srcObject = other.srcObject = null;
    say(reason?.message ?? "The call has ended.");
  });
  if (call.peers.length > 1) {
    call.leave();
    throw new Error("Two people are in this call already.");
  }
  say("Send the address of this page to the other person.");
  call.addEventListener("peer", ({ peer }) => {
    // A third person leaves at once.
    if (peer !== call.peers[0]) return;
    other.srcObject = peer.stream;
    peer.addEventListener("open", () => say("You are connected."));
  });
  call.addEventListener("peerleft", () => {
    if (call.peers.length) return;
    other.srcObject = null;
    say("The other person has left.");
  });
  call.addEventListener("error", ({ error }) => say(error.message));
  document.querySelector("button").onclick = () => call.leave();
} catch (error) {
  for (const track of stream?.getTracks() ?? []) track.stop();
  own.srcObject = null;
  say(error.message);
}
