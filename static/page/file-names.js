/**
 * Names of files: made safe to save, and split for display. Parts of them come from other members.
 * Parts that load later import it; nothing that is linked into the document does.
 */

/** Longest name that is kept, in characters and in bytes of UTF-8. */
const MAX_CHARACTERS = 120;
const MAX_BYTES = 230;
/** Longest extension that survives the shortening, with its dot. */
const MAX_EXTENSION = 16;
/** Characters of a label in the name of a file that this page made. */
const MAX_LABEL = 40;

/** Control characters, and characters that are invisible or change the direction of text. */
const UNSEEN = /[\p{Cc}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;
/** Characters that some systems refuse in a name. */
const REFUSED = /[<>:"|?*]/g;
/** Names of devices on Windows, whatever their extension. */
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=\s*(?:\.|$))/i;

/**
 * Returns a name that any system can save: no path, no hidden file, no device, nothing unseen.
 * @param {string} raw Name as another page sent it.
 */
export function safeName(raw) {
  const last = raw.slice(-4_000).split(/[/\\]/).findLast((part) => part.trim() !== "" && !/^\.+$/.test(part)) ?? "";
  const seen = last.replace(/\p{Cs}/gu, "").normalize("NFC").replace(UNSEEN, "").replace(REFUSED, "_").replace(/\s+/g, " ");
  const bare = seen.replace(/^[\s.]+|[\s.]+$/g, "");
  const named = DEVICE.test(bare) ? `_${bare}` : bare;
  return shorten(named) || "file";
}

/**
 * Splits a name so that its extension can be shown in any case.
 * @param {string} name
 * @returns {{ stem: string, extension: string }} The extension has its dot, or is empty.
 */
export function splitName(name) {
  const dot = name.lastIndexOf(".");
  if (dot <= 0 || name.length - dot > MAX_EXTENSION) return { stem: name, extension: "" };
  return { stem: name.slice(0, dot), extension: name.slice(dot) };
}

/**
 * Returns the name, without extension, of a file that this page made at a time: for example
 * `photo-Ada-2026-11-29-15-46-04`. Only letters and digits of the label are kept.
 * @param {"photo" | "gif" | "recording"} kind @param {string} label Picture that it shows.
 * @param {Date} at
 */
export function datedName(kind, label, at) {
  const letters = label.normalize("NFC").replace(/[^\p{L}\p{N}\p{M}]+/gu, "-");
  const name = [...letters].slice(0, MAX_LABEL).join("").replace(/^-+|-+$/g, "");
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())];
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two);
  return [kind, ...(name ? [name] : []), ...day, ...time].join("-");
}

/** @param {string} name */
function shorten(name) {
  const { stem, extension } = splitName(name);
  const encoder = new TextEncoder();
  const size = (/** @type {string[]} */ characters) => encoder.encode(characters.join("") + extension).length;
  const kept = [...stem].slice(0, MAX_CHARACTERS - extension.length);
  while (size(kept) > MAX_BYTES) kept.pop();
  return kept.join("").trimEnd() + extension;
}
