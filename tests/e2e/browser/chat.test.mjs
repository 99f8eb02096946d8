/** Parts of the page's chat that need no browser: links, limits and histories. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { historyOf, indexToDrop, mergeHistory, readHistory } from "../../../static/page/chat/history.js";
import { Bucket, MAX_TEXT, clean, isEmoji, isId, readText, visible } from "../../../static/page/chat/limits.js";
import { splitLinks } from "../../../static/page/chat/links.js";

const linksOf = (text) => splitLinks(text).filter((part) => typeof part !== "string");
const shownIn = (text) => splitLinks(text).map((part) => (typeof part === "string" ? part : part.shown)).join("");

/** Texts, and the addresses that are links in them. */
const LINKS = {
  "see https://byway.example/a?b=1#c": ["https://byway.example/a?b=1#c"],
  "http://byway.example. And (https://byway.example/x), \"https://byway.example/y\"!": ["http://byway.example/", "https://byway.example/x", "https://byway.example/y"],
  "https://en.wikipedia.example/wiki/Byway_(road)": ["https://en.wikipedia.example/wiki/Byway_(road)"],
  "(https://a.example/b_(c))...": ["https://a.example/b_(c)"],
  "看https://a.example/路径，很好。": ["https://a.example/%E8%B7%AF%E5%BE%84"],
  "两个链接：https://a.example/一（括号）和https://b.example": ["https://a.example/%E4%B8%80", "https://b.example/"],
  "HTTPS://A.Example/B": ["https://a.example/B"],
  "javascript:alert(1)": [],
  // A host with a percent sign is none.
  "javascript://https://a.example%0aalert(1)": [],
  "data:text/html,<script>alert(1)</script>": [],
  "vbscript:x file:///etc/passwd ftp://a.example mailto:a@a.example //a.example a.example": [],
  "https://good.example@evil.example/": [],
  "https://user:secret@evil.example/": [],
  "https:// https://. http://?": [],
  "https://[::1]:8080/x http://127.0.0.1": ["https://[::1]:8080/x", "http://127.0.0.1/"],
};

test("web addresses become links, and nothing else does", () => {
  for (const [text, hrefs] of Object.entries(LINKS)) {
    assert.deepEqual(linksOf(text).map(({ href }) => href), hrefs, text);
    if (!hrefs.length) assert.equal(shownIn(text), text);
  }
});

test("a host is shown in ASCII, so that look-alikes are seen", () => {
  assert.deepEqual(linksOf("https://аррӏе.example/Път"), [{ href: "https://xn--80ak6aa92e.example/%D0%9F%D1%8A%D1%82", shown: "https://xn--80ak6aa92e.example/Път" }]);
  assert.deepEqual(linksOf("https://good.example\\@evil.example"), [{ href: "https://good.example/@evil.example", shown: "https://good.example\\@evil.example" }]);
  assert.deepEqual(linksOf("https:///evil.example/").map(({ shown }) => shown), ["https://evil.example/"]);
  // A slash of another script is part of the host, which the browser normalizes.
  for (const { href, shown } of linksOf("https://good.example／.evil.example https://good.example⁄.evil.example")) {
    assert.equal(new URL(shown).host, new URL(href).host);
    assert.match(new URL(href).host, /^[\x21-\x7e]+$/);
  }
  // Characters that reorder a text end a link.
  assert.deepEqual(linksOf("https://a.example/\u202egpj.exe").map(({ href }) => href), ["https://a.example/"]);
});

test("text around links is kept, and many addresses cost little", () => {
  assert.equal(shownIn("a  https://a.example/ \n\tb"), "a  https://a.example/ \n\tb");
  const started = performance.now();
  // A flood of the worst: a bracket that closes nothing, again and again.
  const brackets = Array(20).fill(`https://a.example/${")]}".repeat(1_300)}`);
  for (const text of [...brackets, "https://a".repeat(400), `https://a.example/${")".repeat(3_900)}`, `https://${"(".repeat(3_900)}`, "http://".repeat(570)]) splitLinks(text);
  assert.ok(performance.now() - started < 1_000);
});

test("texts are limited and cleaned", () => {
  assert.equal(readText("x".repeat(MAX_TEXT)), "x".repeat(MAX_TEXT));
  assert.equal(readText("😀".repeat(MAX_TEXT)), "😀".repeat(MAX_TEXT));
  for (const text of ["x".repeat(MAX_TEXT + 1), "😀".repeat(MAX_TEXT + 1), "", " \n\t", "\u0000", null, 7, {}, ["x"], undefined]) {
    assert.equal(readText(text), null);
  }
  assert.equal(clean("a\r\nb\rc\u2028d\u0000\u0007\n\n\n\n\ne\t"), "a\nb\nc\nd\n\ne");
  assert.equal(visible("Ada\u202e\u2066\n\u0007x"), "Ada x");
  assert.deepEqual(["abc-1_", "", "x".repeat(41), "a b", "<b>", null, 7].map(isId), [true, false, false, false, false, false, false]);
});

test("one to three emoji are large, and digits are not", () => {
  const all = { "👍": true, "👍🏽": true, "👩‍👩‍👧": true, "🇨🇳 🇩🇪": true, "❤️": true, "😀😀😀": true, "😀😀😀😀": false, "5": false, "1️⃣": true, "a😀": false, "": false };
  for (const [text, large] of Object.entries(all)) assert.equal(isEmoji(text), large, text);
  const started = performance.now();
  isEmoji("😀 ".repeat(19) + "a");
  assert.ok(performance.now() - started < 100);
});

