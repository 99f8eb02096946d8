// A web developer's page. Where something is expected to be a mistake, it is one if TypeScript says
// nothing.
import { BywayError, Call, FailureEvent, Peer, PeerEvent, join, openCamera, openDevices } from "https://call.example.org/byway.js";
import type { Devices, IceError, JoinOptions, Report, SignalingState } from "https://call.example.org/byway.js";

const stream: MediaStream = await openCamera({ audio: true, video: { width: 640 } });
const devices: Devices = await openDevices({ audio: true });
// @ts-expect-error There may be none.
devices.stream.getTracks();
const options: JoinOptions = { room: "tea", stream, name: "Ann", relayOnly: false };
const call: Call = await join(options);
await new Call({ room: "tea", server: "https://call.example.org", token: "a.b.c", stream: null }).ready;

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
  // @ts-expect-error No such event.
  peer.addEventListener("gone", () => {});
});
const onGone = (event: PeerEvent) => console.log(event.peer.name.length);
call.addEventListener("peerleft", onGone);
call.removeEventListener("peerleft", onGone);
call.addEventListener("error", ({ error, peer }: FailureEvent) => {
  if (error instanceof BywayError) console.log(error.code, error.message, peer?.id);
  // @ts-expect-error The failure of a room has no peer.
  console.log(peer.id);
});
call.addEventListener("signaling", () => {
  const state: SignalingState = call.signaling;
  // @ts-expect-error Not one of its states.
  console.log(state === "gone");
});

const id: string | null = call.id;
const first: Peer | undefined = call.peers[0];
call.setRelayOnly(!call.relayOnly);
await call.setStream(null);
if (first) {
  const report: Report = await first.report();
  const errors: IceError[] = report.iceErrors;
  console.log(id, report.path === "relayed", report.protocol, errors.map(({ url, code, text }) => `${url} ${code} ${text}`));
  const ms: number = await first.ping(1000);
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
