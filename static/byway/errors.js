/** What can fail, in plain language. */

/** A failure: `message` is for the person, `code` for the program. */
export class BywayError extends Error {
  /**
   * @param {string} code
   * @param {string} [message] Defaults to the sentence this module knows for the code.
   * @param {ErrorOptions} [options]
   */
  constructor(code, message = SENTENCES[code] ?? `An error occurred (${code}).`, options) {
    super(message, options);
    this.name = "BywayError";
    this.code = code;
  }
}

/**
 * What the server refused, in our words where we have some, else in its own.
 * @param {{ code: string, message?: string, retry_ms?: number }} answer
 */
export const refusal = ({ code, message, retry_ms }) =>
  // One code for too much of anything; only who comes too often is told when to come again.
  new BywayError(code, (retry_ms === undefined ? SENTENCES[code] : SENTENCES["joined-too-often"]) ?? message);

/**
 * The server's `bye`.
 * @param {string} code
 */
export const farewell = (code) => new BywayError(code, SENTENCES[code] ?? SENTENCES.bye);

/**
 * A failed connection, with what is known of each relay. Of one that does not answer browsers often
 * report nothing at all, so that silence of one that was asked counts as no answer where no relay
 * was had.
 *
 * @param {string} code
 * @param {import("./peer.js").Peer} peer
 * @param {string[]} asked URLs of the relays that the connection has asked for candidates.
 */
export function connectionError(code, { name, connection, iceErrors }, asked) {
  const relays = relaysOf(connection);
  const silent = !/ typ relay/.test(connection.localDescription?.sdp ?? "");
  /**
   * One server has a URL for each transport, and mostly the same to say at all of them.
   * @type {Record<string, string[]>}
   */
  const saying = {};
  for (const url of relays) {
    const refused = iceErrors.find((known) => known.url === url && known.code !== NO_ANSWER);
    if (refused) (saying[`refused ${REFUSED[refused.code] ?? "to serve"} (${refused.code})`] ??= []).push(url);
    else if (silent && asked.includes(url)) (saying["did not answer"] ??= []).push(url);
  }
  const reasons = Object.entries(saying).map(([said, urls]) => `The relay at ${urls.join(", ")} ${said}.`);
  if (!relays.length) reasons.push("The call server offers no relay to get around the blocked path.");
  // A function: in a name, `$&` is no pattern.
  const sentence = SENTENCES[code].replace("{name}", () => name || "the other person");
  return new BywayError(code, [sentence, ...reasons].join(" "));
}

/**
 * URLs of the relays in a connection's configuration.
 * @param {RTCPeerConnection} connection
 */
export const relaysOf = (connection) =>
  (connection.getConfiguration().iceServers ?? []).flatMap(({ urls }) => urls).filter((url) => /^turns?:/.test(url));

/** What `icecandidateerror` calls a server that could not be reached. */
const NO_ANSWER = 701;

/**
 * What a relay refused, by its code: the text that browsers add says no more than that it did.
 * @type {Record<number, string>}
 */
const REFUSED = {
  401: "the credentials",
  486: "another connection of this user",
  508: "because its capacity is used up",
};

/** @type {Record<string, string>} */
const SENTENCES = {
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
