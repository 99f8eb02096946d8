/** Errors, each with a code for the program and a message for the person. */

/** Error with a `code` for the program and a `message` for the person. */
export class BywayError extends Error {
  /**
   * @param {string} code
   * @param {string} [message] Defaults to this module's sentence for the code.
   * @param {ErrorOptions} [options]
   */
  constructor(code, message = MESSAGES[code] ?? `An error occurred (${code}).`, options) {
    super(message, options);
    this.name = "BywayError";
    this.code = code;
  }
}

/**
 * Error for an `error` message of the server. Uses this module's sentence for the code, or else the
 * server's.
 * @param {{ code: string, message?: string, retry_ms?: number }} answer
 */
export const serverError = ({ code, message, retry_ms }) =>
  // `rate-limited` covers messages and joins. Only a rejected join has `retry_ms`.
  new BywayError(code, (retry_ms === undefined ? MESSAGES[code] : MESSAGES["joined-too-often"]) ?? message);

/**
 * Error for a `bye` message of the server.
 * @param {string} code
 */
export const byeError = (code) => new BywayError(code, MESSAGES[code] ?? MESSAGES.bye);

/**
 * Error for a failed connection, with the failure of each relay. Browsers often report nothing
 * about a relay that does not answer. So without any relay candidate, an asked relay without an
 * error counts as one that did not answer.
 *
 * @param {string} code
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

/** @type {Record<string, string>} */
const MESSAGES = {
  "insecure-page": "Browsers give camera and microphone only to pages opened over https:// or on localhost. Open this page over https://.",
  "camera-denied": "The browser was not allowed to use the camera. Allow it in the browser's settings.",
  "no-camera": "No camera was found. Connect one, then turn it on.",
  "camera-busy": "The camera is in use by another program, or does not work. Close that program.",
  "camera-failed": "The camera could not be opened. Restart the browser, then try again.",
  "microphone-denied": "The browser was not allowed to use the microphone. Allow it in the browser's settings.",
  "no-microphone": "No microphone was found. Connect one, then turn it on.",
  "microphone-busy": "The microphone is in use by another program, or does not work. Close that program.",
  "microphone-failed": "The microphone could not be opened. Restart the browser, then try again.",
  "server-unreachable": "The call server cannot be reached. Check your network, then try again.",
  "bad-room": "This room name is not valid: use 1 to 128 ordinary characters.",
  "bad-name": "This name is not valid: use 1 to 64 ordinary characters, or leave it empty.",
  "room-full": "This room is full: try again when someone has left.",
  "too-many-rooms": "The call server has no capacity for another room: try again later.",
  "rate-limited": "Too many messages were sent at once, and the call server dropped some of them: wait a moment.",
  "joined-too-often": "Too many people joined from this network at once: wait a moment, then try again.",
  "token-required": "This call server requires an invitation: open the whole link that you received.",
  "bad-token": "The invitation in this link is not valid here: ask for a new link.",
  "token-expired": "The invitation in this link has expired: ask for a new link.",
  "token-not-yet-valid": "The invitation in this link is not valid yet: try again later.",
  "token-too-far-ahead": "The invitation in this link is not valid here: ask for a new link.",
  "wrong-room": "The invitation in this link is for another room: open the link exactly as you received it.",
  replaced: "Another connection took over this call: close this page, or join again.",
  removed: "You were removed from this room.",
  left: "The call was left before the server answered: join again.",
  bye: "The call server ended this call.",
  "no-echo": "The other person's browser did not answer in time: try again.",
  "connection-failed": "The connection to {name} failed; trying again.",
  "connection-lost":
    "No path to {name} works. Leave and join again. If that does not help, one of you has to try another network.",
  "relay-unreachable": "No relay can be used, so {name} cannot be reached through one.",
};
