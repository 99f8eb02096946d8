/**
 * Joins a room of a Byway server and takes the call of the next member, by node-datachannel
 * (libdatachannel).
 *
 * A newcomer makes the offers (docs/signaling.md), so this end only answers. It is a mirror:
 * what it is shown it shows again, and what the call page's module and the tests send over data
 * channels it sends back. It ends when the other leaves.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { PeerConnection, initLogger } from "node-datachannel";
import { WebSocket } from "ws";

import { mirror } from "./media.mjs";

/** The beginning and the end of a URL of TURN (RFC 7065), and libdatachannel's name for it. */
const TRANSPORTS = {
  udp: { scheme: "turn:", query: "?transport=udp", relayType: "TurnUdp" },
  tcp: { scheme: "turn:", query: "?transport=tcp", relayType: "TurnTcp" },
  tls: { scheme: "turns:", query: "?transport=tcp", relayType: "TurnTls" },
};

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    room: { type: "string" },
    ca: { type: "string" },
    transport: { type: "string", default: "udp" },
    relay: { type: "boolean", default: false },
  },
});
if (!options.url || !options.room || !TRANSPORTS[options.transport]) {
  console.error("usage: peer.mjs --url wss://HOST[:PORT]/ws --room ROOM [--ca FILE] [--transport udp|tcp|tls] [--relay]");
  process.exit(2);
}
process.on("SIGTERM", () => end());
// libdatachannel reports a refusal by throwing.
process.on("uncaughtException", ({ message }) => fail(message));

/** Last warning of libdatachannel about something that it does not support. */
let warning = "";
initLogger("Warning", (_, message) => (warning = message));

// ---- Signaling
// ----------------------------------------------------------------------------------------------

const server = new WebSocket(options.url, "byway.v1", options.ca ? { ca: readFileSync(options.ca) } : {});
const send = (message) => server.send(JSON.stringify(message));

server.on("open", () => send({ type: "join", room: options.room, name: "node-datachannel" }));
server.on("message", (frame) => hear(JSON.parse(frame)));
server.on("error", ({ message }) => fail(message));
server.on("close", () => fail("the server closed the connection"));

/** The first who speaks to us, and what we have with them: one connection at a time. */
let other = null;
let epoch = 0;
let connection = null;
let ice = null;

/** @param {any} message Unknown types are for newer clients. */
function hear(message) {
  switch (message.type) {
    case "joined":
      ({ ice } = message);
      return tell("joined");
    case "ice":
      ice = message;
      return;
    case "signal":
      other ??= message.from;
      return message.from === other && signaled(message.data);
    case "peer-left":
      if (message.id !== other) return;
      tell("left");
      return end();
    case "error":
      return message.code !== "no-such-peer" && fail(message.message);
    case "bye":
      fail(`the server ended it: ${message.code}`);
  }
}

/** A higher epoch begins a new connection; a lower one concerns a connection that is gone. */
function signaled({ epoch: its = 0, description, candidate }) {
  if (its < epoch) return;
  if (its > epoch || !connection) {
    connection?.close();
    epoch = its;
    connection = connect((data) => send({ type: "signal", to: other, data: { epoch: its, ...data } }));
  }
  if (description?.type === "offer") {
    connection.setRemoteDescription(description.sdp, "offer");
    connection.setLocalDescription("answer");
  }
  // An empty one says that there are no more for now.
  if (candidate?.candidate) connection.addRemoteCandidate(candidate.candidate, candidate.sdpMid);
}

/** Without `process.exit` the threads of libdatachannel would stay. */
function end(status = 0) {
  connection?.close();
  process.exit(status);
}

// ---- The connection
// ---------------------------------------------------------------------------------------------

/** @param {(data: object) => void} signal */
function connect(signal) {
  const connection = new PeerConnection("byway", { ...configuration(), disableAutoNegotiation: true });
  let gathered = 0;
  connection.onLocalDescription((sdp, type) => signal({ description: { sdp, type } }));
  connection.onLocalCandidate((candidate, sdpMid) => {
    gathered += 1;
    signal({ candidate: { candidate, sdpMid } });
  });
  connection.onGatheringStateChange((state) => {
    if (state !== "complete" || gathered) return;
    fail(`no relay was had over ${options.transport}, and there is nothing else to connect from: ${warning}`);
  });
  connection.onStateChange((state) => {
    const pair = state === "connected" && connection.getSelectedCandidatePair();
    tell(state, pair ? { local: pair.local.type, remote: pair.remote.type } : {});
  });
  connection.onTrack((track) => mirror(track, tell));
  connection.onDataChannel((channel) => {
    if (channel.getLabel() === "test-echo") channel.onMessage((text) => channel.sendMessage(text));
  });

  // The module of the call page numbers its channels by agreement (static/byway/peer.js).
  connection.createDataChannel("byway", { negotiated: true, id: 0 });
  const echo = connection.createDataChannel("byway.echo", { negotiated: true, id: 1 });
  echo.onMessage((text) => {
    const [kind, nonce] = text.split(" ", 2);
    if (kind === "ping") echo.sendMessage(`pong ${nonce}`);
  });
  return connection;
}

/** Configuration from `joined`, with only the requested transport of TURN. */
function configuration() {
  const { scheme, query, relayType } = TRANSPORTS[options.transport];
  const iceServers = ice.iceServers.flatMap(({ urls, username, credential: password }) =>
    urls.flatMap((url) => {
      if (url.startsWith("stun:")) return url;
      const address = url.startsWith(scheme) && url.endsWith(query) && url.slice(scheme.length, -query.length);
      if (!address) return [];
      const [, hostname, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address);
      return { hostname, port: Number(port), username, password, relayType };
    }),
  );
  return { iceServers, iceTransportPolicy: options.relay ? "relay" : ice.iceTransportPolicy };
}

// ---- What is told
// -----------------------------------------------------------------------------------------------

function tell(event, details = {}) {
  console.log(JSON.stringify({ event, ...details }));
}

function fail(sentence) {
  console.error(sentence);
  end(1);
}
