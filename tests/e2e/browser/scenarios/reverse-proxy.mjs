import assert from "node:assert/strict";
import { test } from "node:test";

import { videoFlows } from "../connections.mjs";
import { nginxFor, withoutNginx } from "../nginx.mjs";
import { enter, peers } from "../page.mjs";
import { startFor } from "../server.mjs";
import { open, room } from "../stage.mjs";

const API_KEY = "a-key-for-programs";

// "/" is the page at its host's root; below "/call/", nginx takes the path off.
for (const path of ["/", "/call/"]) {
  test(`two people call each other through nginx, which has the page at ${path}`, { skip: withoutNginx }, async (scenario) => {
    const server = await startFor(scenario, { apiKeys: [API_KEY] });
    const page = await nginxFor(scenario, path, server.listen.http);

    // One by a link that a backend asked for, and the other by the link that the page shows.
    const asked = await fetch(new URL("invite", page), {
      method: "POST",
      headers: { Authorization: `Bearer ${API_KEY}` },
      body: JSON.stringify({ room: room(scenario) }),
    });
    assert.equal(asked.status, 201, await asked.clone().text());
    const { url } = await asked.json();
    assert.ok(url.startsWith(`${page}?room=`), url);
    const first = await open(scenario, url);
    const link = await first.locator("#room-link").inputValue();
    assert.ok(link.startsWith(`${page}?room=`), link);
    const second = await open(scenario, link);
    for (const person of [first, second]) await enter(person);
    await Promise.all([peers(first, 1), peers(second, 1)]);
    await videoFlows(first, second);

    // Back to where rooms are named, which is below the path, too.
    await second.locator(".brand").click();
    await second.locator("#new-call").waitFor();
    assert.equal(second.url(), page);
  });
}

test("an operator starts a call through nginx, below a path", { skip: withoutNginx }, async (scenario) => {
  const server = await startFor(scenario, { access: "token" });
  const page = await nginxFor(scenario, "/call/", server.listen.http);
  const stranger = await open(scenario, page);
  await stranger.locator("#landing[data-entry=closed]").waitFor();
  assert.equal(await stranger.locator("h1:visible").innerText(), new URL(page).host);
  const link = (await server.invite("--host")).split("#")[1];
  const operator = await open(scenario, `${page}#${link}`);
  await operator.click("#new-call");
  await enter(operator);
  assert.ok(operator.url().startsWith(`${page}?room=`), operator.url());
});

test("a page imports byway.js from below a path, or names the server there", { skip: withoutNginx }, async (scenario) => {
  const server = await startFor(scenario, {});
  const page = await nginxFor(scenario, "/call/", server.listen.http);
  const developers = await open(scenario, page);
  for (const named of [undefined, page, page.replace(/\/$/, ""), `${page}?room=x#y`]) {
    const members = await developers.evaluate(
      async ([module, room, server]) => {
        const { join } = await import(module);
        const call = await join({ room, ...(server && { server }) });
        call.leave();
        return call.peers.length;
      },
      [`${page}byway.js`, room(scenario), named],
    );
    assert.equal(members, 0, named);
  }
});
