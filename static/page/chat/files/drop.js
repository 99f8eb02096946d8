/** Files that a person drops on a part of the page, and pictures that are pasted. */

/**
 * Takes dropped files and pasted pictures.
 * @param {HTMLElement} target Part of the page, of class `dropping` while files are over it.
 * @param {(files: File[]) => void} take
 * @returns {() => void} Ends it.
 */
export function takesFiles(target, take) {
  const closed = new AbortController();
  const { signal } = closed;
  /** @type {(type: string, act: (event: any) => void) => void} */
  const listen = (type, act) => target.addEventListener(type, act, { signal });
  const mark = (/** @type {boolean} */ isOver) => target.classList.toggle("dropping", isOver);

  for (const type of ["dragenter", "dragover"]) {
    listen(type, (event) => {
      if (!isOfFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      mark(true);
    });
  }
  listen("dragleave", ({ relatedTarget }) => target.contains(relatedTarget) || mark(false));
  listen("drop", (event) => {
    mark(false);
    if (!isOfFiles(event)) return;
    event.preventDefault();
    const files = filesOf(event.dataTransfer);
    if (files.length) take(files);
  });
  listen("paste", ({ clipboardData }) => {
    // Text that is pasted from an office program has a picture of itself.
    const isText = clipboardData?.types.includes("text/plain");
    const pictures = [...(clipboardData?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
    if (pictures.length && !isText) take(pictures);
  });
  return () => {
    closed.abort();
    mark(false);
  };
}

/** Keeps a file that misses its target from replacing the page, which would end the call. */
export function refuseFiles() {
  for (const type of ["dragover", "drop"]) {
    addEventListener(type, (event) => {
      const isForField = /** @type {Element} */ (event.target).closest?.("input[type=file]");
      if (isOfFiles(/** @type {DragEvent} */ (event)) && !isForField) event.preventDefault();
    });
  }
}

/** @param {DragEvent} event */
const isOfFiles = ({ dataTransfer }) => Boolean(dataTransfer?.types.includes("Files"));

/** Files without folders, which cannot be read. @param {DataTransfer} transfer */
const filesOf = ({ items }) =>
  [...items]
    .filter((item) => item.kind === "file" && !item.webkitGetAsEntry?.()?.isDirectory)
    .flatMap((item) => item.getAsFile() ?? []);
