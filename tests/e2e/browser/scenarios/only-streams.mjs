/** Networks that let out no UDP, or nothing but TLS to one port. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { authority } from "../browsers.mjs";
import { Authority } from "../certificates.mjs";
import { eventually } from "../eventually.mjs";
import { relaysOver, says } from "../page.mjs";
import { TCP_ALONE, startFor, tlsAlone } from "../server.mjs";
import { call, room } from "../stage.mjs";

test("a call needs nothing but one TLS port: for the page, its signaling and the relay", async (scenario) => {
  const server = await startFor(scenario, tlsAlone(authority.issue()));
  const pages = await call(scenario, room(scenario), { origin: server.origin, relay: true });
  await relaysOver("tls", server, pages);
  assert.ok(server.origin.startsWith("https:"));
  assert.ok((await server.metric('byway_tls_connections_total{outcome="turn"}')) >= 2);
  assert.ok((await server.metric("byway_turn_streams")) >= 2);
});

test("a call needs no UDP", async (scenario) => {
  const server = await startFor(scenario, TCP_ALONE);
  const pages = await call(scenario, room(scenario), { origin: server.origin, relay: true });
  await relaysOver("tcp", server, pages);
  assert.ok((await server.metric("byway_turn_streams")) >= 2);
});

test("a relay whose certificate is not accepted is named", async (scenario) => {
  const stranger = new Authority();
  afterwards(scenario, () => stranger.forget());
  const relays = {
    "of an issuer that nobody knows": await startFor(scenario, tlsAlone(stranger.issue())),
    "for another name": await startFor(scenario, tlsAlone(authority.issue("elsewhere.test"))),
  };
  const urls = Object.values(relays).map(({ origin }) => `${origin.replace("https://", "turns:")}?transport=tcp`);
  const server = await startFor(scenario, { udp: null, urls });
  const [page] = await call(scenario, room(scenario), { origin: server.origin, relay: true });

  await says(page, /No relay can be used/);
  const sentence = await page.locator("#status").innerText();
  assert.ok(sentence.includes(`The relay at ${urls.join(", ")} did not answer.`), sentence);
  for (const [which, relay] of Object.entries(relays)) {
    await eventually(`a certificate ${which} refused`, async () =>
      (await relay.metric('byway_tls_connections_total{outcome="alert"}')) > 0 || null,
    );
  }
});
