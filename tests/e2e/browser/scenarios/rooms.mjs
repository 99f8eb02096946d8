import assert from "node:assert/strict";
import { test } from "node:test";

import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { addressOf, enter, peers, says } from "../page.mjs";
import { startFor } from "../server.mjs";
import { call, join, open, room, server } from "../stage.mjs";

/** Opens the panel "People". */
async function openPeople(page) {
  await page.click("#people");
  await page.locator("#panel-body .people").waitFor();
}

test("in an open room, who came first is the host, and the next one after that", async (scenario) => {
  const [first, second] = await call(scenario, room(scenario), { name: "Ada" });
  await openPeople(first);
  await first.getByLabel("Lock the room").waitFor();
  await openPeople(second);
  assert.equal(await second.getByLabel("Lock the room").count(), 0);
  await first.click("#hangup");
  await second.getByLabel("Lock the room").waitFor();
  await says(second, /You are the host/);
});

test("a host asks someone to mute, who does it with one click", async (scenario) => {
  const host = await join(scenario, room(scenario), { name: "Ada" });
  const guest = await join(scenario, room(scenario), { name: "Ben" });
  await Promise.all([peers(host, 1), peers(guest, 1)]);
  await videoFlows(host, guest);
  await openPeople(host);
  await host.getByRole("button", { name: "Ask Ben to mute" }).click();
  await guest.locator("[data-notice=mute]").waitFor();
  assert.match(await guest.locator("[data-notice=mute]").innerText(), /Ada, the host, asks you to mute/);
  await guest.locator("[data-notice=mute] button").click();
  await host.locator(".peer[data-microphone=off]").waitFor({ state: "attached" });
});

test("a member that is no host cannot ask for it", async (scenario) => {
  const host = await join(scenario, room(scenario), { name: "Ada" });
  const guest = await join(scenario, room(scenario), { name: "Ben" });
  await Promise.all([peers(host, 1), peers(guest, 1)]);
  await videoFlows(host, guest);
  await guest.evaluate(async () => {
    const channel = document.querySelector("#call").call.peers[0].openChannel("byway.page");
    await channel.send(JSON.stringify({ mute: true }));
    await channel.send("not JSON");
    await channel.send(JSON.stringify({ hand: true }));
  });
  await host.locator(".peer .hand:not([hidden])").waitFor();
  assert.equal(await host.locator("[data-notice=mute]").count(), 0);
});

test("a host removes someone, who is told why and stays out of nothing else", async (scenario) => {
  const host = await join(scenario, room(scenario), { name: "Ada" });
  const guest = await join(scenario, room(scenario), { name: "Ben" });
  await Promise.all([peers(host, 1), peers(guest, 1)]);
  await openPeople(host);
  await host.getByRole("button", { name: "Remove Ben" }).click();
  await peers(host, 0);
  await guest.locator("[data-notice=ended]").waitFor();
  assert.match(await guest.locator("[data-notice=ended]").innerText(), /removed/i);
  assert.equal(await guest.getAttribute("#call", "data-state"), "lobby");
});

test("a locked room refuses newcomers in a sentence, and opens again", async (scenario) => {
  const host = await join(scenario, room(scenario));
  await openPeople(host);
  await host.locator(".switch:has([data-key=lock])").click();
  await host.locator("#room-state").waitFor();
  const late = await open(scenario, addressOf(server.origin, room(scenario)));
  await late.click("#join");
  await late.locator("[data-notice=ended]").waitFor();
  assert.match(await late.locator("[data-notice=ended]").innerText(), /locked/i);
  await host.locator(".switch:has([data-key=lock])").click();
  await host.locator("#room-state").waitFor({ state: "hidden" });
  await enter(late);
  await peers(host, 1);
});

test("the invitation is a link, and a code that holds it", async (scenario) => {
  const page = await join(scenario, room(scenario));
  await openPeople(page);
  assert.equal(await page.locator(".invitation input").inputValue(), addressOf(server.origin, room(scenario)));
  const dark = await page.locator(".qr").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, index) => index % 4 === 0 && value === 0).length / (data.length / 4);
  });
  assert.ok(dark > 0.2 && dark < 0.6, `${dark} of the code is dark`);
});

test("where tokens are required, a host's link invites, and a guest's does not", async (scenario) => {
  const apiKey = "k".repeat(32);
  const own = await startFor(scenario, { access: "token", apiKeys: [apiKey] });
  const response = await fetch(`${own.origin}/invite`, {
    method: "POST",
    headers: { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" },
    body: JSON.stringify({ room: room(scenario), host: true, ttl: 600 }),
  });
  assert.equal(response.status, 201);
  const host = await open(scenario, (await response.json()).url);
  await enter(host, "Ada");
  await openPeople(host);
  const link = host.locator(".invitation input");
  await eventually("a link of its own", async () => (await link.inputValue()) !== host.url() || null);
  await host.locator(".invitation select").selectOption("86400");
  await eventually("its end", async () => /can be used until/.test(await host.locator(".invitation").innerText()) || null);

  const guest = await open(scenario, await link.inputValue());
  await enter(guest, "Ben");
  await Promise.all([peers(host, 1), peers(guest, 1)]);
  await openPeople(guest);
  assert.equal(await guest.locator(".invitation select").count(), 0);
  assert.equal(await guest.getByLabel("Lock the room").count(), 0);
  const code = await guest.evaluate(() => document.querySelector("#call").call.invite({}).catch((error) => error.code));
  assert.equal(code, "not-host");

  const stranger = await open(scenario, addressOf(own.origin, room(scenario)));
  await stranger.locator("#landing[data-entry=closed]").waitFor();
  assert.match(await stranger.locator("#landing-lead").innerText(), /invitation/);
});

test("live: viewers see the speaker, send nothing, and do not see each other", async (scenario) => {
  const speaker = await open(scenario, "/");
  await speaker.click("#new-live");
  await enter(speaker, "Ada");
  const link = await speaker.inputValue("#room-link");
  assert.equal(new URL(link).searchParams.get("live"), "1");
  const viewers = [await open(scenario, link), await open(scenario, link)];
  for (const viewer of viewers) {
    assert.equal(await viewer.locator("#join").innerText(), "Watch");
    assert.equal(await viewer.locator("#microphone").isVisible(), false);
    await enter(viewer);
    await peers(viewer, 1);
    await eventually("the speaker's picture", () =>
      viewer.evaluate(() => document.querySelector(".peer video").videoWidth > 0 || null),
    );
    const sent = await viewer.evaluate(() =>
      window.connections.flatMap((connection) => connection.getSenders().map(({ track }) => track)).filter(Boolean).length,
    );
    assert.equal(sent, 0);
  }
  await peers(speaker, 0);
  await eventually("the number of viewers and the uplink", async () =>
    /2 watching, [\d.]+ [kM]bit\/s/.test(await speaker.locator("[data-notice=live]").innerText()) || null,
  );
});
