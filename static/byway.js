/**
 * Byway in the browser: join a room and get a connection to everyone in it.
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
 * Plain ES modules without dependencies or a build step; this one is the door, and docs/client.md is its manual. Behind
 * it, from the page to the network:
 *
 *     byway/call.js        being in a room: who is there, and a connection to each
 *     byway/peer.js        someone else in the room: what comes from them, what is sent to them
 *     byway/camera.js      getUserMedia with sentences, each device by itself
 *     byway/line.js        one connection to a peer, with all that keeps it going
 *     byway/negotiation.js perfect negotiation
 *     byway/recovery.js    ICE restarts, and what is said where no relay answers
 *     byway/stall.js       connections over which nothing comes any more
 *     byway/rotation.js    relayed paths move to fresh credentials in time
 *     byway/report.js      how a connection runs, read from its statistics
 *     byway/signaling.js   our place in the room: what is said and heard, over one WebSocket after the other
 *     byway/network.js     when it is worth looking whether all of that is still there
 *     byway/events.js      event targets with typed events
 *     byway/errors.js      what can fail, in plain language
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
