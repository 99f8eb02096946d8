/**
 * A web developer's own site, on an origin of its own.
 */
import { once } from "node:events";
import { createServer } from "node:http";

import { afterwards } from "./afterwards.mjs";

const TYPES = { js: "text/javascript", html: "text/html" };

/**
 * Serves these files until the scenario ends.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {Record<string, string | Uint8Array>} files What stands at each path: "/index.html" is the
 *   page.
 * @returns {Promise<string>} Its origin.
 */
export async function elsewhere(scenario, files) {
  const site = createServer((request, response) => {
    const path = request.url === "/" ? "/index.html" : request.url;
    if (!Object.hasOwn(files, path)) return response.writeHead(404).end();
    response.setHeader("Content-Type", `${TYPES[path.split(".").pop()]}; charset=utf-8`);
    return response.end(files[path]);
  });
  await once(site.listen(0, "127.0.0.1"), "listening");
  afterwards(scenario, () => {
    site.closeAllConnections?.();
    site.close();
  });
  return `http://127.0.0.1:${site.address().port}`;
}
