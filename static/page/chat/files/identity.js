/**
 * Identity of a page over two memberships. After a restart of the server, all members are new to
 * each other. Two pages that shared a secret before prove it without telling it.
 *
 * The proof is an HMAC of the fingerprints at both ends of the DTLS connection, the own one first.
 * A page can therefore neither pass on a proof of another page nor send one back.
 */

/** @typedef {{ local: string, remote: string }} Fingerprints */

/**
 * Returns the secret of two pages, from the keys that they told each other.
 * @param {string} one @param {string} other
 */
export const secretOf = (one, other) => [one, other].sort().join(" ");

/**
 * @param {string} secret @param {Fingerprints} fingerprints As the page that proves sees them.
 * @returns {Promise<string>} 64 hexadecimal digits.
 */
export async function proofOf(secret, { local, remote }) {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
  const proof = await crypto.subtle.sign("HMAC", key, encoder.encode(`byway.files ${local} ${remote}`));
  return [...new Uint8Array(proof)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns the fingerprints as the other page sees them. @param {Fingerprints} fingerprints */
export const seenByOther = ({ local, remote }) => ({ local: remote, remote: local });
