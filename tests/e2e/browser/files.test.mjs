/** Parts of file transfers that need no browser: names, pictures, messages, speed. */
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { test } from "node:test";

import { proofOf, secretOf, seenByOther } from "../../../static/page/chat/files/identity.js";
import { HEAD_BYTES, pictureOf } from "../../../static/page/chat/files/picture.js";
import { makeFrame, parseEnd, parseMessage, readFrame } from "../../../static/page/chat/files/protocol.js";
import { Rate, timeLeft } from "../../../static/page/chat/files/rate.js";
import { randomId } from "../../../static/page/chat/random-id.js";
import { safeName, splitName } from "../../../static/page/file-names.js";
import { sizeText } from "../../../static/page/sizes.js";

// Node 18 has it under another name.
globalThis.crypto ??= webcrypto;

const NAMES = {
  "report.pdf": "report.pdf",
  "Grüße 你好 😀.tar.gz": "Grüße 你好 😀.tar.gz",
  "/etc/passwd": "passwd",
  "..\\..\\windows\\system32\\evil.dll": "evil.dll",
  "../..": "file",
  "a/../..": "a",
  ".bashrc": "bashrc",
  "...": "file",
  "": "file",
  "   ": "file",
  "CON": "_CON",
  "con.exe": "_con.exe",
  "nul .txt": "_nul.txt",
  "com1": "_com1",
  "LPT¹.log": "_LPT¹.log",
  "conference.txt": "conference.txt",
  "end. . ": "end",
  "photo\u202egpj.exe": "photogpj.exe",
  "a\u2066b\u2069c\u200bd\ufeff.txt": "abcd.txt",
  "line\nbreak\u0000\u007f\u0085.txt": "linebreak.txt",
  "a:b*c?d\"e<f>g|h.txt": "a_b_c_d_e_f_g_h.txt",
  "half \ud800 pair.txt": "half pair.txt",
  "stream.txt:hidden": "stream.txt_hidden",
};

for (const [raw, safe] of Object.entries(NAMES)) {
  test(`the name ${JSON.stringify(raw)} becomes ${safe}`, () => assert.equal(safeName(raw), safe));
}

test("a long name becomes short, keeps its extension, and a safe name is safe already", () => {
  for (const raw of [`${"x".repeat(10_000)}.jpeg`, `${"你".repeat(5_000)}.jpeg`, `${"😀".repeat(5_000)}.jpeg`]) {
    const safe = safeName(raw);
    assert.ok(safe.endsWith(".jpeg") && safe.length > 20 && new TextEncoder().encode(safe).length <= 230, safe);
    assert.equal(safeName(safe), safe);
  }
  assert.ok(safeName(`a.${"x".repeat(10_000)}`).length <= 120);
  for (const safe of Object.values(NAMES)) assert.equal(safeName(safe), safe);
});

test("the extension is split off, so that it is seen", () => {
  assert.deepEqual(splitName("photo.jpg.exe"), { stem: "photo.jpg", extension: ".exe" });
  assert.deepEqual(splitName("README"), { stem: "README", extension: "" });
  assert.deepEqual(splitName(`a.${"b".repeat(30)}`), { stem: `a.${"b".repeat(30)}`, extension: "" });
});

const bytes = (text, length = 64) => Uint8Array.from({ length }, (_, index) => text.charCodeAt(index) || 0);

test("pictures are told by their bytes, and bounded", () => {
  const png = bytes("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x00\0\0\0\x80");
  assert.deepEqual(pictureOf(png), { type: "image/png", width: 256, height: 128 });
  assert.deepEqual(pictureOf(bytes("GIF89a\x10\x00\x20\x00")), { type: "image/gif", width: 16, height: 32 });
  assert.deepEqual(pictureOf(bytes("RIFF....WEBPVP8X\n\0\0\0\0\0\0\0\x0f\0\0\x1f\0\0")), { type: "image/webp", width: 16, height: 32 });
  assert.deepEqual(pictureOf(bytes("\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x20\0\x10")), { type: "image/jpeg", width: 16, height: 32 });
  const vast = bytes("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\xff\xff\xff\0\xff\xff\xff");
  const none = bytes("GIF89a\0\0\0\0");
  for (const bad of [vast, none, bytes("<svg xmlns='http://www.w3.org/2000/svg'>"), bytes("<html>"), new Uint8Array(0), bytes("\x89PNG\r\n\x1a\n", 8)]) {
    assert.equal(pictureOf(bad), null);
  }
});

