/** Files between two people, over a channel with back-pressure. */
import { join } from "http://localhost:8080/byway.js";

const CHUNK = 64 * 1024;
/** The receiver keeps a file in memory. */
const MAX_SIZE = 1024 ** 3;

const input = document.querySelector("input");
const status = document.querySelector("[role=status]");
const list = document.querySelector("ul");
const say = (text) => (status.textContent = text);

location.hash ||= crypto.randomUUID();

try {
  const call = await join({ room: location.hash });
  say("Open the address of this page in another tab or browser.");
  call.addEventListener("peer", ({ peer }) => connect(peer));
  call.addEventListener("error", ({ error }) => say(error.message));
} catch (error) {
  say(error.message);
}

/** Both ends open the same label, and each gets its end of one channel. */
function connect(peer) {
  const channel = peer.openChannel("files");
  channel.addEventListener("open", () => {
    input.disabled = false;
    say("Connected: choose a file.");
  });
  channel.addEventListener("close", () => {
    input.disabled = true;
    say("The other person has left.");
  });
  const receive = receiver();
  channel.addEventListener("message", ({ data }) => {
    try {
      receive(data);
    } catch (error) {
      channel.close();
      say(`Stopped: ${error.message}`);
    }
  });
  input.onchange = async () => {
    input.disabled = true;
    try {
      for (const file of input.files) await send(file, channel);
    } catch (error) {
      say(error.message);
    }
    input.value = "";
    input.disabled = channel.readyState === "closed";
  };
}

/** Sends the name and the size, the bytes in chunks, and a last word. */
async function send(file, channel) {
  const { progress } = addLine(file.name, file.size);
  await channel.send(JSON.stringify({ name: file.name, size: file.size }));
  for (let at = 0; at < file.size; at += CHUNK) {
    await channel.send(await file.slice(at, at + CHUNK).arrayBuffer());
    progress.value = at + CHUNK - channel.bufferedAmount;
  }
  await channel.send("end");
  progress.value = file.size;
}

/** Receives files. The peer may send anything, so everything is checked. */
function receiver() {
  let file = null;
  return (data) => {
    if (typeof data !== "string") {
      file?.chunks.push(data);
      if (!file || (file.received += data.byteLength) > file.size) throw new Error("More arrived than was announced.");
      file.line.progress.value = file.received;
    } else if (data !== "end") {
      const { name, size } = JSON.parse(data);
      if (typeof name !== "string" || !(size >= 0 && size <= MAX_SIZE)) throw new Error("The file is too large.");
      file = { name, size, received: 0, chunks: [], line: addLine(name, size) };
    } else if (file) {
      if (file.received < file.size) say(`${file.name} arrived incomplete. Ask for it again.`);
      else file.line.item.append(link(file));
      file = null;
    }
  };
}

function addLine(name, size) {
  const item = document.createElement("li");
  const progress = document.createElement("progress");
  progress.max = Math.max(size, 1);
  item.append(`${name}, ${size} bytes `, progress, " ");
  list.append(item);
  return { item, progress };
}

function link({ name, chunks }) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob(chunks));
  anchor.download = name;
  anchor.textContent = "Save";
  return anchor;
}
