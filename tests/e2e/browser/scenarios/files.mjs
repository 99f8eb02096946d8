/** Files between the people of a call: whole, resumed, cancelled, and from pages that lie. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as pathOf } from "node:path";
import { test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { withoutFirefox } from "../browsers.mjs";
import { statistics } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { heapOf } from "../heap.mjs";
import { happened, join as enterWith, openWith } from "../module.mjs";
import { peers, says } from "../page.mjs";
import { startFor, startServer } from "../server.mjs";
import { firefox, join, room } from "../stage.mjs";
import { UNREACHABLE } from "../visit.mjs";

const MB = 1_000_000;

/** A transfer over two cores that also encode pictures. */
const PATIENCE_MS = 90_000;

/** One red point. */
const PICTURE = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==", "base64");

test("several files pass both ways, to the disk and to memory, and arrive as they were", async (scenario) => {
  const make = filesOf(scenario);
  const [ada, bob] = await callOf(scenario, ["Ada", "Bob"]);
  await choosePlaces(bob);
  const small = { "empty.txt": "", "one.bin": "x", "point.jpg.svg": PICTURE, "script.png": "<svg onload=pwned=1>" };
  const large = make("large.bin", randomBytes(30 * MB));
  const back = { "back one.tar.gz": randomBytes(5 * MB), "back two.pdf": randomBytes(300_000) };
  await offer(ada, [...Object.entries(small).map(([name, content]) => make(name, content)), large]);
  await offer(bob, Object.entries(back).map(([name, content]) => make(name, content)));
  for (const [page, names] of [[bob, [...Object.keys(small), "large.bin"]], [ada, Object.keys(back)]]) {
    for (const name of names) await line(page, name).locator(".accept").click();
  }
  for (const name of [...Object.keys(small), "large.bin", ...Object.keys(back)]) {
    for (const page of [ada, bob]) await reaches(page, name, "done");
  }
  for (const [page, contents] of [[bob, small], [ada, back]]) {
    for (const [name, content] of Object.entries(contents)) assert.equal(await savedHash(page, name), hashOf(content), name);
  }
  assert.deepEqual(await pickedHashes(bob), { "large.bin": hashOf(readFileSync(large)) });
  assert.equal(await line(bob, "large.bin").locator(".save").isVisible(), false);
  // A picture by its content, whatever its name says; and no document.
  await line(bob, "point.jpg.svg").locator("img.file-picture").waitFor();
  assert.equal(await line(bob, "script.png").locator("img.file-picture").isVisible(), false);
  assert.equal(await bob.evaluate(() => window.pwned), undefined);
});

test("a transfer continues over an ICE restart, a relay that is away, and new connections", async (scenario) => {
  const server = await startFor(scenario, {});
  const path = filesOf(scenario)("long.bin", randomBytes(80 * MB));
  const pages = await callOf(scenario, ["Ada", "Bob"], { origin: server.origin, relay: true, tolerated: UNREACHABLE });
  const [ada, bob] = pages;
  await choosePlaces(bob);
  for (const page of pages) await watchStates(page);
  await offer(ada, [path]);
  await line(bob, "long.bin").locator(".accept").click();
  const moves = async () => {
    const before = await shareOf(bob, "long.bin");
    return eventually("progress", async () => (await shareOf(bob, "long.bin")) > before + 0.02 || null, PATIENCE_MS);
  };

  await moves();
  await ada.evaluate(() => window.connections.at(-1).restartIce());
  await moves();
  await server.pause();
  for (const page of pages) await reaches(page, "long.bin", "paused");
  assert.match(await line(bob, "long.bin").locator(".file-sentence").innerText(), /^Paused: .* It continues by itself\.$/);
  server.resume();
  await moves();
  // A new connection loses what is under way.
  await relay(ada, false);
  await relay(bob, false);
  await eventually("another connection", async () => (await statistics(bob))?.number > 0 || null, PATIENCE_MS);
  await moves();
  for (const page of pages) await reaches(page, "long.bin", "done");
  assert.deepEqual(await pickedHashes(bob), { "long.bin": hashOf(readFileSync(path)) });
  for (const page of pages) assert.ok((await page.evaluate(() => window.states)).includes("paused"));
});

