/** Perfect negotiation, and what a connection sends. */

/**
 * What two browsers tell each other. `epoch` numbers the connections they had with each other, `n`
 * what one of them ever said; `restart` asks for an ICE restart.
 * @typedef {{ epoch?: number, n?: number, description?: RTCSessionDescription | null, candidate?: RTCIceCandidate | null,
 *   restart?: boolean }} Signal
 */

/**
 * Perfect negotiation, as the example of that name in the WebRTC recommendation (section 10.7) has
 * it: either side may change anything at any time, and where two offers meet, the polite side takes
 * its own back.
 *
 * There are two additions. `offering`: the side that was in the room first lets the other make the
 * first offer. `cede`: where both first offers meet, the polite side does not roll back but lets a
 * fresh connection answer. Chromium, told to roll back a first offer within milliseconds of setting
 * it, gathers no candidate on that connection, not even after an ICE restart.
 *
 * @param {RTCPeerConnection} connection
 * @param {{ polite: boolean, offering: boolean, send: (data: Signal) => void, cede: (data: Signal)
 *   => void }} role `cede`: hands the other side's offer to a connection that takes this one's
 *   place.
 * @returns {(data: Signal) => Promise<void>} To be called with what the other side told, in its
 *   order.
 */
export function negotiate(connection, { polite, offering, send, cede }) {
  let makingOffer = false;
  let ignoreOffer = false;
  let isSettingRemoteAnswerPending = false;

  connection.onicecandidate = ({ candidate }) => candidate && send({ candidate });

  connection.onnegotiationneeded = async () => {
    if (!offering) return; // fired again once their offer is answered, if it left anything open
    try {
      makingOffer = true;
      await connection.setLocalDescription();
      send({ description: connection.localDescription });
    } catch (error) {
      complain(error);
    } finally {
      makingOffer = false;
    }
  };

  /** @param {RTCSessionDescription} description */
  const hearDescription = async (description) => {
    offering = true;
    // While an answer is being set we will be stable by the time the offer is processed.
    const readyForOffer = !makingOffer && (connection.signalingState === "stable" || isSettingRemoteAnswerPending);
    const collides = description.type === "offer" && !readyForOffer;
    ignoreOffer = !polite && collides;
    if (ignoreOffer) return;
    if (collides && !connection.currentLocalDescription) return cede({ description });
    isSettingRemoteAnswerPending = description.type === "answer";
    try {
      await connection.setRemoteDescription(description); // takes our own offer back where needed
    } finally {
      isSettingRemoteAnswerPending = false;
    }
    if (description.type === "offer") {
      await connection.setLocalDescription();
      send({ description: connection.localDescription });
    }
  };

  /** @param {RTCIceCandidate} candidate */
  const hearCandidate = async (candidate) => {
    try {
      await connection.addIceCandidate(candidate);
    } catch (error) {
      if (!ignoreOffer) throw error; // the candidates of an ignored offer have no place
    }
  };

  /**
   * What the other side told and we cannot use is its fault, and never ends the room.
   * @param {unknown} error
   */
  const complain = (error) => {
    if (connection.signalingState !== "closed") console.error(error);
  };

  return async ({ description, candidate }) => {
    try {
      if (description) await hearDescription(description);
      else if (candidate) await hearCandidate(candidate);
    } catch (error) {
      complain(error);
    }
  };
}

/**
 * Makes `stream` what the connection sends; renegotiates only where something new has to be
 * announced.
 *
 * @param {RTCPeerConnection} connection
 * @param {MediaStream | null} stream
 */
export async function sendStream(connection, stream) {
  for (const kind of ["audio", "video"]) {
    if (connection.signalingState === "closed") return;
    const track = stream?.getTracks().find((candidate) => candidate.kind === kind) ?? null;
    const transceiver = connection.getTransceivers().find(({ receiver }) => receiver.track.kind === kind);
    if (transceiver) {
      if (track) transceiver.direction = "sendrecv";
      await transceiver.sender.replaceTrack(track);
    } else if (track && stream) {
      connection.addTrack(track, stream);
    }
  }
}
