/** Limits of other members, links, tabs and remembered settings on the page. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { eventually } from "../eventually.mjs";
import { becomes, happened, join as enterWith, openWith } from "../module.mjs";
import { addressOf, enter, joined, peers, says } from "../page.mjs";
import { startFor } from "../server.mjs";
import { join, open, room, server } from "../stage.mjs";

const LABEL = "byway.page";
/** Least time between two announcements of a kind, as static/page/person.js has it. */
const REPEAT_MS = 10_000;

/** A member that is no Byway page, connected to the one that is. */
async function intruder(scenario, victim, { camera = false, ...options } = {}) {
  const page = await openWith(scenario);
  await enterWith(page, room(scenario), { camera, ...options });
  await happened(page, "open");
  await peers(victim, 1);
  return page;
}

/** Sends texts where a Byway page sends its messages. */
const tell = (page, ...texts) =>
  page.evaluate(async ([label, texts]) => {
    const channel = window.call.peers[0].openChannel(label);
    for (const text of texts) await channel.send(text);
  }, [LABEL, texts]);

/** Counts from now on what a person is told, and how often a part of the page is redrawn. */
const watch = (page, selector) =>
  page.evaluate((selector) => {
    window.told = [];
    window.drawn = 0;
    const status = document.querySelector("#status");
    new MutationObserver(() => window.told.push(status.textContent)).observe(status, { childList: true });
    const part = document.querySelector(selector);
    if (part) new MutationObserver(() => (window.drawn += 1)).observe(part, { childList: true });
  }, selector);

const openPeople = async (page) => {
  await page.click("#people");
  await page.locator("#panel-body .people").waitFor();
};

/** Names that a person sees in many places, without one that the server refuses. */
const NAMES = {
  markup: `<img src=x onerror="pwned=1"><script>pwned=1</script>`,
  "64 emoji": "😀".repeat(64),
  "letters that run to the left": "שלום עולם مرحبا",
  "a pile of accents": `Z${"\u0301".repeat(63)}`,
  "placeholders and quotes": `{name} "]'\\ {path} $& \${pwned=1}`,
};

for (const [what, name] of Object.entries(NAMES)) {
  test(`a name of ${what} is text in every part of the page`, async (scenario) => {
    const victim = await join(scenario, room(scenario));
    await watch(victim);
    const attacker = await intruder(scenario, victim, { name });
    await tell(attacker, `{"hand":true}`);
    await victim.locator(".peer .hand:not([hidden])").waitFor();
    await openPeople(victim);
    const shortened = name.length > 32 ? `${[...name].slice(0, 30).join("")}…` : name;
    const shown = await victim.evaluate(() => ({
      tile: document.querySelector(".peer .name").textContent,
      menu: document.querySelector(".peer .menu summary").ariaLabel,
      list: document.querySelectorAll("#panel-body .people .who")[1].textContent,
      told: window.told,
      within: document.querySelectorAll(".name *, .who *, #status *").length,
    }));
    assert.deepEqual({ ...shown, told: undefined }, { tile: name, menu: `Options for ${name}`, list: name, within: 0, told: undefined });
    assert.ok(shown.told.includes(`${shortened} is here.`), shown.told);
    assert.ok(shown.told.includes(`${shortened} raised the hand.`), shown.told);
    await victim.click("#info");
    await victim.locator(".connection .who").waitFor();
    assert.equal(await victim.locator(".connection .who").textContent(), name);
    // Nothing of it reaches beyond the tile or the window.
    const beyond = await victim.evaluate(() => {
      const within = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1;
      const [tile, line] = [".peer .tile", ".peer .name"].map((each) => document.querySelector(each).getBoundingClientRect());
      return { name: !within(line, tile), window: document.documentElement.scrollWidth > innerWidth };
    });
    assert.deepEqual(beyond, { name: false, window: false });
    assert.equal(await victim.evaluate(() => window.pwned), undefined);
  });
}

test("a hand that goes up and down all the time is told once, and takes no button away", async (scenario) => {
  const host = await join(scenario, room(scenario));
  const attacker = await intruder(scenario, host, { name: "Mallory" });
  await openPeople(host);
  await watch(host, "#panel-body .people");
  await tell(attacker, ...Array.from({ length: 3_000 }, (_, index) => `{"hand":${index % 2 === 0}}`), `{"hand":true}`);
  await eventually("the last state", () => host.evaluate(() => document.querySelector(".peer .hand:not([hidden])") && true));
  const { told, drawn } = await host.evaluate(() => ({ told: window.told.filter((text) => /hand/.test(text)).length, drawn: window.drawn }));
  assert.equal(told, 1);
  assert.ok(drawn < 20, `the list was drawn ${drawn} times`);
  await attacker.evaluate((label) => {
    const channel = window.call.peers[0].openChannel(label);
    let up = false;
    setInterval(() => channel.send(`{"hand":${(up = !up)}}`), 20);
  }, LABEL);
  await host.getByRole("button", { name: "Remove Mallory" }).click({ delay: 1_500 });
  await peers(host, 0);
});

