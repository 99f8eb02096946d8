/** Chat of the page: between two and three members, hostile ones, and connections that break. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { afterwards } from "../afterwards.mjs";
import { findsNothing } from "../axe.mjs";
import { withoutFirefox } from "../browsers.mjs";
import { layCable } from "../cable.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { happened, join as enterWith, openWith } from "../module.mjs";
import { addressOf, enter, joined, peers, says, toggleRelay } from "../page.mjs";
import { startServer } from "../server.mjs";
import { firefox, join, open, room, server } from "../stage.mjs";
import { UNREACHABLE } from "../visit.mjs";

const LABEL = "byway.chat";
/** Less than the time after which a message is repeated without a new greeting. */
const SOON_MS = 15_000;

/** Opens the chat of a page. */
async function openChat(page) {
  if ((await page.getAttribute("#chat", "aria-expanded")) === "false") await page.click("#chat");
  await page.locator("#chat-input").waitFor();
}

/** Sends a text as a person does. */
async function say(page, text) {
  await openChat(page);
  await page.locator("#chat-input").fill(text);
  await page.locator("#chat-input").press("Enter");
}

/** Lines of the log: text, whether own, mark beside the name, and state of the delivery. */
const log = (page) =>
  page.locator("#chat-log > li").evaluateAll((items) =>
    items.map((item) => ({
      text: item.querySelector(".text")?.textContent ?? item.textContent,
      ...(item.hasAttribute("data-own") && { own: true }),
      who: item.querySelector(".who")?.textContent ?? "",
      ...(item.querySelector(".mark") && { mark: item.querySelector(".mark").textContent }),
      ...(item.querySelector(".state")?.textContent && { state: item.querySelector(".state").textContent }),
    })),
  );

const texts = async (page) => (await log(page)).map(({ text }) => text);

/** Waits until the texts of the log are these. */
const reads = (page, wanted, patienceMs) => becomesEqual("texts of the log", () => texts(page), wanted, patienceMs);

/** Waits until a value is the wanted one; fails with the last difference. */
async function becomesEqual(what, read, wanted, patienceMs) {
  let last;
  try {
    await eventually(what, async () => JSON.stringify((last = await read())) === JSON.stringify(wanted) || null, patienceMs);
  } catch {
    assert.deepEqual(last, wanted, what);
  }
}

/** A member that is no Byway page. What it hears on the chat's channel is in `window.chatted`. */
async function intruder(scenario, victim, { name = "Mallory", hello = { seen: false, kept: 0, age: 0 } } = {}) {
  const page = await openWith(scenario);
  await enterWith(page, room(scenario), { name });
  await happened(page, "open");
  await peers(victim, 1);
  await page.evaluate(async ([label, hello]) => {
    window.chatted = [];
    const channel = window.call.peers[0].openChannel(label);
    channel.addEventListener("message", ({ data }) => window.chatted.push(JSON.parse(data)));
    await channel.send(JSON.stringify({ hello }));
  }, [LABEL, hello]);
  return page;
}

/** Sends messages on the chat's channel. */
const tell = (page, ...messages) =>
  page.evaluate(async ([label, messages]) => {
    const channel = window.call.peers[0].openChannel(label);
    for (const message of messages) await channel.send(typeof message === "string" ? message : JSON.stringify(message));
  }, [LABEL, messages]);

const text = (id, text, more = {}) => ({ text: { id, text, ...more } });

