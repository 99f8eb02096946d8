import { test } from "node:test";

import { authority, withoutFirefox } from "../browsers.mjs";
import { peers, relaysOver } from "../page.mjs";
import { startFor, tlsAlone } from "../server.mjs";
import { firefox, join, room, server } from "../stage.mjs";

/** Over TCP: old-clients.mjs. */
const SERVERS = {
  udp: () => server,
  tls: (scenario) => startFor(scenario, tlsAlone(authority.issue())),
};

for (const [protocol, serverFor] of Object.entries(SERVERS)) {
  test(`Firefox and Chromium call each other with the relay forced, over ${protocol}`, { skip: withoutFirefox }, async (scenario) => {
    const server = await serverFor(scenario);
    const options = { origin: server.origin, relay: true };
    const pages = [
      await join(scenario, room(scenario), { ...options, browser: await firefox() }),
      await join(scenario, room(scenario), options),
    ];
    await Promise.all(pages.map((page) => peers(page, 1)));
    await relaysOver(protocol, server, pages);
  });
}