test("messages of another page that are not what they should be change nothing", async (scenario) => {
  const victim = await join(scenario, room(scenario));
  const attacker = await intruder(scenario, victim, { name: "Mallory" });
  await tell(
    attacker,
    "", "null", "7", "[]", `"hand"`, "{", `{"hand":1}`, `{"hand":{"hand":true}}`, `{"__proto__":{"hand":true}}`,
    `{"constructor":{"prototype":{"hand":true}}}`, `{"mute":true}`, `{"limitation":"__proto__"}`, `{"limitation":{}}`,
    "[".repeat(900), "x".repeat(200_000), `{"hand":true,"x":"${"x".repeat(2_000)}"}`,
  );
  await attacker.evaluate((label) => window.call.peers[0].openChannel(label).send(new Uint8Array(1000).buffer), LABEL);
  // Lines of the modules' own channel.
  await attacker.evaluate(() => {
    for (const line of [
      "media", "media {", "media null", `media {"microphone":"<b>","camera":"on"}`, `media {"microphone":["on"],"camera":{}}`,
      `media {"__proto__":{"microphone":"on","camera":"on"}}`, "close", "close -1", "close NaN", "close 1e9", "pong x", "picture picture",
      "ping " + "x".repeat(900), "x".repeat(100_000),
    ]) window.control.send(line);
  });
  await tell(attacker, `{"limitation":"cpu"}`);
  await attacker.evaluate(() => window.call.peers[0].ping());
  const state = await victim.evaluate(() => {
    const { microphone, camera } = document.querySelector(".peer").dataset;
    return { microphone, camera, hand: document.querySelector(".peer .hand").hidden, mute: document.querySelectorAll("[data-notice=mute]").length, polluted: {}.hand };
  });
  assert.deepEqual(state, { microphone: "none", camera: "none", hand: true, mute: 0, polluted: undefined });
  // Each change of a state draws much, so only the latest of a flood are taken.
  await victim.evaluate(() => {
    window.changes = 0;
    document.querySelector("#call").call.peers[0].addEventListener("media", () => (window.changes += 1));
  });
  const began = performance.now();
  await attacker.evaluate(() => {
    for (let index = 0; index < 2_000; index += 1) window.control.send(`media {"microphone":"${index % 2 ? "on" : "off"}","camera":"none"}`);
    window.control.send(`media {"microphone":"refused","camera":"busy"}`);
  });
  await eventually("the last state", () => victim.evaluate(() => document.querySelector("#call").call.peers[0].media.camera === "busy" || null));
  const changes = await victim.evaluate(() => window.changes);
  assert.ok(changes <= 22 + (performance.now() - began) / 25, `${changes} changes were drawn`);
  await tell(attacker, `{"hand":true}`);
  await victim.locator(".peer .hand:not([hidden])").waitFor();
});

test("a host that asks to mute again and again is heard once, and the question ends with the call", async (scenario) => {
  const host = await openWith(scenario);
  await enterWith(host, room(scenario), { name: "Mallory" });
  const guest = await join(scenario, room(scenario));
  await happened(host, "open");
  await tell(host, `{"mute":true}`);
  const button = guest.locator("[data-notice=mute] button");
  await button.waitFor();
  await watch(guest);
  const before = await button.elementHandle();
  await tell(host, ...Array(500).fill(`{"mute":true}`), `{"hand":true}`);
  await guest.locator(".peer .hand:not([hidden])").waitFor();
  assert.ok(await before.evaluate((element) => element.isConnected), "the button was replaced");
  assert.deepEqual(await guest.evaluate(() => window.told.filter((text) => /mute/.test(text))), []);
  await guest.click("#hangup");
  await button.waitFor({ state: "detached" });
});

test("a screen that is shared and taken back in a loop leaves no tile behind", async (scenario) => {
  const victim = await join(scenario, room(scenario));
  const attacker = await intruder(scenario, victim, { camera: true, name: "Mallory" });
  await watch(victim);
  const began = performance.now();
  await attacker.evaluate(async () => {
    const stream = document.createElement("canvas").captureStream(5);
    for (let round = 0; round < 15; round += 1) {
      await window.call.addStream(stream, "screen");
      await new Promise((resolve) => setTimeout(resolve, 60 + 20 * (round % 5)));
      await window.call.removeStream("screen");
    }
    await window.call.peers[0].ping();
  });
  // Before the last negotiation, no tile may be a moment between two.
  await becomes(attacker, "the last negotiation", () => {
    const { connection } = window.call.peers[0];
    return (connection.signalingState === "stable" && connection.getTransceivers().every((it) => it.direction === it.currentDirection)) || null;
  });
  const left = await victim.evaluate(() => ({
    tiles: document.querySelectorAll(".tile.screen").length,
    purposes: [...document.querySelector("#call").call.peers[0].streams.keys()],
    layout: document.querySelector("#tiles").dataset.layout,
  }));
  assert.deepEqual(left, { tiles: 0, purposes: ["camera"], layout: "pair" });
  const told = await victim.evaluate(() => window.told.filter((text) => /shares a screen/.test(text)).length);
  assert.ok(told <= 1 + (performance.now() - began) / REPEAT_MS, `told ${told} times`);
});

