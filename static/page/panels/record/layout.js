/** Places of pictures in a composed one: as in the call, by their number and the large one. */

/** @typedef {{ x: number, y: number, width: number, height: number }} Place */

const GAP = 8;
/** Part of the width that a strip of small pictures takes beside a large one. */
const STRIP = 0.2;
/** Own picture over that of the only other person. */
const INSET = 0.24;

/**
 * Returns a place for each picture, in their order.
 * @param {number} count
 * @param {{ width: number, height: number, large: number | null, pair: boolean }} options `large`:
 *   index of the large picture; `pair`: the first one is an inset in the second one.
 * @returns {Place[]}
 */
export function layOut(count, { width, height, large, pair }) {
  const whole = { x: 0, y: 0, width, height };
  if (count <= 1) return [whole];
  if (large !== null) return withLarge(count, large, width, height);
  if (pair && count === 2) {
    const inset = { width: width * INSET, height: width * INSET * 0.75 };
    return [{ ...inset, x: width - inset.width - 2 * GAP, y: height - inset.height - 2 * GAP }, whole];
  }
  const columns = Math.ceil(Math.sqrt(count));
  const rows = Math.ceil(count / columns);
  const cell = { width: (width - (columns + 1) * GAP) / columns, height: (height - (rows + 1) * GAP) / rows };
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? count - row * columns : columns;
    // The last row stands in the middle.
    const indent = ((columns - inRow) * (cell.width + GAP)) / 2;
    return { ...cell, x: GAP + indent + (index % columns) * (cell.width + GAP), y: GAP + row * (cell.height + GAP) };
  });
}

/** @param {number} count @param {number} large @param {number} width @param {number} height */
function withLarge(count, large, width, height) {
  const strip = width * STRIP;
  const small = Math.max(GAP, Math.min(strip * 0.75, (height - GAP) / (count - 1) - GAP));
  let next = 0;
  return Array.from({ length: count }, (_, index) => {
    if (index === large) return { x: 0, y: 0, width: width - strip - 2 * GAP, height };
    const y = GAP + next * (small + GAP);
    next += 1;
    return { x: width - strip - GAP, y, width: strip, height: small };
  });
}