test("a transfer continues after a restart of the server, which makes both new to each other", async (scenario) => {
  const first = await startServer();
  // It has stopped already, unless the scenario failed before.
  afterwards(scenario, () => first.stop().catch(() => {}));
  const path = filesOf(scenario)("long.bin", randomBytes(60 * MB));
  const pages = await callOf(scenario, ["Ada", "Bob"], { origin: first.origin, tolerated: UNREACHABLE });
  const [ada, bob] = pages;
  await choosePlaces(bob);
  await offer(ada, [path]);
  await line(bob, "long.bin").locator(".accept").click();
  await eventually("progress", async () => (await shareOf(bob, "long.bin")) > 0.02 || null, PATIENCE_MS);
  await first.stop();
  await Promise.all(pages.map((page) => says(page, /out of reach/)));
  const before = await bob.evaluate(() => document.querySelector("#call").call.id);
  const second = await startServer(first.listen);
  afterwards(scenario, () => second.stop());
  await eventually("another member", async () => (await bob.evaluate(() => document.querySelector("#call").call.id)) !== before || null);
  assert.equal(await line(bob, "long.bin").getAttribute("data-state") === "done", false, "it was over too early");
  for (const page of pages) await reaches(page, "long.bin", "done");
  assert.deepEqual(await pickedHashes(bob), { "long.bin": hashOf(readFileSync(path)) });
});

test("either end cancels at any time, and what changes or disappears is told", async (scenario) => {
  const make = filesOf(scenario);
  const [ada, bob] = await callOf(scenario, ["Ada", "Bob"]);
  await choosePlaces(bob);
  const names = ["declined.bin", "withdrawn.bin", "stopped.bin", "ended.bin", "changed.bin"];
  const paths = names.map((name) => make(name, randomBytes(60 * MB)));
  await offer(ada, paths);
  const sentence = (page, name) => line(page, name).locator(".file-sentence").innerText();
  const fails = async (name, ...patterns) => {
    for (const [index, page] of [ada, bob].entries()) {
      await reaches(page, name, "failed");
      assert.match(await sentence(page, name), patterns[index], name);
    }
  };

  await line(bob, "declined.bin").locator(".cancel").click();
  await fails("declined.bin", /^Bob declined/, /^You declined/);
  await line(ada, "withdrawn.bin").locator(".cancel").dblclick();
  await fails("withdrawn.bin", /^You cancelled/, /^Ada cancelled/);
  const running = async (name) => {
    await line(bob, name).locator(".accept").click();
    await eventually("progress", async () => (await shareOf(bob, name)) > 0.02 || null, PATIENCE_MS);
  };
  await running("stopped.bin");
  await line(bob, "stopped.bin").locator(".cancel").dblclick();
  await fails("stopped.bin", /^Bob cancelled/, /^You cancelled/);
  await running("ended.bin");
  await line(ada, "ended.bin").locator(".cancel").click();
  await fails("ended.bin", /^You cancelled/, /^Ada cancelled/);
  await running("changed.bin");
  writeFileSync(paths.at(-1), "now it is another one");
  await fails("changed.bin", /^The file was changed, moved or deleted/, /^The file changed at Ada/);
  // Nothing of them is left, not even an empty file that the dialog made.
  assert.deepEqual(await eventually("no file", async () => {
    const left = await pickedHashes(bob);
    return Object.keys(left).length === 0 ? left : null;
  }), {});

  // A reload ends what runs, and the call goes on.
  await offer(ada, [make("last.bin", randomBytes(60 * MB))]);
  await running("last.bin");
  await ada.reload();
  await reaches(bob, "last.bin", "failed");
  assert.match(await sentence(bob, "last.bin"), /^Ada left before the file was complete/);
});