test("any bytes after the start of a picture end in an answer", () => {
  for (const start of ["\x89PNG\r\n\x1a\n", "GIF89a", "RIFF....WEBPVP8L", "RIFF....WEBPVP8 ", "\xff\xd8\xff\xff\xff\xff", "\xff\xd8\xff\xe1\0\0", "\xff\xd8\xff\xe1"]) {
    for (let length = start.length; length < 60; length += 1) pictureOf(bytes(start, length));
    pictureOf(bytes(start, HEAD_BYTES).fill(0xff, start.length));
  }
});

test("control messages are checked", () => {
  const id = randomId();
  assert.match(id, /^[\w-]{22}$/);
  assert.notEqual(randomId(), id);
  const parse = (message) => parseMessage(JSON.stringify(message));
  assert.deepEqual(parse({ offer: id, name: "x", size: 0 }), { kind: "offer", id, name: "x", size: 0 });
  assert.deepEqual(parse({ accept: id, round: 1, at: 5 }), { kind: "accept", id, round: 1, at: 5 });
  assert.deepEqual(parse({ cancel: id, why: "constructor" }), { kind: "cancel", id, why: "cancelled" });
  for (const size of [-1, 0.5, 2 ** 60, Infinity, "7", null, undefined, {}]) assert.equal(parse({ offer: id, name: "x", size }), null);
  for (const bad of ["", "null", "7", "[]", "{", `{"offer":"x"}`, "[".repeat(9_000), `"${"x".repeat(20_000)}"`, new ArrayBuffer(5), undefined]) {
    assert.equal(parseMessage(bad), null);
  }
  assert.deepEqual(parseEnd(JSON.stringify({ end: "a".repeat(64), round: 3 })), { end: "a".repeat(64), round: 3 });
  for (const bad of ["", "{}", `{"end":"x","round":1}`, "x".repeat(1_000)]) assert.equal(parseEnd(bad), null);
});

test("a frame keeps its round and an offset beyond 32 bits", () => {
  const frame = makeFrame({ round: 2 ** 32 - 1, offset: 2 ** 43 + 1 }, new Uint8Array([1, 2, 3]));
  assert.deepEqual(readFrame(frame), { round: 2 ** 32 - 1, offset: 2 ** 43 + 1, length: 3 });
  for (const bad of [new ArrayBuffer(0), new ArrayBuffer(12), "text", null]) assert.equal(readFrame(bad), null);
});

test("speed is that of the last seconds, and unknown after a pause", () => {
  const rate = new Rate();
  for (let second = 0; second <= 20; second += 1) rate.add(second * (second < 10 ? 1e6 : 2e6), second * 1_000);
  assert.equal(Math.round(rate.bytesPerSecond), 2e6);
  assert.equal(Math.round(rate.secondsFor(10e6)), 5);
  rate.add(0, 21_000);
  assert.equal(rate.bytesPerSecond, null);
  assert.equal(rate.secondsFor(1), null);
});

test("figures are short", () => {
  assert.deepEqual([0, 999, 1_000, 1_234_567, 99_600_000, 30e9, 2 ** 44].map(sizeText), ["0 B", "999 B", "1 kB", "1.2 MB", "100 MB", "30 GB", "18 TB"]);
  assert.deepEqual([1, 31, 90, 7_200].map((seconds) => timeLeft(seconds).count), [0, 35, 2, 2]);
});

test("a page proves that it is the same, and nobody can send the proof back or pass it on", async () => {
  const [ada, bob] = [randomId(), randomId()];
  assert.equal(secretOf(ada, bob), secretOf(bob, ada));
  const ends = { local: "AA:01", remote: "BB:02" };
  const proof = await proofOf(secretOf(ada, bob), ends);
  assert.match(proof, /^[0-9a-f]{64}$/);
  assert.equal(proof, await proofOf(secretOf(bob, ada), seenByOther(seenByOther(ends))));
  const others = [[secretOf(ada, bob), seenByOther(ends)], [secretOf(ada, bob), { ...ends, remote: "CC:03" }], [secretOf(ada, randomId()), ends]];
  for (const [secret, other] of others) assert.notEqual(await proofOf(secret, other), proof);
});
