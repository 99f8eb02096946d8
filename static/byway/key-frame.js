/**
 * Key frames on request. A picture stands until the next key frame if packets of it were lost, as
 * during a sleep, and Chromium waits three seconds before it asks by itself.
 */

/**
 * Requests key frames while video packets arrive that cannot be decoded.
 *
 * @param {RTCPeerConnection} connection
 * @param {{ request: () => void, signal: AbortSignal }} context `request`: asks the peer's module.
 * @returns {() => void} Looks closely for a while, for when packets may have been lost.
 */
export function watchPictures(connection, { request, signal }) {
  /** Latest counters of each video stream. @type {Map<string, VideoCount & { stood: number }>} */
  let before = new Map();
  let looks = 0;
  let vain = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;

  const look = async () => {
    const now = countVideos([...(await connection.getStats()).values()]);
    if (signal.aborted) return;
    let stands = false;
    before = new Map([...now].map(([id, count]) => {
      const stood = isStanding(before.get(id), count) ? (before.get(id)?.stood ?? 0) + 1 : 0;
      if (stood >= STANDING_LOOKS) stands = true;
      return [id, { ...count, stood }];
    }));
    if (!stands) vain = 0;
    // A peer that sends what this browser cannot decode at all is not asked for ever.
    else if (vain++ < MAX_VAIN) request();
    looks -= 1;
    clearTimeout(timer);
    timer = setTimeout(look, looks > 0 ? LOOK_MS : REST_MS);
  };
  const closely = () => {
    looks = CLOSE_LOOKS;
    vain = 0;
    if (signal.aborted) return;
    request();
    look();
  };

  connection.addEventListener("connectionstatechange", () => {
    if (connection.connectionState === "connected") closely();
  }, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  return closely;
}

/**
 * Packets and decoded frames of a video stream.
 * @typedef {{ packets: number, frames: number }} VideoCount
 */

/**
 * @param {any[]} stats The values of an RTCStatsReport.
 * @returns {Map<string, VideoCount>} By the id of the stream's statistics.
 */
export function countVideos(stats) {
  const videos = stats.filter(({ type, kind }) => type === "inbound-rtp" && kind === "video");
  return new Map(videos.map(({ id, packetsReceived = 0, framesDecoded = 0 }) => [id, { packets: packetsReceived, frames: framesDecoded }]));
}

/**
 * Whether packets of a picture arrived, and none of its frames could be decoded.
 * @param {VideoCount | undefined} before
 * @param {VideoCount} now
 */
const isStanding = (before, now) => before !== undefined && now.packets > before.packets && now.frames === before.frames;

/**
 * Returns a function that makes a connection send a key frame of each video, at most once in a
 * while: the peer asks for it, and a peer may be hostile.
 *
 * @param {RTCPeerConnection} connection
 * @returns {() => Promise<void>}
 */
export function keyFrameSender(connection) {
  let sentAt = -Infinity;
  return async () => {
    if (performance.now() - sentAt < SENDING_MS) return;
    sentAt = performance.now();
    const senders = connection.getSenders().filter(({ track }) => track?.kind === "video");
    // A failure is no harm: the peer's browser asks by itself later.
    await Promise.all(senders.map((sender) => sendKeyFrame(sender).catch(() => {})));
  };
}

/** @param {RTCRtpSender} sender */
async function sendKeyFrame(sender) {
  const parameters = sender.getParameters();
  if (!parameters.encodings?.length) return;
  let isSupported = false;
  const options = {
    // A browser without this option does not read it.
    get encodingOptions() {
      isSupported = true;
      return parameters.encodings.map(() => ({ keyFrame: true }));
    },
  };
  const setParameters = /** @type {(parameters: RTCRtpSendParameters, options?: object) => Promise<void>} */ (
    sender.setParameters.bind(sender)
  );
  await setParameters(parameters, options);
  if (isSupported || !parameters.encodings.some(({ active }) => active)) return;
  // An encoder that begins again begins with a key frame.
  for (const active of [false, true]) {
    const again = sender.getParameters();
    again.encodings.forEach((encoding, index) => (encoding.active = active && parameters.encodings[index].active));
    await sender.setParameters(again);
  }
}

const LOOK_MS = 300;
/** Looks after a moment at which packets may have been lost: five seconds. */
const CLOSE_LOOKS = 16;
/** Between looks at other times, when the browser itself notices what it loses. */
const REST_MS = 5_000;
/** Looks in a row without a decoded frame: one may fall between a frame's packets. */
const STANDING_LOOKS = 2;
/** Requests in a row without effect. */
const MAX_VAIN = 10;
/** A key frame is as large as many frames. */
const SENDING_MS = 500;
