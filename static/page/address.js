/**
 * Address of the page: `/?room=NAME` names the room, `&relay=1` forces the relay, and `&live=1`
 * makes the room a live one. A join token is in the fragment (`#token=...`), which browsers do not
 * send to the server.
 */

const here = () => new URL(location.href);

/** Name of the room, or null on the landing page. */
export const room = () => here().searchParams.get("room");

/** Whether the address forces the relay. */
export const isRelayWanted = () => here().searchParams.get("relay") === "1";

/** Whether the room is live: one member speaks, viewers only receive. */
export const isLive = () => here().searchParams.get("live") === "1";

/** Join token of the address, if any. */
export const token = () => new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined;

/** Folder of the page: the server, also below a path of a reverse proxy. */
export const server = () => new URL(".", location.href).href;

/** The self-test page, with the token and the relay setting of this one. */
export const checkUrl = () => new URL(`check${isRelayWanted() ? "?relay=1" : ""}${location.hash}`, server()).href;

/**
 * Claims of a token, without a check: the server checks tokens.
 * @param {string} text
 * @returns {{ host?: unknown, operator?: unknown }}
 */
export function claimsOf(text) {
  try {
    const [, claims = ""] = text.split(".");
    return JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/"))) ?? {};
  } catch {
    return {}; // not a token that this server signs
  }
}

/** Whether the token of the address makes its bearer a host, of its room or of all rooms. */
export function isHostsToken() {
  const { host, operator } = claimsOf(token() ?? "");
  return host === true || operator === true;
}

/**
 * Returns a link to share: the room and a token, without this person's relay setting. A host's
 * token is never in it: it would make a host of the receiver.
 * @param {string} name
 * @param {{ live?: boolean, token?: string | null }} [options] Null: no token.
 */
export function linkTo(name, { live = isLive(), token: invitation = isHostsToken() ? null : token() } = {}) {
  const link = here();
  link.search = new URLSearchParams({ room: name, ...(live && { live: "1" }) }).toString();
  link.hash = invitation ? new URLSearchParams({ token: invitation }).toString() : "";
  return link.href;
}

/**
 * Writes the relay setting into the address, so that a reload keeps it.
 * @param {boolean} on
 */
export function setRelay(on) {
  const url = here();
  if (on) url.searchParams.set("relay", "1");
  else url.searchParams.delete("relay");
  history.replaceState(null, "", url);
}

/** Returns 100 random bits, in 32 characters that are hard to confuse with each other. */
export function randomRoomName() {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789";
  const random = [...crypto.getRandomValues(new Uint8Array(20))].map((byte) => letters[byte % 32]);
  return random.join("").replace(/(.{5})(?=.)/g, "$1-");
}
