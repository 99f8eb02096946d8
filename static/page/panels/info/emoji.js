/**
 * Short form of the two certificates of a connection, which people can compare aloud.
 *
 * Both ends derive the same seven emoji from the same pair of fingerprints. A server that puts
 * itself between them has other certificates, and so other emoji. It could look for certificates
 * that give the same ones: seven of 64 are 42 bits, few for a plain hash. PBKDF2 makes each try
 * cost as much as {@link ITERATIONS} hashes, more than fit into the start of a call.
 */

/** Emoji that differ in shape and color, with the key of each name. @type {[string, string][]} */
export const EMOJI = [
  ["🐶", "dog"], ["🐱", "cat"], ["🦁", "lion"], ["🐴", "horse"], ["🐷", "pig"], ["🐘", "elephant"], ["🐰", "rabbit"],
  ["🐼", "panda"], ["🐓", "rooster"], ["🐧", "penguin"], ["🦉", "owl"], ["🐢", "turtle"], ["🐟", "fish"],
  ["🐙", "octopus"], ["🦋", "butterfly"], ["🐝", "bee"], ["🌷", "tulip"], ["🌳", "tree"], ["🌵", "cactus"],
  ["🍄", "mushroom"], ["🌍", "globe"], ["🌙", "moon"], ["⭐", "star"], ["🔥", "fire"], ["🌈", "rainbow"],
  ["🍌", "banana"], ["🍎", "apple"], ["🍓", "strawberry"], ["🍇", "grapes"], ["🌽", "corn"], ["🍕", "pizza"],
  ["🎂", "cake"], ["🥚", "egg"], ["🧀", "cheese"], ["☕", "coffee"], ["🤖", "robot"], ["👻", "ghost"], ["👑", "crown"],
  ["🎩", "hat"], ["👓", "glasses"], ["👟", "shoe"], ["🧦", "socks"], ["🎁", "gift"], ["💡", "lamp"], ["📖", "book"],
  ["✂️", "scissors"], ["🔑", "key"], ["🔨", "hammer"], ["🔔", "bell"], ["⏰", "clock"], ["☂️", "umbrella"],
  ["⚓", "anchor"], ["🚂", "train"], ["🚲", "bicycle"], ["✈️", "airplane"], ["🚀", "rocket"], ["⛵", "sailboat"],
  ["🚗", "car"], ["🏠", "house"], ["⚽", "ball"], ["🏆", "trophy"], ["🎸", "guitar"], ["🥁", "drum"], ["🎈", "balloon"],
];

/** Emoji in a sequence. */
const LENGTH = 7;

/** As OWASP recommends for passwords. A quarter of a second on a laptop. */
const ITERATIONS = 600_000;

/** Keeps these sequences apart from other uses of the same fingerprints. */
const SALT = new TextEncoder().encode("byway emoji 1");

/**
 * Returns the emoji of a pair of SHA-256 fingerprints, alike at both ends. Rejects on a page
 * without `crypto.subtle`, which is one without HTTPS.
 *
 * @param {{ local: string, remote: string }} fingerprints
 * @param {SubtleCrypto} [subtle]
 * @returns {Promise<[string, string][]>}
 */
export async function emojiOf({ local, remote }, subtle = globalThis.crypto.subtle) {
  const pair = [local, remote].map((fingerprint) => fingerprint.toUpperCase()).sort();
  const bytes = pair.flatMap((fingerprint) => fingerprint.split(":").map((byte) => Number.parseInt(byte, 16)));
  const key = await subtle.importKey("raw", new Uint8Array(bytes), "PBKDF2", false, ["deriveBits"]);
  const algorithm = { name: "PBKDF2", hash: "SHA-256", salt: SALT, iterations: ITERATIONS };
  // One byte each, of which six bits count.
  const derived = new Uint8Array(await subtle.deriveBits(algorithm, key, 8 * LENGTH));
  return [...derived].map((byte) => EMOJI[byte % EMOJI.length]);
}