test("a viewer of an ordinary call is told to all, and a host can remove it", async (scenario) => {
  const host = await join(scenario, room(scenario));
  const watcher = await openWith(scenario);
  await enterWith(watcher, room(scenario), { viewer: true, name: "Eve" });
  await host.locator("[data-notice=viewers]").waitFor();
  await says(host, /Watching this call unseen: 1/);
  assert.equal(await host.locator(".peer").count(), 0);
  const late = await join(scenario, room(scenario));
  await late.locator("[data-notice=viewers]").waitFor();
  await openPeople(late);
  assert.equal(await late.getByRole("button", { name: "Remove Eve" }).count(), 0);
  await openPeople(host);
  await host.getByRole("button", { name: "Remove Eve" }).click();
  await happened(watcher, "closed");
  for (const page of [host, late]) await page.locator("[data-notice=viewers]").waitFor({ state: "detached" });
});

test("a host's request that cannot be made is told, and the switch says what is", async (scenario) => {
  const page = await join(scenario, room(scenario));
  await openPeople(page);
  await page.evaluate(() => (document.querySelector("#call").call.signaling = "lost"));
  await page.locator(".switch:has([data-key=lock])").click();
  await says(page, /cannot be reached/);
  assert.equal(await page.locator("[data-key=lock]").isChecked(), false);
});

test("a host's token is in no link that the page offers", async (scenario) => {
  const own = await startFor(scenario, { access: "token", apiKeys: ["an-api-key-of-tests"] });
  const invitation = async (more) => {
    const body = JSON.stringify({ room: room(scenario), name: "é", ...more });
    const headers = { authorization: "Bearer an-api-key-of-tests", "content-type": "application/json" };
    const answer = await fetch(`${own.origin}/invite`, { method: "POST", headers, body });
    return answer.json();
  };
  const { url, token } = await invitation({ host: true });
  const host = await open(scenario, url);
  await host.click("#join");
  await joined(host);
  assert.equal(await host.locator("#invite").isVisible(), false);
  const offered = () => host.evaluate(() => [...document.querySelectorAll("input")].map(({ value }) => value).join(" "));
  assert.ok(!(await offered()).includes(token));
  await host.evaluate(() => {
    window.shown = [];
    new MutationObserver(() => window.shown.push(...[...document.querySelectorAll("#panel-body input[readonly]")].map(({ value }) => value)))
      .observe(document.querySelector("#panel-body"), { childList: true, subtree: true, attributes: true });
  });
  await openPeople(host);
  const field = host.locator("#panel-body .invitation input");
  await eventually("a guest's link", async () => (await field.inputValue()).includes("#token=") || null);
  const link = await field.inputValue();
  assert.ok(![...(await host.evaluate(() => window.shown)), link].some((value) => value.includes(token)));
  const guest = await open(scenario, link);
  await enter(guest);
  await peers(host, 1);
  assert.equal(await guest.evaluate(() => document.querySelector("#call").call.host), false);
  // A guest's own link is the one to pass on.
  assert.equal(await guest.inputValue("#room-link"), link);
});

test("a new call has no token of the address before", async (scenario) => {
  const page = await open(scenario, "/#token=secret");
  await page.click("#new-call");
  assert.ok(!page.url().includes("secret"), page.url());
  assert.ok(!(await page.inputValue("#room-link")).includes("secret"));
});

const ADDRESSES = {
  "a token too long for a QR code": (name) => `${new URLSearchParams({ room: name })}#token=${"x".repeat(6_000)}`,
  "a token that is no text": (name) => `${new URLSearchParams({ room: name })}#token=%FF%00%E0%A4%A&token=javascript:alert(1)`,
  "a room that is a script": () => `room=javascript:alert(1)//&live=2&relay=x`,
  "a room of malformed escapes": (name) => `room=%E0%A4%A%zz${name}`,
};

for (const [what, address] of Object.entries(ADDRESSES)) {
  test(`a link with ${what} leads to a call whose panels open`, async (scenario) => {
    const page = await open(scenario, `/?${address(room(scenario))}`);
    await page.click("#join");
    await joined(page);
    await openPeople(page);
    for (const panel of ["info", "settings"]) {
      await page.click(`#${panel}`);
      await page.locator(`#panel-body section.${panel}`).waitFor();
    }
    await page.click("#hangup");
  });
}