test("a file for all goes to each of them, and one who is slow or declines holds nobody up", async (scenario) => {
  const path = filesOf(scenario)("for all.bin", randomBytes(10 * MB));
  const [ada, bob, cleo] = await callOf(scenario, ["Ada", "Bob", "Cleo"]);
  await offer(ada, [path]);
  await line(bob, "for all.bin").locator(".accept").click();
  await reaches(bob, "for all.bin", "done");
  const row = (name) => line(ada, "for all.bin").locator(".file-people li", { hasText: name });
  await eventually("Bob has it", async () => /Sent to Bob/.test(await row("Bob").innerText()) || null);
  assert.match(await row("Cleo").innerText(), /Waiting for Cleo/);
  assert.equal(await line(ada, "for all.bin").getAttribute("data-state"), "offered");
  await line(cleo, "for all.bin").locator(".cancel").click();
  await reaches(ada, "for all.bin", "done");
  assert.match(await row("Cleo").innerText(), /Cleo declined/);
  assert.equal(await savedHash(bob, "for all.bin"), hashOf(readFileSync(path)));
});

test("64 MiB through the relay leave the memory of both pages as it was", async (scenario) => {
  const path = filesOf(scenario)("big.bin", randomBytes(64 * 1024 * 1024));
  const pages = await callOf(scenario, ["Ada", "Bob"], { relay: true });
  const [ada, bob] = pages;
  await choosePlaces(bob);
  const heaps = await Promise.all(pages.map(heapOf));
  const before = await Promise.all(heaps.map((heap) => heap()));
  await offer(ada, [path]);
  await line(bob, "big.bin").locator(".accept").click();
  const most = [0, 0];
  await eventually("the end", async () => {
    for (const [index, heap] of heaps.entries()) most[index] = Math.max(most[index], (await heap()) - before[index]);
    return (await line(bob, "big.bin").getAttribute("data-state")) === "done" || null;
  }, PATIENCE_MS, 500);
  assert.deepEqual(await pickedHashes(bob), { "big.bin": hashOf(readFileSync(path)) });
  scenario.diagnostic(`the heaps grew by at most ${most.map((bytes) => (bytes / MB).toFixed(1)).join(" and ")} MB`);
  assert.ok(most.every((bytes) => bytes < 40 * MB), String(most));
});

test("Firefox receives to its private storage, and sends", { skip: withoutFirefox }, async (scenario) => {
  const make = filesOf(scenario);
  const [ada, bob] = await callOf(scenario, ["Ada", "Bob"], {}, [{}, { browser: await firefox() }]);
  const [there, back] = [make("there.bin", randomBytes(20 * MB)), make("back.bin", randomBytes(2 * MB))];
  await offer(ada, [there]);
  await offer(bob, [back]);
  await line(bob, "there.bin").locator(".accept").click();
  await line(ada, "back.bin").locator(".accept").click();
  for (const page of [ada, bob]) for (const name of ["there.bin", "back.bin"]) await reaches(page, name, "done");
  assert.equal(await savedHash(ada, "back.bin"), hashOf(readFileSync(back)));
  assert.deepEqual(await bob.evaluate(hashesWithin, ["files"]), [hashOf(readFileSync(there))]);
});

/** Numbers of a file that no honest page sends. */
const SIZES = ["NaN", "-1", "1.5", "1152921504606846976", "1e400", `"7"`, "null", "{}"];

