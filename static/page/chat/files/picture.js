/** Pictures, told by their first bytes, since the claimed type of a file may lie. */

/** Bytes at the start of a file that are enough to know a picture. */
export const HEAD_BYTES = 256 * 1024;
/** Largest picture that is shown: more pixels could exhaust the memory of the page. */
const MAX_PIXELS = 64e6;
const MAX_SIDE = 16_384;

/**
 * Returns the type of a picture that can be shown, or null. SVG is none: it is a document.
 * @param {Uint8Array} head Up to {@link HEAD_BYTES} from the start of a file.
 * @returns {{ type: string, width: number, height: number } | null}
 */
export function pictureOf(head) {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  for (const parse of [png, gif, webp, jpeg]) {
    const picture = parse(head, view);
    if (!picture) continue;
    const { width, height } = picture;
    const fits = width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS;
    return fits ? picture : null;
  }
  return null;
}

/** @param {Uint8Array} head @param {number} at @param {string} text */
const has = (head, at, text) => [...text].every((character, index) => head[at + index] === character.charCodeAt(0));

/** @param {Uint8Array} head @param {DataView} view */
function png(head, view) {
  if (head.length < 24 || !has(head, 0, "\x89PNG\r\n\x1a\n") || !has(head, 12, "IHDR")) return null;
  return { type: "image/png", width: view.getUint32(16), height: view.getUint32(20) };
}

/** @param {Uint8Array} head @param {DataView} view */
function gif(head, view) {
  if (head.length < 10 || !(has(head, 0, "GIF87a") || has(head, 0, "GIF89a"))) return null;
  return { type: "image/gif", width: view.getUint16(6, true), height: view.getUint16(8, true) };
}

/** @param {Uint8Array} head @param {DataView} view */
function webp(head, view) {
  if (head.length < 30 || !has(head, 0, "RIFF") || !has(head, 8, "WEBP")) return null;
  const type = "image/webp";
  if (has(head, 12, "VP8X")) {
    const read24 = (/** @type {number} */ at) => (view.getUint32(at, true) & 0xffffff) + 1;
    return { type, width: read24(24), height: view.getUint16(27, true) + (head[29] << 16) + 1 };
  }
  if (has(head, 12, "VP8L")) {
    const bits = view.getUint32(21, true);
    return { type, width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 };
  }
  if (has(head, 12, "VP8 ")) return { type, width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  return null;
}

/** @param {Uint8Array} head @param {DataView} view */
function jpeg(head, view) {
  if (!has(head, 0, "\xff\xd8\xff")) return null;
  let at = 2;
  while (at + 9 <= head.length && head[at] === 0xff) {
    const marker = head[at + 1];
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { type: "image/jpeg", width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    // A fill byte, or a segment with its length.
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return null;
}