test("two members write: lines, emoji, links and markup are what they look like", async (scenario) => {
  const ada = await join(scenario, room(scenario), { name: "Ada" });
  const ben = await join(scenario, room(scenario), { name: "Ben" });
  // The app's own messages are untouched.
  await ben.evaluate(() => {
    window.messages = [];
    for (const peer of document.querySelector("#call").call.peers) peer.addEventListener("message", ({ data }) => window.messages.push(data));
  });
  await say(ada, "  Hello  Ben \n");
  await say(ada, "👍🏽");
  await ben.click("#chat");
  await reads(ben, ["Hello  Ben", "👍🏽"]);
  assert.equal(await ben.locator("#chat-log .emoji").count(), 1);
  assert.deepEqual((await log(ben)).map(({ who, own = false }) => [who, own]), [["Ada", false], ["Ada", false]]);
  assert.deepEqual((await log(ada)).map(({ who, own = false, state }) => [who, own, state]), [["You", true, undefined], ["You", true, undefined]]);

  // Shift and Enter begins a line; an input method takes Enter for itself.
  const input = ben.locator("#chat-input");
  await input.pressSequentially("one");
  await input.press("Shift+Enter");
  await input.pressSequentially("two");
  await ben.evaluate(() => {
    const field = document.querySelector("#chat-input");
    const press = (more) => field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...more }));
    press({ isComposing: true });
    press({ keyCode: 229 });
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true, isComposing: true }));
  });
  assert.equal(await input.inputValue(), "one\ntwo");
  await input.press("Enter");
  await reads(ada, ["Hello  Ben", "👍🏽", "one\ntwo"]);
  const height = await ada.locator("#chat-log li:nth-child(3) .text").evaluate(({ clientHeight }) => clientHeight);
  assert.ok(height > 40, `two lines in ${height} px`);

  await say(ada, `<img src=x onerror="pwned=1"><script>pwned=1</script> javascript:alert(1) data:text/html,x`);
  await say(ada, "(see https://аррӏе.example/a_(b)). 看https://a.example，好");
  await say(ada, "x".repeat(3_000));
  await reads(ben, ["Hello  Ben", "👍🏽", "one\ntwo", `<img src=x onerror="pwned=1"><script>pwned=1</script> javascript:alert(1) data:text/html,x`,
    "(see https://xn--80ak6aa92e.example/a_(b)). 看https://a.example，好", "x".repeat(3_000)]);
  const found = await ben.evaluate(() => ({
    within: [...document.querySelectorAll("#chat-log .text *")].map(({ outerHTML }) => outerHTML),
    wide: document.querySelector(".chat-scroller").scrollWidth > document.querySelector(".chat-scroller").clientWidth,
    pwned: window.pwned,
    messages: window.messages,
  }));
  const anchor = (href, shown) => `<a href="${href}" target="_blank" rel="noopener noreferrer" dir="ltr" title="Opens in a new tab">${shown}</a>`;
  assert.deepEqual(found, {
    within: [anchor("https://xn--80ak6aa92e.example/a_(b)", "https://xn--80ak6aa92e.example/a_(b)"), anchor("https://a.example/", "https://a.example")],
    wide: false,
    pwned: undefined,
    messages: [],
  });

  // Beyond the limit a sentence says what to do, and nothing is sent.
  await ada.locator("#chat-input").fill("y".repeat(4_001));
  assert.equal(await ada.locator("#chat-count").innerText(), "4,001 of 4,000 characters");
  assert.match(await ada.locator("#chat-note").innerText(), /at most 4,000 characters/);
  await ada.locator("#chat-input").press("Enter");
  assert.equal((await texts(ada)).length, 6);
  assert.ok(await ada.locator("#chat-send").isDisabled());
  // The draft outlives the panel.
  await ada.locator("#chat-input").fill("draft");
  await ada.click("#panel-close");
  // A file that is dropped beside a panel does not replace the page.
  assert.equal(await ada.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["x"], "x.txt"));
    return document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  }), false);
  await openChat(ada);
  assert.equal(await ada.inputValue("#chat-input"), "draft");
});

