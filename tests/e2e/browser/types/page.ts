// A web developer's page. Where something is expected to be a mistake, it is one if TypeScript says
// nothing.
import { BywayError, Call, Channel, FailureEvent, Peer, PeerEvent, join, openCamera, openDevices } from "https://call.example.org/byway.js";
import type { Devices, ErrorCode, IceError, Invitation, JoinOptions, MediaStates, Report, SignalingState } from "https://call.example.org/byway.js";

const stream: MediaStream = await openCamera({ audio: true, video: { width: 640 } });
const devices: Devices = await openDevices({ audio: true });
// @ts-expect-error There may be none.
devices.stream.getTracks();
const options: JoinOptions = { room: "tea", stream, name: "Ann", relayOnly: false };
const call: Call = await join(options);
await new Call({ room: "tea", server: "https://call.example.org", token: "a.b.c", stream: null }).ready;

// The choice of the server, and a certain region.
await join({ room: "tea", region: null });
await join({ room: "tea", region: "eu" });

call.addEventListener("peer", ({ peer }) => {
  const video = document.createElement("video");
  video.srcObject = peer.stream;
  peer.addEventListener("left", () => video.remove(), { once: true });
  peer.addEventListener("message", ({ data }: MessageEvent<string>) => console.log(data));
  peer.addEventListener("connection", () => peer.connection.getConfiguration().iceTransportPolicy);
  peer.send("hello");
  peer.send(new ArrayBuffer(8));
  // @ts-expect-error Neither text nor a buffer.
  peer.send(1);
  peer.addEventListener("stats", ({ report }) => console.log(report.path));
  peer.addEventListener("channel", ({ channel }) => receive(channel));
  peer.addEventListener("media", () => console.log(peer.media.microphone === "refused"));
  const screen: MediaStream | undefined = peer.streams.get("screen");
  video.srcObject = screen ?? peer.stream;
  // @ts-expect-error Only the module adds streams.
  peer.streams.set("screen", peer.stream);
  // @ts-expect-error No such event.
  peer.addEventListener("gone", () => {});
});
const onGone = (event: PeerEvent) => console.log(event.peer.name.length);
call.addEventListener("peerleft", onGone);
call.removeEventListener("peerleft", onGone);
call.addEventListener("error", ({ error, peer }: FailureEvent) => {
  if (error instanceof BywayError) console.log(error.code, error.message, peer?.id);
  const known: ErrorCode = "room-locked";
  // @ts-expect-error No code of this module.
  const unknown: ErrorCode = "no-such-code";
  // A server may send a code that this module does not know.
  console.log(error.code === known, error.code === unknown, error.code === "a-newer-code");
  // @ts-expect-error The failure of a room has no peer.
  console.log(peer.id);
});
call.addEventListener("signaling", () => {
  const state: SignalingState = call.signaling;
  // @ts-expect-error Not one of its states.
  console.log(state === "gone");
});

call.addEventListener("closed", ({ reason }) => console.log(reason?.code));
const receive = async (channel: Channel) => {
  channel.addEventListener("message", ({ data }) => console.log(data));
  await channel.send(new Uint8Array(8));
  const state: "connecting" | "open" | "closed" = channel.readyState;
  console.log(channel.label, state, channel.bufferedAmount.toFixed());
  // @ts-expect-error It is read only.
  channel.label = "files";
};

const states: MediaStates = { microphone: "on", camera: "busy" };
call.setMedia(states);
call.setMedia({ camera: "off" });
// @ts-expect-error Not a state of a device.
call.setMedia({ camera: "loud" });
await call.replaceTrack("video", null);
// @ts-expect-error Not a kind of a track.
await call.replaceTrack("screen", null);
await call.addStream(stream, "screen");
await call.removeStream("screen");
if (call.host && !call.locked && !call.viewer) {
  call.lock(call.viewers > 8);
  const { token, expiresAt }: Invitation = await call.invite({ ttl: 3600, viewer: true });
  console.log(token, new Date(expiresAt));
}
await join({ room: "tea", viewer: true, signal: AbortSignal.timeout(5000) });

const id: string | null = call.id;
const first: Peer | undefined = call.peers[0];
call.setRelayOnly(!call.relayOnly);
await call.setStream(null);
if (first) {
  const report: Report = await first.report();
  const errors: IceError[] = report.iceErrors;
  console.log(id, report.path === "relayed", report.protocol, errors.map(({ url, code, text }) => `${url} ${code} ${text}`));
  const ms: number = await first.ping(1000, { signal: AbortSignal.timeout(500) });
  await receive(first.openChannel("files"));
  if (first.host || first.viewer) call.remove(first);
  console.log(ms.toFixed(), report.roundTripMs?.toFixed(), report.framesDecoded + report.framesSent);
  // @ts-expect-error Null in the first report.
  report.receivingBps.toFixed();
}
call.leave();

// @ts-expect-error A room has to have a name.
await join({ stream });
// @ts-expect-error What is misspelt is no option.
await join({ room: "tea", relayonly: true });
// @ts-expect-error It is read only.
call.peers = [];