test("a bucket allows a burst and then a steady rate", () => {
  const bucket = new Bucket({ burst: 3, perSecond: 2 });
  const taken = (now, times) => Array.from({ length: times }, () => bucket.take(1, now)).filter(Boolean).length;
  assert.equal(taken(0, 10), 3);
  assert.equal(taken(499, 10), 0);
  assert.equal(taken(500, 10), 1);
  assert.equal(taken(2_500, 10), 3);
  // A clock that goes back gives nothing.
  assert.equal(taken(0, 10), 0);
});

const text = (id, name, more = {}) => ({ id, kind: "text", from: { own: false, name }, at: 1_000, text: `text of ${id}`, ...more });

test("a history has the last public texts, within its bounds", () => {
  const entries = [
    text("a", "Ada"), text("b", "Me", { from: { own: true, name: "Me" } }), text("c", "Ada", { to: "" }),
    { ...text("d", "Ada"), kind: "event" }, { ...text("e", "Ada"), kind: "file" }, text("f", "Me", { to: "Ada" }),
  ];
  assert.deepEqual(historyOf(entries, 3_000), [
    { id: "a", name: "Ada", text: "text of a", ago: 2_000 },
    { id: "b", name: "Me", text: "text of b", ago: 2_000, mine: true },
  ]);
  const many = Array.from({ length: 900 }, (_, index) => text(`n${index}`, "Ada"));
  assert.deepEqual(historyOf(many, 1_000).map(({ id }) => id), many.slice(-200).map(({ id }) => id));
  const long = Array.from({ length: 100 }, (_, index) => text(`l${index}`, "Ada", { text: "字".repeat(4_000) }));
  const lines = historyOf(long, 1_000);
  assert.ok(Buffer.byteLength(JSON.stringify(lines)) <= 64 * 1024 && lines.length === 5, String(lines.length));
  assert.equal(lines.at(-1).id, "l99");
});

test("a flood drops its own lines, and no file that is under way", () => {
  const entry = (name, more = {}) => ({ from: { own: false, name }, ...more });
  const flood = Array.from({ length: 5 }, () => entry("Mallory"));
  const told = Array.from({ length: 6 }, () => entry("Ada", { told: "Mallory" }));
  assert.equal(indexToDrop([entry("Ada"), entry("Ada", { from: { own: true, name: "Mallory" } }), ...flood]), 2);
  assert.equal(indexToDrop([entry("Ada"), ...told]), 1);
  assert.equal(indexToDrop([entry("Ada", { transfer: { isOver: false } }), entry("Ada")]), 1);
  assert.equal(indexToDrop([entry("Ada", { transfer: { isOver: false } })]), -1);
});

test("a hostile history yields only lines that are marked as told", () => {
  const read = (lines) => readHistory(lines, { teller: "Mallory", now: 10_000 });
  for (const nonsense of [null, 7, "x", {}, [null], [7], [[]], [{}], [{ id: "a" }], [{ id: "a", name: "A", text: "x", ago: NaN }],
    [{ id: "<b>", name: "A", text: "x", ago: 1 }], [{ id: "a", name: {}, text: "x", ago: 1 }], [{ id: "a", name: "x".repeat(200), text: "x", ago: 1 }],
    [{ id: "a", name: "A", text: "x".repeat(5_000), ago: 1 }]]) assert.deepEqual(read(nonsense), []);
  assert.deepEqual(read([{ id: "a", name: "Ada\u202e", text: "x", ago: -5, own: true, to: "", from: { own: true } }]),
    [{ id: "a", kind: "text", from: { own: false, name: "Ada" }, at: 10_000, text: "x", told: "Mallory" }]);
  // What the teller claims as its own needs no teller, and has its real name.
  assert.deepEqual(read([{ id: "a", name: "Ada", text: "x", ago: 1e300, mine: true }]).map(({ from, told }) => [from.name, told]), [["Mallory", null]]);
  assert.equal(read(Array.from({ length: 5_000 }, (_, index) => ({ id: `a${index}`, name: "A", text: "x", ago: 1 }))).length, 200);
});

test("a history fills the gaps of a log, and changes no order", () => {
  const ids = (entries) => entries.map(({ id }) => id).join("");
  const log = (names) => [...names].map((id) => text(id, "Ada"));
  const merged = (own, told, mark = null) => {
    const entries = log(own);
    mergeHistory(entries, log(told), entries.find(({ id }) => id === mark) ?? null);
    return ids(entries);
  };
  assert.equal(merged("", "abc"), "abc");
  assert.equal(merged("xy", "abc", "x"), "abcxy");
  assert.equal(merged("axy", "abc", "x"), "abcxy");
  assert.equal(merged("apxy", "abc", "x"), "apbcxy");
  assert.equal(merged("ap", "abc"), "apbc");
  assert.equal(merged("abxy", "abcdx", "x"), "abcdxy");
  assert.equal(merged("ab", "ba"), "ab");
  assert.equal(merged("pqx", "abc", "x"), "pqabcx");
  // Twice is as once.
  assert.equal(merged("abc", "abc"), "abc");
});

test("no member suppresses the message of another by its id", () => {
  const entries = [text("a", "Mallory")];
  assert.equal(mergeHistory(entries, [text("a", "Ada")], null).length, 1);
  assert.equal(mergeHistory(entries, [text("a", "Ada")], null).length, 0);
  assert.equal(mergeHistory(entries, [text("a", "Ada", { text: "other" })], null).length, 1);
});