test("threat 25: a page that lies about its files gets a sentence or silence, and the call goes on", async (scenario) => {
  const victim = await join(scenario, room(scenario), { name: "Victoria" });
  await victim.click("#chat");
  const mallory = await openWith(scenario);
  await enterWith(mallory, room(scenario), { camera: true, name: "Mallory" });
  await happened(mallory, "open");
  await peers(victim, 1);
  await mallory.evaluate(lie);

  await mallory.evaluate(async (sizes) => {
    const id = (text) => text.padEnd(22, "x");
    const garbage = ["", "null", "7", "[]", "{", `{"offer":7}`, `{"offer":"short","name":"x","size":1}`, `{"__proto__":{"offer":"x"}}`,
      "[".repeat(9_000), "x".repeat(200_000), `{"offer":"${id("huge")}","size":1,"name":"${"y".repeat(100_000)}"}`,
      `{"offer":"${id("name")}","size":1,"name":{"toString":1}}`, `{"accept":"${id("none")}","round":1,"at":0}`, `{"have":"${id("none")}","at":5}`,
      `{"done":"${id("none")}"}`, `{"cancel":"${id("none")}","why":{}}`, `{"cancel":"${id("none")}"}`];
    for (const text of garbage) await window.control.send(text);
    for (const [index, size] of sizes.entries()) await window.control.send(`{"offer":"${id(`size${index}`)}","name":"bad size","size":${size}}`);
    await window.control.send(new Uint8Array(1_000).buffer);
    // Data that nobody asked for.
    await window.call.peers[0].openChannel(`byway.file.${id("unasked")}`).send(new Uint8Array(50_000).buffer);
    for (const size of [1, 1]) window.offer("twice", { name: "twice.txt", size });
    window.offer("names", { name: `..\\..\\C:\\x/\u202etxt.exe\u0000/con.\u2066tar.gz.exe`, size: 1 });
    window.offer("more", { name: "more.bin", size: 100 });
    window.offer("fewer", { name: "fewer.bin", size: 100 });
    window.offer("wrong", { name: "wrong.bin", size: 100 });
    window.offer("noise", { name: "noise.bin", size: 100 });
  }, SIZES);
  await line(victim, "noise.bin").waitFor();
  const names = await victim.locator("li.file .file-name").evaluateAll((shown) => shown.map(({ title }) => title));
  assert.deepEqual(names, ["twice.txt", "_con.tar.gz.exe", "more.bin", "fewer.bin", "wrong.bin", "noise.bin"]);
  assert.equal(await line(victim, "_con.tar.gz.exe").locator(".extension").innerText(), ".exe");

  const sentences = { "more.bin": /sent more than was announced/, "fewer.bin": /something else than the file/, "wrong.bin": /arrived damaged/, "noise.bin": /something else than the file/ };
  for (const [name, pattern] of Object.entries(sentences)) {
    await line(victim, name).locator(".accept").click();
    await reaches(victim, name, "failed");
    assert.match(await line(victim, name).locator(".file-sentence").innerText(), pattern, name);
    assert.equal(await line(victim, name).locator(".save").isVisible(), false);
  }

  // Offers that are withdrawn at once are not all told.
  await victim.evaluate(() => {
    window.told = [];
    const status = document.querySelector("#status");
    new MutationObserver(() => window.told.push(status.textContent)).observe(status, { childList: true });
  });
  const began = Date.now();
  await mallory.evaluate(async () => {
    for (let index = 0; index < 20; index += 1) {
      window.offer(`brief${index}`, { name: "brief", size: 1 });
      await window.control.send(JSON.stringify({ cancel: `brief${index}`.padEnd(22, "x") }));
    }
  });
  await eventually("all withdrawn", async () => (await victim.locator(`li.file[data-state=failed]:has([title="brief"])`).count()) === 20 || null);
  const told = await victim.evaluate(() => window.told.filter((text) => text.includes("brief")).length);
  assert.ok(told <= 1 + (Date.now() - began) / 3_000, `told ${told} times`);

  await mallory.evaluate(() => {
    for (let index = 0; index < 10_000; index += 1) window.offer(`flood${index}`, { name: `flood ${index}`, size: 1 });
  });
  await says(victim, /Mallory offers too many files/);
  await mallory.evaluate(() => window.call.peers[0].ping());
  assert.ok((await victim.locator("li.file").count()) <= 80);
  // An offer to who asks for what nobody offered, or beyond what was sent.
  await offer(victim, [filesOf(scenario)("own.bin", randomBytes(3 * MB))]);
  const answer = await mallory.evaluate(async () => {
    const offered = await window.heardOf("offer");
    window.asked = [];
    window.call.peers[0].openChannel(`byway.file.${offered}`).addEventListener("message", ({ data }) => window.asked.push(data));
    const say = (message) => window.control.send(JSON.stringify(message));
    for (const at of [2 ** 40, 1, -1, 0.5]) await say({ accept: offered, round: 1, at });
    await say({ done: offered });
    await say({ have: offered, at: 2 ** 40 });
    await window.call.peers[0].ping();
    const early = window.asked.length;
    // Back to before what it said it has, and once more from the start, for ever.
    const answered = (round) => window.asked.some((data) => data.byteLength > 4 && new DataView(data).getUint32(0) === round);
    const answers = async (round) => {
      const end = performance.now() + 2_000;
      while (!answered(round) && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
      return answered(round);
    };
    let round = 1;
    await say({ accept: offered, round, at: 0 });
    while (round < 40 && (await answers(round))) await say({ accept: offered, round: (round += 1), at: 0 });
    await say({ have: offered, at: 100 });
    await say({ accept: offered, round: 1_000, at: 0 });
    for (let more = 2_000; more < 2_300; more += 1) await say({ accept: offered, round: more, at: 0 });
    await window.call.peers[0].ping();
    return { offered, early, rounds: round, wentBack: answered(1_000) };
  });
  assert.equal(answer.early, 0);
  assert.ok(answer.rounds < 30, `${answer.rounds} rounds were answered`);
  assert.equal(answer.wentBack, false);
  assert.equal(await line(victim, "own.bin").getAttribute("data-state"), "sending");
  // Not all files at once, each of which takes memory.
  const make = filesOf(scenario);
  await offer(victim, Array.from({ length: 10 }, (_, index) => make(`more ${index}.txt`, "more")));
  await mallory.evaluate(async () => {
    const offered = () => window.offers().slice(1);
    while (offered().length < 10) await new Promise((resolve) => setTimeout(resolve, 50));
    for (const accept of offered()) await window.control.send(JSON.stringify({ accept, round: 1, at: 0 }));
    await window.call.peers[0].ping();
  });
  assert.equal(await victim.locator("li.file[data-own]:is([data-state=sending], [data-state=paused])").count(), 8);
  // A page that leaves at once.
  await mallory.evaluate(() => {
    window.offer("leaves", { name: "leaves.bin", size: 1 });
    window.call.leave();
  });
  await reaches(victim, "own.bin", "failed");
  await reaches(victim, "twice.txt", "failed");
  assert.match(await line(victim, "own.bin").locator(".file-sentence").innerText(), /Mallory left before/);
  assert.equal(await victim.getAttribute("#call", "data-state"), "joined");
});

/** Runs in a page that uses the module: a sender that answers each request with something bad. */
function lie() {
  const [peer] = window.call.peers;
  const id = (text) => text.padEnd(22, "x");
  window.control = peer.openChannel("byway.files");
  window.offer = (text, { name, size }) => window.control.send(JSON.stringify({ offer: id(text), name, size }));
  const heard = [];
  window.offers = () => [...new Set(heard.flatMap(({ offer = [] }) => offer))];
  window.heardOf = async (kind) => {
    for (;;) {
      const found = heard.find((message) => kind in message);
      if (found) return found[kind];
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const frame = (round, offset, length) => {
    const made = new DataView(new ArrayBuffer(12 + length));
    made.setUint32(0, round);
    made.setFloat64(4, offset);
    return made.buffer;
  };
  const end = (round) => JSON.stringify({ end: "0".repeat(64), round });
  const answers = {
    more: ({ round, at }) => [frame(round, at, 60), frame(round, at + 60, 60)],
    fewer: ({ round, at }) => [...(at ? [] : [frame(round, 0, 40)]), end(round)],
    wrong: ({ round }) => [frame(round, 0, 100), end(round), end(round)],
    noise: ({ round }) => ["x", "{", "null", new ArrayBuffer(0), new ArrayBuffer(12), new ArrayBuffer(13), frame(round, NaN, 10), frame(round, -5, 10), frame(round, 2 ** 60, 10)],
  };
  window.control.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    heard.push(message);
    if (message.hello === "new") window.control.send(JSON.stringify({ hello: "reply" }));
    const kind = Object.keys(answers).find((text) => message.accept === id(text));
    if (!kind) return;
    const channel = peer.openChannel(`byway.file.${message.accept}`);
    for (const answer of answers[kind](message)) channel.send(answer).catch(() => {});
  });
  window.control.send(JSON.stringify({ hello: "new" }));
}

/** People in one room who see each other, with the chat open. */
async function callOf(scenario, names, options = {}, own = []) {
  const pages = [];
  for (const [index, name] of names.entries()) pages.push(await join(scenario, room(scenario), { name, ...options, ...own[index] }));
  await Promise.all(pages.map((page) => peers(page, names.length - 1)));
  for (const page of pages) {
    await page.click("#chat");
    await page.locator("#file").waitFor({ state: "attached" });
    await eventually("a connection to each", () => page.evaluate((count) => window.connections.filter(({ connectionState }) => connectionState === "connected").length >= count || null, names.length - 1));
  }
  return pages;
}

/** Makes files in a folder of the scenario. */
function filesOf(scenario) {
  const folder = mkdtempSync(pathOf(tmpdir(), "byway-files-"));
  afterwards(scenario, () => rmSync(folder, { recursive: true }));
  return (name, content) => {
    const path = pathOf(folder, name);
    writeFileSync(path, content);
    return path;
  };
}

const offer = (page, paths) => page.setInputFiles("#file", paths);
const line = (page, name) => page.locator(`li.file:has(.file-name[title="${name}"])`);
const shareOf = (page, name) => line(page, name).locator("progress").evaluate(({ value }) => value);
const hashOf = (content) => createHash("sha256").update(content).digest("hex");
const relay = (page, on) => page.evaluate((on) => document.querySelector("#call").call.setRelayOnly(on), on);

const reaches = (page, name, state) =>
  eventually(`${name} ${state}`, async () => (await line(page, name).getAttribute("data-state")) === state || null, PATIENCE_MS)
    .catch(async (error) => assert.fail(`${error.message}: ${await line(page, name).innerText()}`));

/** Keeps the states that any line passes. */
const watchStates = (page) =>
  page.evaluate(() => {
    window.states = [];
    new MutationObserver((records) => window.states.push(...records.map(({ target }) => target.dataset.state)))
      .observe(document.querySelector("#panel-body"), { subtree: true, attributeFilter: ["data-state"] });
  });

/** Hash of a received file, as the person saves it. */
async function savedHash(page, name) {
  const [download] = await Promise.all([page.waitForEvent("download"), line(page, name).locator(".save").click()]);
  assert.equal(download.suggestedFilename(), name);
  return hashOf(readFileSync(await download.path()));
}

/** Has the dialog, which a test cannot answer, choose a real file of the browser. */
const choosePlaces = (page) =>
  page.evaluate(() => {
    window.showSaveFilePicker = async ({ suggestedName }) => {
      const root = await navigator.storage.getDirectory();
      return (await root.getDirectoryHandle("picked", { create: true })).getFileHandle(suggestedName, { create: true });
    };
  });

/** Hashes of the files that the dialog chose, by name. */
const pickedHashes = async (page) => Object.fromEntries(await page.evaluate(hashesWithin, ["picked", true]));

/** Runs in a page: hashes of the files in a folder of its storage, with their names on request. */
async function hashesWithin([folder, named = false]) {
  const hashes = [];
  const visit = async (directory) => {
    for await (const [name, handle] of directory.entries()) {
      if (handle.kind === "directory") await visit(handle);
      else {
        const digest = await crypto.subtle.digest("SHA-256", await (await handle.getFile()).arrayBuffer());
        const hash = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        hashes.push(named ? [name, hash] : hash);
      }
    }
  };
  await visit(await (await navigator.storage.getDirectory()).getDirectoryHandle(folder));
  return hashes;
}
