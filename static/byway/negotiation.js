/** Perfect negotiation. */

/**
 * Signal between two browsers. `epoch` numbers the connections between the two, and `n` the signals
 * of one sender. `restart` requests an ICE restart. Beside a description are the purposes of the
 * sender's streams by stream id, and the kinds that its camera has.
 * @typedef {{ epoch?: number, n?: number, description?: RTCSessionDescription | null,
 *   candidate?: RTCIceCandidate | null, restart?: boolean, streams?: unknown,
 *   sends?: unknown }} Signal
 */

/**
 * Media of a connection, which takes part in its negotiation.
 * @typedef {object} MediaNegotiation
 * @property {(signal: Signal) => void} expect Called before a description of the peer is applied.
 * @property {() => void} answer Called between an offer of the peer and the answer.
 * @property {() => void} settle Called after an exchange, and before the next one.
 */

/**
 * Starts perfect negotiation, after the example of that name in the WebRTC recommendation (section
 * 10.7). Either side may change the session at any time. If two offers collide, the polite side
 * rolls its own back.
 *
 * There are three additions:
 * - `offering`: the side that was in the room first lets the other make the first offer.
 * - `yieldTo`: if both first offers collide, the polite side does not roll back. A new connection
 *   answers instead. Chromium, told to roll back a first offer within milliseconds of setting it,
 *   gathers no candidate on that connection, not even after an ICE restart.
 * - `media`: takes transceivers of the peer's offer, so that the answer has them.
 *
 * @param {RTCPeerConnection} connection
 * @param {{ polite: boolean, offering: boolean, send: (data: Signal) => void,
 *   yieldTo: (offer: Signal) => void, media: MediaNegotiation }} role `yieldTo` replaces this
 *   connection by one that answers the offer.
 * @returns {(data: Signal) => Promise<void>} Handles a signal of the peer. To be called with each,
 *   in the order of the peer.
 */
export function negotiate(connection, { polite, offering, send, yieldTo, media }) {
  let makingOffer = false;
  let ignoreOffer = false;
  let isSettingRemoteAnswerPending = false;

  connection.onicecandidate = ({ candidate }) => candidate && send({ candidate });

  connection.onnegotiationneeded = async () => {
    if (!offering) return; // fires again after the answer to the peer's offer, if still needed
    try {
      makingOffer = true;
      await connection.setLocalDescription();
      send({ description: connection.localDescription });
    } catch (error) {
      logError(error);
    } finally {
      makingOffer = false;
    }
  };

  /** @param {RTCSessionDescription} description @param {Signal} signal */
  const handleDescription = async (description, signal) => {
    offering = true;
    // While an answer is being set, the state will be stable by the time the offer is processed.
    const readyForOffer = !makingOffer && (connection.signalingState === "stable" || isSettingRemoteAnswerPending);
    const collides = description.type === "offer" && !readyForOffer;
    ignoreOffer = !polite && collides;
    if (ignoreOffer) return;
    if (collides && !connection.currentLocalDescription) return yieldTo(signal);
    media.expect(signal);
    isSettingRemoteAnswerPending = description.type === "answer";
    try {
      await connection.setRemoteDescription(description); // rolls back this end's offer if needed
    } finally {
      isSettingRemoteAnswerPending = false;
    }
    if (description.type === "offer") {
      media.answer();
      await connection.setLocalDescription();
      send({ description: connection.localDescription });
    }
    media.settle();
  };

  /** @param {RTCIceCandidate} candidate */
  const handleCandidate = async (candidate) => {
    try {
      await connection.addIceCandidate(candidate);
    } catch (error) {
      if (!ignoreOffer) throw error; // candidates of an ignored offer cannot be added
    }
  };

  /**
   * Logs an error. A signal that cannot be used is the peer's fault and must not end the call.
   * @param {unknown} error
   */
  const logError = (error) => {
    if (connection.signalingState !== "closed") console.error(error);
  };

  return async (signal) => {
    const { description, candidate } = signal;
    try {
      if (description) await handleDescription(description, signal);
      else if (candidate) await handleCandidate(candidate);
    } catch (error) {
      logError(error);
    }
  };
}
