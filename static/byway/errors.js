/** Errors, each with a code for the program and a message for the person. */

/**
 * Codes for which this module has a sentence. A server may send others.
 * @typedef {"insecure-page" | "camera-denied" | "no-camera" | "camera-busy" | "camera-failed"
 *   | "camera-overconstrained" | "microphone-denied" | "no-microphone" | "microphone-busy"
 *   | "microphone-failed" | "microphone-overconstrained"
 *   | "server-unreachable" | "bad-room" | "bad-name" | "room-full" | "room-locked" | "viewers-full"
 *   | "too-many-rooms" | "rate-limited" | "joined-too-often" | "token-required" | "bad-token"
 *   | "token-expired" | "token-not-yet-valid" | "token-too-far-ahead" | "wrong-room" | "not-host"
 *   | "no-tokens" | "replaced" | "removed" | "left" | "bye" | "no-echo" | "connection-failed"
 *   | "connection-lost" | "relay-unreachable" | "bad-purpose" | "too-many-streams" | "bad-label"
 *   | "too-many-channels" | "channel-closed" | "message-too-large"
 *   | "no-timeline"} ErrorCode
 */

/** Error with a `code` for the program and a `message` for the person. */
export class BywayError extends Error {
  /**
   * @param {ErrorCode | (string & {})} code
   * @param {string} [message] Defaults to this module's sentence for the code.
   * @param {ErrorOptions} [options]
   */
  constructor(code, message = sentenceOf(code) ?? `An error occurred (${code}).`, options) {
    super(message, options);
    this.name = "BywayError";
    /** @type {ErrorCode | (string & {})} */ this.code = code;
  }
}

/**
 * Error for an `error` message of the server. Uses this module's sentence for the code, or else the
 * server's.
 * @param {{ code: string, message?: string, retry_ms?: number }} answer
 */
export const serverError = ({ code, message, retry_ms }) =>
  // `rate-limited` covers messages and joins. Only a rejected join has `retry_ms`.
  new BywayError(code, (retry_ms === undefined ? sentenceOf(code) : MESSAGES["joined-too-often"]) ?? message);

/** Whether the server rejected the join token. @param {BywayError} error */
export const isTokenError = ({ code }) => TOKEN_ERRORS.has(code);

/**
 * Error for a `bye` message of the server.
 * @param {string} code
 */
export const byeError = (code) => new BywayError(code, sentenceOf(code) ?? MESSAGES.bye);

/**
 * Error for a failed connection, with the failure of each relay. Browsers often report nothing
 * about a relay that does not answer. So without any relay candidate, an asked relay without an
 * error counts as one that did not answer.
 *
 * @param {ErrorCode} code
 * @param {import("./peer.js").Peer} peer
 * @param {string[]} asked URLs of the relays that the connection asked for candidates.
 */
export function connectionError(code, { name, connection, iceErrors }, asked) {
  const relays = relaysOf(connection);
  const hasNoRelayCandidate = !/ typ relay/.test(connection.localDescription?.sdp ?? "");
  /**
   * URLs by failure. A server has one URL for each transport, and mostly fails alike at all.
   * @type {Record<string, string[]>}
   */
  const urlsByFailure = {};
  for (const url of relays) {
    const rejection = iceErrors.find((known) => known.url === url && known.code !== UNREACHABLE);
    if (rejection) (urlsByFailure[`refused ${REFUSED[rejection.code] ?? "to serve"} (${rejection.code})`] ??= []).push(url);
    else if (hasNoRelayCandidate && asked.includes(url)) (urlsByFailure["did not answer"] ??= []).push(url);
  }
  const reasons = Object.entries(urlsByFailure).map(([failure, urls]) => `The relay at ${urls.join(", ")} ${failure}.`);
  if (!relays.length) reasons.push("The call server offers no relay to get around the blocked path.");
  // A function, because `$&` in a replacement string would be a pattern.
  const message = MESSAGES[code].replace("{name}", () => name || "the other person");
  return new BywayError(code, [message, ...reasons].join(" "));
}

/**
 * URLs of the relays in a connection's configuration.
 * @param {RTCPeerConnection} connection
 */
export const relaysOf = (connection) =>
  (connection.getConfiguration().iceServers ?? []).flatMap(({ urls }) => urls).filter((url) => /^turns?:/.test(url));