test("a private message reaches one, and who leaves gets none by mistake", async (scenario) => {
  const pages = {};
  for (const name of ["Ada", "Ben", "Cy"]) pages[name] = await join(scenario, room(scenario), { name });
  await Promise.all(Object.values(pages).map((page) => peers(page, 2)));
  await say(pages.Ada, "for all");
  await pages.Ada.selectOption("#chat-to", { label: "Ben" });
  await say(pages.Ada, "for Ben");
  for (const page of [pages.Ben, pages.Cy]) await openChat(page);
  await reads(pages.Ben, ["for all", "for Ben"]);
  assert.equal((await log(pages.Ben))[1].mark, "To you only");
  assert.equal((await log(pages.Ada))[1].mark, "To Ben only");

  // The receiver leaves while the person writes: the message goes nowhere until another is chosen.
  await pages.Ben.click("#hangup");
  await peers(pages.Ada, 1);
  await say(pages.Ada, "a secret");
  assert.match(await pages.Ada.locator("#chat-note").innerText(), /Ben has left/);
  assert.equal(await pages.Ada.inputValue("#chat-input"), "a secret");
  await pages.Ada.selectOption("#chat-to", { label: "Everyone" });
  await pages.Ada.locator("#chat-input").fill("no secret");
  await pages.Ada.click("#chat-send");
  await reads(pages.Cy, ["for all", "no secret"]);

  await findsNothing(pages.Ada, "private messages, two receivers to choose");

  // The log stays after the call, and goes on in the same room.
  assert.equal(await pages.Ben.locator("#chat").isVisible(), true);
  assert.equal(await pages.Ben.locator("#chat-input").isDisabled(), true);
  assert.match(await pages.Ben.locator("#chat-note").innerText(), /The call has ended/);
  assert.deepEqual(await texts(pages.Ben), ["for all", "for Ben"]);
  await pages.Ben.click("#join");
  await joined(pages.Ben);
  await reads(pages.Ben, ["for all", "for Ben", "no secret"]);

  // A late joiner gets the public messages: the author's as they are, others as told.
  await say(pages.Cy, "of Cy");
  await reads(pages.Ada, ["for all", "for Ben", "no secret", "of Cy"]);
  await pages.Ben.click("#hangup");
  await pages.Cy.click("#hangup");
  await peers(pages.Ada, 0);
  const late = await join(scenario, room(scenario), { name: "Late" });
  await openChat(late);
  await reads(late, ["for all", "no secret", "of Cy"]);
  assert.deepEqual((await log(late)).map(({ who, mark }) => [who, mark]), [["Ada", undefined], ["Ada", undefined], ["Cy", "Told by Ada"]]);
  await findsNothing(late, "a told message");
  await late.click("#hangup");
  await late.locator("#chat-input:disabled").waitFor();
  await late.emulateMedia({ colorScheme: "light" });
  await findsNothing(late, "after the call, in light");

  // Another room has a log of its own.
  await late.goto(addressOf(server.origin, `${room(scenario)}-2`));
  await enter(late);
  await openChat(late);
  assert.deepEqual(await texts(late), []);
});

test("unread messages are counted, announced once, and the reader stays where they are", async (scenario) => {
  const ada = await join(scenario, room(scenario), { name: "Ada" });
  const mallory = await intruder(scenario, ada, { name: "Mallory" });
  await ada.evaluate(() => {
    window.told = [];
    const status = document.querySelector("#status");
    new MutationObserver(() => window.told.push(status.textContent)).observe(status, { childList: true });
  });
  await tell(mallory, ...Array.from({ length: 12 }, (_, index) => text(`a${index}`, `number ${index}\n\n.`)));
  await eventually("twelve unread", async () => (await ada.getAttribute("#chat", "data-unread")) === "12" || null);
  assert.equal(await ada.getAttribute("#chat", "aria-label"), "Chat, unread: 12");
  assert.deepEqual(await ada.evaluate(() => window.told.filter((it) => /message/.test(it))), ["New message from Mallory."]);
  await openChat(ada);
  await eventually("none unread", async () => (await ada.getAttribute("#chat", "data-unread")) === null || null);

  const scroller = ada.locator(".chat-scroller");
  await eventually("the end of the log", () => scroller.evaluate((it) => it.scrollTop > 0 && it.scrollHeight - it.scrollTop - it.clientHeight < 2));
  await scroller.evaluate((it) => new Promise((resolve) => {
    it.addEventListener("scroll", () => requestAnimationFrame(resolve), { once: true });
    it.scrollTop = 0;
  }));
  await tell(mallory, text("b", "below"));
  const newest = ada.locator(".chat-newest");
  await newest.waitFor();
  assert.equal(await newest.innerText(), "New messages: 1");
  assert.equal(await scroller.evaluate((it) => it.scrollTop), 0);
  await newest.click();
  await newest.waitFor({ state: "hidden" });
  assert.equal(await ada.getAttribute("#chat", "data-unread"), null);
  // At the end, the log follows.
  await tell(mallory, text("c", "further below"));
  await ada.getByText("further below").waitFor();
  assert.ok(await scroller.evaluate((it) => it.scrollHeight - it.scrollTop - it.clientHeight < 40));
});

