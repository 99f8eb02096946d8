/** Ids of messages and transfers. */

/** Returns 128 random bits as 22 characters: no member can guess an id before it is sent. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