/** Code in `icecandidateerror` for a server that could not be reached. */
const UNREACHABLE = 701;

/**
 * Refusals of a relay by STUN error code. The text that browsers add has no more detail.
 * @type {Record<number, string>}
 */
const REFUSED = {
  401: "the credentials",
  486: "another connection of this user",
  508: "because its capacity is used up",
};

const TOKEN_ERRORS = new Set([
  "token-required",
  "bad-token",
  "token-expired",
  "token-not-yet-valid",
  "token-too-far-ahead",
  "wrong-room",
]);

/**
 * Sentence for a code, if this module has one.
 * @param {string} code
 * @returns {string | undefined}
 */
const sentenceOf = (code) => (Object.hasOwn(MESSAGES, code) ? MESSAGES[/** @type {ErrorCode} */ (code)] : undefined);

/** @type {Record<ErrorCode, string>} */
const MESSAGES = {
  "insecure-page": "Browsers give camera and microphone only to pages opened over https:// or on localhost. Open this page over https://.",
  "camera-denied": "The browser was not allowed to use the camera. Allow it in the browser's settings.",
  "no-camera": "No camera was found. Connect one, then turn it on.",
  "camera-busy": "The camera is in use by another program, or does not work. Close that program.",
  "camera-failed": "The camera could not be opened. Restart the browser, then try again.",
  "camera-overconstrained": "No camera here can do what was asked. Choose another camera, or a smaller picture.",
  "microphone-denied": "The browser was not allowed to use the microphone. Allow it in the browser's settings.",
  "no-microphone": "No microphone was found. Connect one, then turn it on.",
  "microphone-busy": "The microphone is in use by another program, or does not work. Close that program.",
  "microphone-failed": "The microphone could not be opened. Restart the browser, then try again.",
  "microphone-overconstrained": "No microphone here can do what was asked. Choose another microphone.",
  "server-unreachable": "The call server cannot be reached. Check your network, then try again.",
  "bad-room": "This room name is not valid: use 1 to 128 ordinary characters.",
  "bad-name": "This name is not valid: use 1 to 64 ordinary characters, or leave it empty.",
  "room-full": "This room is full: try again when someone has left.",
  "room-locked": "This room is locked: ask its host to unlock it, then try again.",
  "viewers-full": "This room has as many viewers as it can have: try again when one has left.",
  "too-many-rooms": "The call server has no capacity for another room: try again later.",
  "rate-limited": "Too many messages were sent at once, and the call server dropped some of them: wait a moment.",
  "joined-too-often": "Too many people joined from this network at once: wait a moment, then try again.",
  "token-required": "This call server requires an invitation: open the whole link that you received.",
  "bad-token": "The invitation in this link is not valid here: ask for a new link.",
  "token-expired": "The invitation in this link has expired: ask for a new link.",
  "token-not-yet-valid": "The invitation in this link is not valid yet: try again later.",
  "token-too-far-ahead": "The invitation in this link is not valid here: ask for a new link.",
  "wrong-room": "The invitation in this link is for another room: open the link exactly as you received it.",
  "not-host": "Only a host of this room can do this: ask the host.",
  "no-tokens": "This room is open and needs no invitation: send the link of the room.",
  replaced: "Another connection took over this call: close this page, or join again.",
  removed: "You were removed from this room.",
  left: "The call was left before the server answered: join again.",
  bye: "The call server ended this call.",
  "no-timeline": "The call server keeps no timelines: update it.",
  "no-echo": "The other person's browser did not answer in time: try again.",
  "connection-failed": "The connection to {name} failed; trying again.",
  "connection-lost":
    "No path to {name} works. Leave and join again. If that does not help, one of you has to try another network.",
  "relay-unreachable": "No relay can be used, so {name} cannot be reached through one.",
  "bad-purpose": "This purpose of a stream is not valid: use 1 to 32 characters, and not \"camera\".",
  "too-many-streams": "This call has had too many purposes of streams: use one of them again.",
  "bad-label": "This label of a channel is not valid: use 1 to 64 characters.",
  "too-many-channels": "Too many channels to this person are open: close one, then try again.",
  "channel-closed": "The channel is closed: open it again, if the other person is still here.",
  "message-too-large": "This message is too large for the other browser: send it in parts.",
};
