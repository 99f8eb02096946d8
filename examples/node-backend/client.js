/** Call of two people over the backend's signaling, with a plain RTCPeerConnection. */
const [own, other] = document.querySelectorAll("video");
const status = document.querySelector("[role=status]");
const say = (text) => (status.textContent = text);

location.hash ||= crypto.randomUUID();

/** Handles the signals of the present peer. */
let handle = async (_signal) => {};
let connection = null;
/** Steps run one after the other, in the order of the events. */
let last = Promise.resolve();
const inTurn = (step) => (last = last.then(step).catch((error) => say(error.message)));

try {
  const stream = (own.srcObject = await navigator.mediaDevices.getUserMedia({ audio: true, video: true }));
  const events = new EventSource(`/events?${new URLSearchParams({ room: location.hash })}`);
  const on = (type, act) => events.addEventListener(type, ({ data }) => act(JSON.parse(data)));
  on("waiting", () => say("Send the address of this page to the other person."));
  on("peer", (peer) => inTurn(() => connect(peer, stream)));
  on("signal", (signal) => inTurn(() => handle(signal)));
  on("left", () => {
    say("The other person has left.");
    inTurn(hangUp);
  });
  on("refused", ({ message }) => {
    events.close();
    say(message);
  });
  events.onerror = () => {
    say("The connection to the server is lost. Trying again...");
    inTurn(hangUp);
  };
} catch (error) {
  say(error.message);
}

function hangUp() {
  connection?.close();
  other.srcObject = null;
  handle = async () => {};
}

async function connect({ ticket, polite }, stream) {
  hangUp();
  const answer = await fetch(`/ice?ticket=${ticket}`);
  if (!answer.ok) throw new Error("No ICE servers: the log of the backend has the reason.");
  const mine = (connection = new RTCPeerConnection(await answer.json()));

  // One request after the other, because the order matters.
  let sending = Promise.resolve();
  const send = (signal) => {
    const body = JSON.stringify(signal);
    const post = () => fetch(`/signal?ticket=${ticket}`, { method: "POST", body });
    sending = sending.then(post).catch((error) => say(error.message));
  };
  const describe = async () => {
    await mine.setLocalDescription();
    send({ description: mine.localDescription });
  };

  // The polite peer makes the first offer. Later either side may.
  const mayOffer = () => mine.signalingState !== "closed" && (polite || mine.currentLocalDescription);
  mine.onnegotiationneeded = () => inTurn(() => mayOffer() && describe());
  mine.onicecandidate = ({ candidate }) => candidate && send({ candidate });
  mine.ontrack = ({ streams }) => (other.srcObject = streams[0]);
  mine.onconnectionstatechange = () => {
    if (mine.connectionState === "connected") say("You are connected.");
    if (mine.connectionState === "failed") mine.restartIce();
  };

  let ignoring = false;
  handle = async ({ description, candidate }) => {
    if (candidate) return ignoring || mine.addIceCandidate(candidate);
    const collides = description.type === "offer" && mine.signalingState !== "stable";
    ignoring = collides && !polite;
    if (ignoring) return;
    await mine.setRemoteDescription(description);
    if (description.type === "offer") await describe();
  };
  for (const track of stream.getTracks()) mine.addTrack(track, stream);
}
