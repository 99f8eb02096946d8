/** Channels of the module: order, back-pressure, new connections, and peers that open thousands. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { withoutFirefox } from "../browsers.mjs";
import { becomes, happened, pair } from "../module.mjs";
import { firefox, room } from "../stage.mjs";

const BROWSERS = {
  Chromium: { skip: false, choose: async () => ({}) },
  Firefox: { skip: withoutFirefox, choose: async () => ({ browser: await firefox() }) },
};

const MIB = 1024 * 1024;

/** The module waits above one mebibyte, and takes one more message then. */
const BUFFERED = MIB + 64 * 1024;

/** Runs in a page: keeps all that arrives on a channel of this label, which the peer may open. */
function keep(label) {
  window.kept = [];
  window.channel = window.call.peers[0].openChannel(label);
  window.channel.addEventListener("message", ({ data }) => window.kept.push(data));
}

for (const [name, { skip, choose }] of Object.entries(BROWSERS)) {
  test(`${name}: both ends open a channel, and ten mebibytes pass in order`, { skip }, async (scenario) => {
    const [first, second] = await pair(scenario, room(scenario), { first: { open: await choose() } });
    for (const page of [first, second]) await page.evaluate(keep, "files");
    for (const [from, to] of [[first, second], [second, first]]) {
      const { most, took } = await from.evaluate(async () => {
        const { channel } = window;
        const part = new Uint32Array(16 * 1024);
        let [most, waited] = [0, 0];
        for (let index = 0; index < 160; index += 1) {
          part[0] = index;
          const sending = channel.send(part.slice().buffer);
          const started = performance.now();
          await sending;
          if (performance.now() - started > 1) waited += 1;
          most = Math.max(most, channel.bufferedAmount);
        }
        await channel.send("done");
        return { most, took: waited };
      });
      assert.ok(most > 0 && most <= BUFFERED, `${most} bytes were buffered, ${took} messages waited`);
      await becomes(to, "the end", () => window.kept.includes("done") || null, null, 60_000);
      const numbers = await to.evaluate(() => window.kept.slice(0, -1).map((part) => [part.byteLength, new Uint32Array(part)[0]]));
      assert.deepEqual(numbers, Array.from({ length: 160 }, (_, index) => [64 * 1024, index]));
    }
    assert.deepEqual(await first.evaluate(() => window.heard), [], "something came as a message of the page");
  });

  test(`${name}: a channel goes on over a new connection, and ends at both ends`, { skip }, async (scenario) => {
    const [first, second] = await pair(scenario, room(scenario), { first: { open: await choose() } });
    await first.evaluate(keep, "chat");
    await happened(second, "channel");
    await second.evaluate(keep, "chat");
    await first.evaluate(() => window.channel.send("one"));
    await becomes(second, "one", () => window.kept.includes("one") || null);

    await second.evaluate(() => window.call.setRelayOnly(true));
    // Waits for the new connection.
    await second.evaluate(() => window.channel.send("two"));
    await becomes(first, "two", () => window.kept.includes("two") || null);
    await first.evaluate(() => window.channel.send("three"));
    await becomes(second, "three", () => window.kept.includes("three") || null);
    assert.deepEqual(await second.evaluate(() => window.kept), ["one", "three"]);
    assert.equal(await second.evaluate(() => window.connections.length), 2);

    const sentLater = await first.evaluate(async () => {
      window.channel.close();
      return [window.channel.readyState, await window.channel.send("four").then(() => "", ({ code }) => code)];
    });
    assert.deepEqual(sentLater, ["closed", "channel-closed"]);
    await becomes(second, "the end", () => window.channel.readyState === "closed" || null);

    // The label is free again, at both ends.
    for (const page of [first, second]) await page.evaluate(keep, "chat");
    await first.evaluate(() => window.channel.send("five"));
    await becomes(second, "five", () => window.kept.includes("five") || null);
    await first.evaluate(() => window.call.leave());
    await becomes(second, "the end", () => window.channel.readyState === "closed" || null);
  });
}

test("labels are short, and channels are few", async (scenario) => {
  const [first] = await pair(scenario, room(scenario));
  const codes = await first.evaluate(async () => {
    const [peer] = window.call.peers;
    const attempt = (open) => {
      try {
        return open() && "";
      } catch ({ code }) {
        return code;
      }
    };
    const labels = ["", "x".repeat(65), 7, "x".repeat(64)].map((label) => attempt(() => peer.openChannel(label)));
    const numbers = Array.from({ length: 64 }, (_, index) => attempt(() => peer.openChannel(`number ${index}`)));
    const large = await peer.openChannel("x".repeat(64)).send(new ArrayBuffer(1024 * 1024 * 1024)).catch(({ code }) => code);
    return [...labels, ...numbers, peer.openChannel("number 1") === peer.openChannel("number 1"), large];
  });
  const numbers = [...Array(63).fill(""), "too-many-channels"];
  assert.deepEqual(codes, ["bad-label", "bad-label", "bad-label", "", ...numbers, true, "message-too-large"]);
});

test("threat 25: a peer that opens thousands of channels and says nonsense is ignored", async (scenario) => {
  const [victim, attacker] = await pair(scenario, room(scenario), { second: { camera: true } });
  await victim.evaluate(keep, "chat");
  const opened = await attacker.evaluate(async () => {
    const { connection } = window.call.peers[0];
    let opened = 0;
    const open = (label) => {
      try {
        connection.createDataChannel(label);
        opened += 1;
      } catch {
        // The browser has a limit, too.
      }
    };
    for (let index = 0; index < 10_000; index += 1) open(index % 3 ? `byway:${index}` : `byway:${"x".repeat(100)}${index}`);
    for (let index = 0; index < 200; index += 1) open("byway:chat");
    return opened;
  });
  assert.ok(opened > 900, `${opened} channels were opened`);
  await happened(victim, "channel", 64);
  await attacker.evaluate(() => window.call.peers[0].ping());

  // Beside the module's own: a second control channel with the same id is not possible.
  const said = await attacker.evaluate(async () => {
    const says = window.control;
    const lines = ["", " ", "media", "media {", "media null", "media []", 'media {"microphone":"loud","camera":"on"}', "pong", "pong x",
      "close", "close -1", "close 1e9", "close x", "ping " + "x".repeat(100_000), "x".repeat(60_000), "media " + "[".repeat(900),
      'media {"microphone":{"toString":1},"camera":"on"}', 'media {"microphone":"on","camera":"off","sends":{"audio":"yes"}}',
      'media {"__proto__":{"microphone":"on"},"camera":"on"}'];
    for (const line of lines) says.send(line);
    says.send(new ArrayBuffer(10));
    for (let index = 0; index < 5_000; index += 1) says.send(`ping ${index}`);
    return lines.length;
  });
  assert.ok(said > 0);
  await becomes(victim, "the one valid state", () => window.call.peers[0].media.camera === "off" || null);
  assert.equal(await victim.evaluate(() => window.events.filter((it) => it === "channel").length), 64);
  assert.equal(await victim.evaluate(() => window.call.peers[0].openChannel("mine").label), "mine");
  await attacker.evaluate(() => window.call.peers[0].ping());
  // The picture goes on.
  await becomes(victim, "a picture", async () => ((await window.call.peers[0].report()).framesDecoded > 10 ? true : null));
});
