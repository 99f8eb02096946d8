import assert from "node:assert/strict";
import { test } from "node:test";

import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { join as enter, openWith, pictureMoves } from "../module.mjs";
import { joined, peers, says } from "../page.mjs";
import { call, join, open, room } from "../stage.mjs";

const MARKUP = `<img src=x onerror="window.pwned=1">`;

/** Names that people might choose. */
const NAMES = {
  "an image with a handler": MARKUP,
  "a script": `</bdi><script>pwned=1</script>`,
  "a closed attribute": `" autofocus onfocus="pwned=1" x="`,
  "a template": "${pwned=1}{{pwned=1}}",
};

for (const [what, name] of Object.entries(NAMES)) {
  test(`a name that is ${what} is shown as text`, async (scenario) => {
    const [first, second] = await call(scenario, room(scenario), { name });
    for (const page of [first, second]) {
      const shown = await page.locator(".peer .name").evaluate((element) => ({
        text: element.textContent,
        elements: element.querySelectorAll("*").length,
      }));
      assert.equal(shown.text, name);
      assert.equal(shown.elements, 0);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
    }
  });
}

test("a name that turns the line around is refused in words", async (scenario) => {
  const page = await open(scenario, `/?${new URLSearchParams({ room: room(scenario) })}`);
  await page.fill("#name", "\u202Egnp.eixip");
  await page.click("#join");
  await says(page, /name/i);
  await page.locator("#call[data-state=lobby]").waitFor();
});

test("a room whose name is markup is shown as text", async (scenario) => {
  const page = await join(scenario, MARKUP);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.locator("main img").count(), 0);
  const link = new URL(await page.inputValue("#room-link"));
  assert.equal(link.searchParams.get("room"), MARKUP);
});

test("signals that are not what they should be leave the page and its other calls alone", async (scenario) => {
  const name = room(scenario);
  const path = `/?${new URLSearchParams({ room: name })}`;
  // The page may tell its console what it could not use.
  const victim = await open(scenario, path, { tolerated: /^console: / });
  await victim.click("#join");
  await joined(victim);

  const attacker = await open(scenario, "/");
  await attacker.evaluate(sendRubbish, name);
  await peers(victim, 1);

  const honest = await join(scenario, name);
  await peers(victim, 2);
  // To the honest one the attacker is a second tile that stays dark.
  for (const page of [victim, honest]) {
    await eventually("the other's picture", () =>
      page.evaluate(() => [...document.querySelectorAll(".peer video")].some((video) => video.videoWidth > 0) || null),
    );
  }
});

test("a number far beyond all connections there were does not end the one there is", async (scenario) => {
  const victim = await join(scenario, room(scenario));
  const attacker = await open(scenario, `/?${new URLSearchParams({ room: room(scenario) })}`);
  await attacker.evaluate(exaggerate);
  await attacker.click("#join");
  await Promise.all([peers(victim, 1), peers(attacker, 1)]);
  await videoFlows(victim, attacker);
  assert.equal(await victim.evaluate(() => window.connections.length), 1);
});

test("purposes of streams that are not what they should be leave the camera where it is", async (scenario) => {
  const [victim, attacker] = [await openWith(scenario), await openWith(scenario)];
  await enter(victim, room(scenario), { camera: true });
  await attacker.evaluate(distort);
  await enter(attacker, room(scenario), { camera: true });
  const rubbish = [
    null,
    7,
    "camera",
    ["camera"],
    { a: 1, b: null, c: {}, d: "", e: "x".repeat(33), __proto__: null },
    Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`stream ${index}`, `purpose ${index}`])),
    { ["x".repeat(20_000)]: "screen" },
  ];
  for (const streams of rubbish) {
    // Each time another stream is announced, without its purpose.
    await attacker.evaluate((streams) => {
      window.streams = streams;
      const [track] = window.call.peers[0].connection.getSenders().filter(({ track }) => track).map(({ track }) => track);
      window.call.peers[0].connection.addTransceiver(track.clone(), { streams: [new MediaStream()], direction: "sendonly" });
    }, streams);
    const described = await attacker.evaluate(() => window.described);
    await eventually("an offer", () => attacker.evaluate((before) => window.described > before || null, described - 1));
  }
  await pictureMoves(victim);
  const { purposes, kinds } = await victim.evaluate(() => ({
    purposes: [...window.call.peers[0].streams.keys()],
    kinds: window.call.peers[0].stream.getTracks().map(({ kind }) => kind).sort(),
  }));
  assert.deepEqual(purposes, ["camera"]);
  assert.deepEqual(kinds, ["audio", "video"]);
});

/** Runs in a page: `window.streams`, once set, is told as the purposes of its streams. */
function distort() {
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (text) {
    const message = JSON.parse(text);
    if (message.data?.description && "streams" in window) message.data.streams = window.streams;
    send.call(this, JSON.stringify(message));
  };
}

/**
 * Runs in a page: before each signal its peer is told of a connection that could have no successor.
 */
function exaggerate() {
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (text) {
    const message = JSON.parse(text);
    if (message.type === "signal") {
      const data = { epoch: Number.MAX_SAFE_INTEGER, candidate: null };
      send.call(this, JSON.stringify({ ...message, data }));
    }
    send.call(this, text);
  };
}

/**
 * Runs in a page of the same origin: joins past the page's own module and sends its peer what no
 * module would.
 */
async function sendRubbish(room) {
  const socket = new WebSocket(new URL("/ws", location.href.replace("http", "ws")), "byway.v1");
  window.socket = socket; // kept, so that it stays open
  const joined = new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "joined") resolve(message);
    };
  });
  socket.onopen = () => socket.send(JSON.stringify({ type: "join", room }));
  const [{ id: to }] = (await joined).peers;
  const rubbish = [
    null,
    1,
    "text",
    [],
    { description: 1 },
    { description: { type: "answer", sdp: "x" } },
    { description: { type: "offer", sdp: "v=0" } },
    { epoch: "1", description: { type: "offer", sdp: "v=0" } },
    { epoch: -1, candidate: null },
    { epoch: 0.5, candidate: null },
    { epoch: Number.MAX_VALUE, candidate: null },
    { candidate: 1 },
    { candidate: { candidate: "x".repeat(1000), sdpMid: "0" } },
  ];
  for (const data of rubbish) socket.send(JSON.stringify({ type: "signal", to, data }));
}
