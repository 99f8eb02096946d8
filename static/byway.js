/**
 * Byway's client for browsers: joins a room and connects to every peer in it.
 *
 *     import { join, openCamera } from "https://call.example.org/byway.js";
 *
 *     const call = await join({ room: "tea", stream: await openCamera() });
 *     call.addEventListener("peer", ({ peer }) => {
 *       const video = document.createElement("video");
 *       video.autoplay = video.playsInline = true;
 *       video.srcObject = peer.stream;
 *       document.body.append(video);
 *       peer.addEventListener("left", () => video.remove());
 *     });
 *
 * Plain ES modules without dependencies or a build step. Pages import only this one, and
 * docs/client.md is its manual. The other modules, from the page to the network:
 *
 * - `byway/call.js`: membership of a room, and a connection to each peer;
 * - `byway/peer.js`: one peer, with its stream, messages and statistics;
 * - `byway/camera.js`: getUserMedia with readable errors, each device by itself;
 * - `byway/peer-connection.js`: one connection to a peer, built from the next five;
 * - `byway/negotiation.js`: perfect negotiation;
 * - `byway/ice-restart.js`: ICE restarts, and errors about relays that do not answer;
 * - `byway/stall.js`: detection of connections on which nothing arrives;
 * - `byway/credential-refresh.js`: ICE restarts before credentials expire;
 * - `byway/report.js`: path and traffic, read from the statistics;
 * - `byway/signaling.js`: the WebSocket to the server, with reconnect, resume and resend;
 * - `byway/connectivity.js`: moments at which connections may have broken unnoticed;
 * - `byway/events.js`: event targets with typed events;
 * - `byway/errors.js`: errors with a code and a readable message.
 *
 * @module byway
 */

export { join, Call } from "./byway/call.js";
export { openCamera, openDevices } from "./byway/camera.js";
export { BywayError } from "./byway/errors.js";
export { FailureEvent, PeerEvent } from "./byway/events.js";
export { Peer } from "./byway/peer.js";

/** @typedef {import("./byway/call.js").JoinOptions} JoinOptions */
/** @typedef {import("./byway/call.js").SignalingState} SignalingState */
/** @typedef {import("./byway/camera.js").Devices} Devices */
/** @typedef {import("./byway/report.js").Report} Report */
/** @typedef {import("./byway/peer.js").IceError} IceError */
