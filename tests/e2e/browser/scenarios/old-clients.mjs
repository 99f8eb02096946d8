/**
 * Browsers know RFC 5389 and no more. That they authenticate at all, every relayed call shows; here
 * it is seen that they do after all of RFC 8489 was offered to them, as it is over a connection: to
 * a first Allocate over UDP it would be too long.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { relaysOver } from "../page.mjs";
import { TCP_ALONE, startFor } from "../server.mjs";
import { call, firefox, room } from "../stage.mjs";
import { listenIn } from "../tap.mjs";

const BROWSERS = {
  Chromium: { skip: false, choose: () => ({}) },
  Firefox: { skip: withoutFirefox, choose: async () => ({ browser: await firefox() }) },
};

for (const [name, { skip, choose }] of Object.entries(BROWSERS)) {
  test(`${name}, offered PASSWORD-ALGORITHMS, signs by SHA-1 and is served`, { skip }, async (scenario) => {
    let server = null;
    const tap = await listenIn(scenario, () => server.listen.tcp);
    server = await startFor(scenario, { ...TCP_ALONE, urls: [tap.url] });
    const pages = await call(scenario, room(scenario), { origin: server.origin, relay: true, ...(await choose()) });
    await relaysOver("tcp", server, pages);

    // Each in the order of its attributes; a first request has none of these.
    const forms = new Set(tap.heard.map(({ type, attributes }) => [type, ...attributes].join(" ")));
    assert.deepEqual([...forms], [
      "request",
      "error NONCE PASSWORD-ALGORITHMS",
      "request NONCE MESSAGE-INTEGRITY",
      "success MESSAGE-INTEGRITY",
    ]);
  });
}
