/** Icons of the chat alone, which the document need not carry. */

/** Paper clip. */
export const CLIP = "M8 12.5 14.5 6a3 3 0 0 1 4.2 4.2l-8 8a5 5 0 0 1-7-7L11 4";
/** Face that smiles. */
export const FACE = "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 1 0 0-17M9 9.5v.5M15 9.5v.5M8 14a5 5 0 0 0 8 0";

/** Builds an icon of a path. @param {string} path */
export function drawing(path) {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(namespace, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}