test("threat 25: a flood, garbage, a forged history and a stolen id do little", async (scenario) => {
  const ada = await join(scenario, room(scenario), { name: "Ada" });
  const mallory = await intruder(scenario, ada, { hello: { seen: false, kept: 5, age: 1e15 } });
  // Asked for the history, it invents lines of others.
  await eventually("the question", () => mallory.evaluate(() => window.chatted.some(({ ask }) => ask) || null));
  const line = (id, name, said, more = {}) => ({ id, name, text: said, ago: 1_000, ...more });
  await tell(mallory, { history: [line("h1", "Ada", "I owe Mallory money"), line("h2", "Ben", "<b>me too</b>"), line("h3", "Ada", "mine", { mine: true }), { id: 7 }, null] });
  await tell(mallory, { history: [line("h4", "Ben", "once more")] });
  await openChat(ada);
  await reads(ada, ["I owe Mallory money", "<b>me too</b>", "mine"]);
  assert.deepEqual((await log(ada)).map(({ who, own, mark }) => [who, own, mark]), [
    ["Ada", undefined, "Told by Mallory"], ["Ben", undefined, "Told by Mallory"], ["Mallory", undefined, undefined],
  ]);

  await tell(mallory, "", "null", "7", "[]", "{", `"x"`, "[".repeat(100_000), { hello: 7 }, { hello: null }, { hello: { seen: {} } },
    `{"hello":{"seen":true,"kept":${"[".repeat(30_000)}${"]".repeat(30_000)}}}`, { text: 7 }, { text: [] },
    { text: { id: "a b", text: "no" } }, { text: { id: "n", text: { toString: 1 } } }, { text: { id: "n", text: "x".repeat(5_000) } }, { got: {} }, { got: "__proto__" },
    { got: ["x"] }, { history: 7 }, { ask: "x" }, `{"__proto__":{"text":{"id":"p","text":"p"}}}`, "x".repeat(200_000));
  await mallory.evaluate((label) => window.call.peers[0].openChannel(label).send(new Uint8Array(100_000).buffer), LABEL);
  // A message once more under its id is one message; another under that id is another.
  await tell(mallory, text("s1", "one"), text("s1", "one"), text("s1", "two"));
  await reads(ada, ["I owe Mallory money", "<b>me too</b>", "mine", "one", "two"]);
  await say(ada, "own");
  const own = await eventually("the own message", () => mallory.evaluate(() => window.chatted.find(({ text }) => text?.text === "own")?.text));
  await tell(mallory, { text: own }, { got: own.id });
  await eventually("its delivery", async () => (await log(ada)).at(-1).state === undefined || null);
  assert.equal((await texts(ada)).at(-1), "own");

  // 10,000 messages as fast as the browser sends them.
  await ada.evaluate(() => {
    window.longest = 0;
    let last = performance.now();
    const tick = () => {
      window.longest = Math.max(window.longest, performance.now() - last);
      last = performance.now();
      setTimeout(tick);
    };
    tick();
  });
  const before = (await texts(ada)).length;
  const started = Date.now();
  await mallory.evaluate(async (label) => {
    const channel = window.call.peers[0].openChannel(label);
    for (let index = 0; index < 10_000; index += 1) await channel.send(JSON.stringify({ text: { id: `f${index}`, text: `flood ${index}` } }));
    while (channel.bufferedAmount) await new Promise((resolve) => setTimeout(resolve, 10));
  }, LABEL);
  await mallory.evaluate(() => window.call.peers[0].ping(60_000));
  const seconds = (Date.now() - started) / 1_000;
  const all = (await texts(ada)).slice(before);
  const complaints = all.filter((it) => it === "Mallory sends too fast, so some messages are not shown. Ask Mallory to write more slowly.");
  const longest = await ada.evaluate(() => window.longest);
  scenario.diagnostic(`10,000 messages in ${seconds} s: ${all.length} shown, longest task ${Math.round(longest)} ms`);
  assert.equal(complaints.length, 1);
  assert.ok(all.length <= 42 + 5 * (seconds + 2), `${all.length} lines in ${seconds} s`);
  assert.ok(longest < 1_000, `the page did not answer for ${longest} ms`);
  // The page writes on, with what is left of the flood around it.
  await say(ada, "still here");
  await eventually("the own line", async () => (await texts(ada)).includes("still here") || null);

  // Who takes the name of another is told from that one, wherever a person chooses between them.
  const second = await openWith(scenario);
  await enterWith(second, room(scenario), { name: "mallory" });
  await peers(ada, 2);
  await happened(second, "open", 2);
  await second.evaluate(async (label) => {
    const peer = window.call.peers.find(({ name }) => name === "Ada");
    for (const message of [{ hello: { seen: false } }, { text: { id: "z", text: "it is me" } }]) await peer.openChannel(label).send(JSON.stringify(message));
  }, LABEL);
  await ada.getByText("it is me").waitFor();
  assert.equal((await log(ada)).at(-1).who, "mallory (2)");
  assert.deepEqual(await ada.locator("#chat-to option").allInnerTexts(), ["Everyone", "Mallory", "mallory (2)"]);
  assert.deepEqual(await ada.locator(".peer > .tile .name").allInnerTexts(), ["Mallory", "mallory (2)"]);
});

