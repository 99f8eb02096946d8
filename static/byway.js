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
 * - `byway/hosting.js`: requests of a host to the server;
 * - `byway/timeline.js`: reports of the call's connections, with consent, and its timeline;
 * - `byway/observations.js`: what a connection shows, for these reports;
 * - `byway/replacements.js`: limit of the connections that a peer replaces;
 * - `byway/local-streams.js`: streams that a call sends, with their purposes and media states;
 * - `byway/peer.js`: one peer, with its streams, messages, channels and statistics;
 * - `byway/channel.js`: labelled messages with back-pressure, over one connection after another;
 * - `byway/camera.js`: getUserMedia with readable errors, each device by itself;
 * - `byway/peer-connection.js`: one connection to a peer, built from the next nine;
 * - `byway/sent-streams.js`: transceivers for the streams of the call;
 * - `byway/received-streams.js`: streams of the peer, sorted by purpose;
 * - `byway/control.js`: echo and media states between the modules of both ends;
 * - `byway/media-state.js`: states of microphone and camera;
 * - `byway/negotiation.js`: perfect negotiation;
 * - `byway/ice-restart.js`: ICE restarts, and errors about relays that do not answer;
 * - `byway/key-frame.js`: requests for key frames, so that no picture stands;
 * - `byway/stall.js`: detection of connections on which nothing arrives;
 * - `byway/credential-refresh.js`: ICE restarts before credentials expire;
 * - `byway/report.js`: path and traffic, read from the statistics;
 * - `byway/signaling.js`: the WebSocket to the server, with reconnect, resume and resend;
 * - `byway/nearest-region.js`: region of the relay, in a cluster;
 * - `byway/region-race.js`: its measurement, loaded if there are several regions;
 * - `byway/connectivity.js`: moments at which connections may have broken unnoticed;
 * - `byway/events.js`: event targets with typed events;
 * - `byway/errors.js`: errors with a code and a readable message.
 *
 * @module byway
 */

export { join, Call } from "./byway/call.js";
export { openCamera, openDevices } from "./byway/camera.js";
export { Channel } from "./byway/channel.js";
export { BywayError } from "./byway/errors.js";
export { ChannelEvent, ClosedEvent, FailureEvent, PeerEvent, StatsEvent } from "./byway/events.js";
export { Peer } from "./byway/peer.js";

/** @typedef {import("./byway/call.js").JoinOptions} JoinOptions */
/** @typedef {import("./byway/call.js").SignalingState} SignalingState */
/** @typedef {import("./byway/camera.js").Devices} Devices */
/** @typedef {import("./byway/errors.js").ErrorCode} ErrorCode */
/** @typedef {import("./byway/hosting.js").Invitation} Invitation */
/** @typedef {import("./byway/hosting.js").InvitationOptions} InvitationOptions */
/** @typedef {import("./byway/media-state.js").DeviceState} DeviceState */
/** @typedef {import("./byway/media-state.js").MediaStates} MediaStates */
/** @typedef {import("./byway/report.js").Report} Report */
/** @typedef {import("./byway/peer.js").IceError} IceError */
/** @typedef {import("./byway/timeline.js").CallTimeline} CallTimeline */
/** @typedef {import("./byway/timeline.js").TimelineEvent} TimelineEvent */
/** @typedef {import("./byway/timeline.js").TimelineMember} TimelineMember */
