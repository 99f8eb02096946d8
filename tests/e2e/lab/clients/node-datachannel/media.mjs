/**
 * Media of peer.mjs. libdatachannel has neither camera nor codecs: packets
 * are all there is.
 */

/**
 * Sends back every packet as it came, RTCP too: what the page has to say to its mirror concerns its
 * own stream, so its own retransmissions and key frames repair losses on the path. Tells of
 * every 30 frames.
 *
 * @param {import("node-datachannel").Track} track
 * @param {(event: string, details: object) => void} tell
 */
export function mirror(track, tell) {
  let count = 0;
  track.onMessage((packet) => {
    if (track.isOpen()) track.sendMessageBinary(packet);
    if (track.type() !== "video" || isRtcp(packet) || !endsFrame(packet)) return;
    count += 1;
    if (count % 30 === 0) tell("frames", { count });
  });
}

/** By its type (RFC 5761 section 4). */
const isRtcp = (packet) => packet[1] >= 192 && packet[1] <= 223;

/** The marker of video's payload formats, such as VP8 (RFC 7741 section 4.1). */
const endsFrame = (packet) => Boolean(packet[1] & 0x80);
