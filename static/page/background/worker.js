/**
 * Worker of the virtual background. It is a classic one, because only those can run the script of
 * the segmentation library (`importScripts`).
 */

{
  const start = Promise.all([import("../own-url.js"), import("./pipeline.js")]).then(([{ ownUrl }, { Pipeline }]) =>
    new Pipeline({
      answer: (answer, transfer = []) => postMessage(answer, { transfer }),
      importScript: (path) => /** @type {any} */ (globalThis).importScripts(ownUrl(path)),
    }));
  addEventListener("message", ({ data }) => {
    start.then(
      (pipeline) => pipeline.take(data),
      (error) => postMessage({ type: "failed", reason: String(error), isUnsupported: error.name === "Unsupported" }),
    );
  });
}