test("10,000 lines neither grow the page nor slow it", async (scenario) => {
  const ada = await join(scenario, room(scenario), { name: "Ada" });
  await openChat(ada);
  const write = (from, count) =>
    ada.evaluate(async ([from, count]) => {
      const input = document.querySelector("#chat-input");
      const started = performance.now();
      for (let index = from; index < from + count; index += 1) {
        input.value = `line ${index}`;
        input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
        if (index % 200 === 0) await new Promise(requestAnimationFrame);
      }
      await new Promise(requestAnimationFrame);
      return performance.now() - started;
    }, [from, count]);
  const session = await ada.context().newCDPSession(ada);
  const heap = async () => {
    await session.send("HeapProfiler.collectGarbage");
    const { metrics } = await session.send("Performance.getMetrics");
    const of = (name) => metrics.find((it) => it.name === name).value;
    return { bytes: of("JSHeapUsedSize"), nodes: of("Nodes") };
  };
  await session.send("Performance.enable");
  const early = await write(0, 2_000);
  const before = await heap();
  await write(2_000, 6_000);
  const late = await write(8_000, 2_000);
  const after = await heap();
  scenario.diagnostic(`2,000 lines took ${Math.round(early)} ms, the last ${Math.round(late)} ms; heap ${before.bytes} and ${after.bytes} bytes, nodes ${before.nodes} and ${after.nodes}`);
  assert.equal(await ada.locator("#chat-log li").count(), 1_000);
  assert.equal((await texts(ada)).at(-1), "line 9999");
  assert.ok(after.bytes < before.bytes + 3_000_000, "the heap grew");
  assert.ok(after.nodes < before.nodes * 1.2, "the document grew");
  assert.ok(late < 3 * early + 500, "the page became slow");
});