test("a room that is too long is refused in a sentence", async (scenario) => {
  const page = await open(scenario, `/?room=${"x".repeat(5_000)}`);
  await page.click("#join");
  await says(page, /room name is not valid/i);
});

test("a server that answers with garbage counts as one that cannot be reached", async (scenario) => {
  const page = await open(scenario, addressOf(server.origin, room(scenario)));
  await page.routeWebSocket(/\/ws$/, (socket) => {
    for (const garbage of ["", "<html>", "null", "7", "[]", "{}", `{"type":{}}`, `{"type":"joined"}`, `{"type":"joined","id":"x","peers":{}}`]) socket.send(garbage);
  });
  await page.reload();
  await page.click("#join");
  await page.locator("[data-notice=ended]").waitFor();
  assert.equal(await page.getAttribute("#call", "data-state"), "lobby");
});

test("remembered settings and other tabs that say garbage change nothing", async (scenario) => {
  const page = await open(scenario, addressOf(server.origin, room(scenario)));
  await page.evaluate(() => {
    const garbage = { resolution: `{"width":1e999,"height":-1,"frameRate":0}`, noise: `"on"`, sound: `{"echoCancellation":{"x":1}}` };
    const devices = { "camera-device": `{"deviceId":"${"x".repeat(5_000)}","label":7}`, "microphone-device": "null", "speaker-device": `{"deviceId":"gone","label":""}` };
    for (const [key, value] of Object.entries({ ...garbage, ...devices, mirror: "{", name: "<b>\u0000" })) localStorage.setItem(`byway.${key}`, value);
    sessionStorage.setItem("byway.in", "<b>");
  });
  await page.reload();
  await page.fill("#name", "Ada");
  await page.click("#join");
  await joined(page);
  await eventually("a picture of one's own", () => page.evaluate(() => document.querySelector("#self").videoWidth > 0 || null));
  await page.evaluate(async (room) => {
    const channel = new BroadcastChannel("byway");
    for (const garbage of [null, 7, "x", [], {}, { room }, { room, type: "here" }, { room, type: "here", to: null }]) channel.postMessage(garbage);
    // The page answers this one, so it has read the others.
    await new Promise((resolve) => {
      channel.onmessage = resolve;
      channel.postMessage({ room, type: "joined", tab: "x" });
    });
  }, room(scenario));
  assert.equal(await page.locator("[data-notice=tab]").count(), 0);
});

test("a peer that replaces its connection all the time does not keep others from calling", async (scenario) => {
  const victim = await join(scenario, room(scenario));
  const attacker = await intruder(scenario, victim);
  await attacker.evaluate(async () => {
    const { send } = WebSocket.prototype;
    let socket;
    WebSocket.prototype.send = function (text) {
      socket = this;
      return send.call(this, text);
    };
    window.call.setRelayOnly(true);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const [{ id: to }] = window.call.peers;
    for (let epoch = 2; epoch < 152; epoch += 1) send.call(socket, JSON.stringify({ type: "signal", to, data: { epoch, candidate: null } }));
  });
  const honest = await join(scenario, room(scenario));
  await eventually("a picture", () => honest.evaluate(() => [...document.querySelectorAll(".peer video")].some((video) => video.videoWidth > 0) || null));
  const made = await victim.evaluate(() => window.connections.length);
  assert.ok(made < 40, `${made} connections were made`);
});

test("joining and leaving again and again leaves nothing behind", async (scenario) => {
  const other = await join(scenario, room(scenario));
  const page = await open(scenario, addressOf(server.origin, room(scenario)));
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
  const counts = async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    const { metrics } = await devtools.send("Performance.getMetrics");
    return Object.fromEntries(metrics.filter(({ name }) => ["Nodes", "JSEventListeners"].includes(name)).map(({ name, value }) => [name, value]));
  };
  const round = async () => {
    await page.click("#join");
    await joined(page);
    await peers(page, 1);
    await openPeople(page);
    await page.click("#hangup");
    await peers(other, 0);
    // The recorder of the tests holds each connection.
    await page.evaluate(() => (window.connections.length = 0));
  };
  for (let warm = 0; warm < 4; warm += 1) await round();
  const before = await counts();
  for (let more = 0; more < ROUNDS; more += 1) await round();
  const after = await eventually("what was there before", async () => {
    const now = await counts();
    return now.Nodes < before.Nodes + 200 && now.JSEventListeners < before.JSEventListeners + 60 ? now : null;
  }, 20_000, 1_000).catch(async () => assert.fail(JSON.stringify({ before, after: await counts() })));
  assert.ok(after);
});

/** Calls after which a leak of a tile or a listener in each shows clearly. */
const ROUNDS = 12;