test("nothing is lost while paths and servers come and go", async (scenario) => {
  const first = await startServer({ resumeWindow: "30s" });
  let stopped = false;
  afterwards(scenario, () => (stopped ? null : first.stop()));
  const cable = await layCable(scenario, new URL(first.origin).host);
  const options = { tolerated: UNREACHABLE };
  const ada = await join(scenario, room(scenario), { ...options, origin: cable.origin, name: "Ada" });
  const ben = await join(scenario, room(scenario), { ...options, origin: first.origin, name: "Ben" });
  await Promise.all([peers(ada, 1), peers(ben, 1)]);
  await Promise.all([openChat(ada), openChat(ben)]);
  const wanted = [];
  const both = async (what) => {
    for (const [page, name] of [[ada, "Ada"], [ben, "Ben"]]) {
      await say(page, `${name} ${what}`);
      wanted.push(`${name} ${what}`);
    }
    for (const page of [ada, ben]) {
      await becomesEqual(`texts ${what}`, async () => (await texts(page)).sort(), [...wanted].sort(), 40_000);
      await eventually(`all delivered ${what}`, async () => (await log(page)).every(({ state }) => !state) || null, 40_000);
    }
  };
  await both("at first");

  // The relay switch replaces the connection while the browser still has much to send over it.
  const long = Array.from({ length: 12 }, (_, index) => `${index} `.padEnd(4_000, "x"));
  await ada.evaluate(async (long) => {
    const input = document.querySelector("#chat-input");
    for (const text of long) {
      input.value = text;
      input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    }
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    document.querySelector("#relay").click();
  }, long);
  wanted.push(...long);
  await becomesEqual("what Ben has", async () => (await texts(ben)).sort(), [...wanted].sort(), SOON_MS);
  await eventually("all delivered", async () => (await log(ada)).every(({ state }) => !state) || null, SOON_MS);
  await toggleRelay(ada);
  await openChat(ada);
  await both("at the switch back");
  await videoFlows(ada, ben);

  // A cut from the server keeps the members, who write on.
  cable.cut();
  await says(ada, /out of reach/);
  await both("in the cut");
  cable.mend();
  await says(ada, /is back/);
  await both("after the cut");

  // A restart of the server makes all members new.
  await first.stop();
  stopped = true;
  await says(ben, /out of reach/);
  await both("without a server");
  const second = await startServer(first.listen);
  afterwards(scenario, () => second.stop());
  await both("across the restart");
  await Promise.all([says(ada, /is connected|is here/), says(ben, /is connected|is here/)]);
  await Promise.all([peers(ada, 1), peers(ben, 1)]);
  await both("at last");
  assert.equal(await ada.evaluate(() => document.querySelectorAll("#chat-log .mark").length), 0);
});

test("what was not delivered says so, and a member that tells no history is passed over", async (scenario) => {
  const cy = await join(scenario, room(scenario), { name: "Cy" });
  await say(cy, "long ago");
  // Ben's program says that it has the longest history, never tells it, and confirms nothing.
  const ben = await openWith(scenario);
  await ben.evaluate((label) => {
    window.chatted = [];
    window.greet = (peer) => {
      const channel = peer.openChannel(label);
      const greet = (seen) => channel.send(JSON.stringify({ hello: { seen, kept: 9, age: 1e15 } }));
      channel.addEventListener("message", ({ data }) => {
        const message = JSON.parse(data);
        window.chatted.push({ ...message, channel, from: peer.name });
        if (message.hello?.seen === false) greet(true);
      });
      channel.addEventListener("open", () => greet(false));
    };
    window.confirm = () => {
      for (const { text, channel } of window.chatted) if (text) channel.send(JSON.stringify({ got: text.id }));
    };
    const { join } = window.byway;
    window.byway.join = async (options) => {
      const call = await join(options);
      call.addEventListener("peer", ({ peer }) => window.greet(peer));
      return call;
    };
  }, LABEL);
  await enterWith(ben, room(scenario), { name: "Ben" });
  await peers(cy, 1);
  const ada = await join(scenario, room(scenario), { name: "Ada" });
  await peers(ada, 2);
  await say(ada, "early");
  const last = async () => (await log(ada)).at(-1).state ?? null;
  const heard = () => ben.evaluate(() => [...new Set(window.chatted.filter(({ text, from }) => text && from === "Ada").map(({ text }) => text.text))]);
  await becomesEqual("what Ben has", heard, ["early"]);
  await becomesEqual("the state", last, "Not delivered to Ben yet");
  await ben.evaluate(() => window.confirm());
  await becomesEqual("the state", last, null);
  await reads(ada, ["long ago", "early"]);
  assert.equal(await ben.evaluate(() => window.chatted.filter(({ ask, from }) => ask && from === "Ada").length), 1);

  await say(ada, "late");
  await becomesEqual("what Ben has", heard, ["early", "late"]);
  await ben.evaluate(() => window.call.leave());
  await peers(ada, 1);
  await becomesEqual("the state", last, "Not delivered to Ben, who left");
  // Under a new id, he gets what he missed.
  await ben.evaluate(() => (window.chatted = []));
  await enterWith(ben, room(scenario), { name: "Ben" });
  await becomesEqual("what Ben has", heard, ["late"]);
  await becomesEqual("the state", last, "Not delivered to Ben yet");
  await ben.evaluate(() => window.confirm());
  await becomesEqual("the state", last, null);
});

test("the chat is used by keyboard alone, on a phone, and in Chinese", async (scenario) => {
  const page = await join(scenario, room(scenario), { name: "阿达", locale: "zh-CN", viewport: { width: 390, height: 780 } });
  await page.focus("#chat");
  await page.keyboard.press("Enter");
  await page.locator("#chat-input").waitFor();
  assert.equal(await page.locator("#panel-title").innerText(), "聊天");
  assert.match(await page.locator(".chat-scroller").innerText(), /还没有消息/);
  await eventually("the field has the focus", () => page.evaluate(() => document.activeElement?.id === "chat-input" || null));
  await page.keyboard.type("你好");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.equal(await page.inputValue("#chat-input"), "你好😭".replace("😭", await page.locator("#chat-emoji button").nth(10).textContent()));
  await page.keyboard.press("Enter");
  await reads(page, [`你好${await page.locator("#chat-emoji button").nth(10).textContent()}`]);
  // Escape closes the choice first, then the panel.
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#panel").isVisible(), true);
  const field = await page.locator("#chat-input").boundingBox();
  assert.ok(field.y + field.height <= 780 && field.x >= 0 && field.x + field.width <= 390, "the field is in view");
  // A keyboard covers the lower part of the page.
  await page.evaluate(() => {
    Object.defineProperty(visualViewport, "height", { get: () => innerHeight - 300 });
    visualViewport.dispatchEvent(new Event("resize"));
  });
  const raised = await page.locator("#chat-input").boundingBox();
  const whole = await page.locator("#panel").boundingBox();
  assert.ok(raised.y + raised.height <= 480 && whole.y >= 0, `the field ends at ${raised.y + raised.height}`);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#panel").isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), "chat");
});

test("Firefox and Chromium write to each other", { skip: withoutFirefox }, async (scenario) => {
  const fox = await join(scenario, room(scenario), { name: "Fox", browser: await firefox() });
  const ada = await join(scenario, room(scenario), { name: "Ada" });
  await openChat(fox);
  // Playwright's `fill` presses Enter in Firefox.
  await fox.locator("#chat-input").pressSequentially("one");
  await fox.keyboard.press("Shift+Enter");
  await fox.locator("#chat-input").pressSequentially("two 🎉 https://a.example");
  await fox.keyboard.press("Enter");
  await say(ada, "three");
  for (const page of [fox, ada]) await becomesEqual("texts", async () => (await texts(page)).sort(), ["one\ntwo 🎉 https://a.example", "three"]);
  await eventually("all delivered", async () => [...(await log(fox)), ...(await log(ada))].every(({ state }) => !state) || null);
  const [height, field] = await fox.locator("#chat-log .text").first().evaluate((it) => [it.clientHeight, document.querySelector("#chat-input").getBoundingClientRect().bottom]);
  assert.ok(height > 40 && field <= 800);
});

test("viewers have no chat", async (scenario) => {
  const page = await open(scenario, `${addressOf(server.origin, room(scenario))}&live=1`);
  await page.click("#join");
  await joined(page);
  const viewer = await open(scenario, `${addressOf(server.origin, room(scenario))}&live=1`);
  if ((await viewer.getAttribute("#call", "data-role")) !== "viewer") return scenario.skip("the second member speaks, too");
  await viewer.click("#join");
  await joined(viewer);
  assert.equal(await viewer.locator("#chat").isVisible(), false);
});
