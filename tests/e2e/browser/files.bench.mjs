/**
 * Speed and memory of file transfers through a forced relay, beside one bare data channel over the
 * same connection. Not part of tests/run: it takes minutes.
 *
 *     cargo build --release
 *     BYWAY=../../../target/release/byway node files.bench.mjs [speed | memory | frames | buffers]
 *
 * - `frames`: bare channel by size of its messages;
 * - `buffers`: bare channel by the bytes that it keeps in its buffer;
 * - `speed`: transfers and bare channels of 200 MB in turns, and the medians;
 * - `memory`: one transfer of 1 GiB, with the heap and the processes over time.
 */
import { execFileSync } from "node:child_process";
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";

import { authority, launchChromium } from "./browsers.mjs";
import { recordConnections } from "./connections.mjs";
import { eventually } from "./eventually.mjs";
import { heapOf } from "./heap.mjs";
import { addressOf, enter, peers } from "./page.mjs";
import { BINARY, startServer } from "./server.mjs";

const KIB = 1024;
const MIB = 1024 * KIB;
/** Bytes of a transfer whose speed is measured. */
const SPEED_BYTES = Number(process.env.SPEED_BYTES ?? 200e6);
const ROUNDS = 5;
/** Sizes of the messages of the bare channel. */
const MESSAGE_BYTES = [16, 32, 64, 128, 256].map((kib) => kib * KIB);

const median = (figures) => [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)];
const shown = (figure) => figure.toFixed(1);

const folder = mkdtempSync(join(tmpdir(), "byway-bench-"));
const server = await startServer();
/** Each page has a browser of its own, so that their processes can be told apart. */
const browsers = [await launchChromium(), await launchChromium()];
try {
  const what = process.argv[2] ?? "speed";
  await ({ frames, buffers, speed, memory })[what](await callOf(browsers));
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server.stop();
  authority.forget();
  rmSync(folder, { recursive: true });
}

/** Measures the bare channel by the size of its messages. */
async function frames(pages) {
  for (let round = 0; round < 3; round += 1) {
    for (const size of MESSAGE_BYTES) console.log(`${size / KIB} KiB: ${shown(await bare(pages, size))} MB/s`);
  }
}

/** Measures the bare channel by the buffer that it keeps filled. */
async function buffers(pages) {
  for (let round = 0; round < 3; round += 1) {
    for (const water of [[2 * MIB, 512 * KIB], [MIB, 256 * KIB], [MIB, 512 * KIB]]) {
      console.log(`${water.map((bytes) => bytes / KIB).join(" to ")} KiB: ${shown(await bare(pages, 64 * KIB, water))} MB/s`);
    }
  }
}

/** Measures transfers and bare channels in turns. */
async function speed(pages) {
  const message = Number(process.env.MESSAGE_BYTES ?? 64 * KIB);
  const figures = { transfer: [], bare: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    figures.bare.push(await bare(pages, message));
    figures.transfer.push(await transfer(pages, await fileOf(`round ${round}.bin`, SPEED_BYTES)));
    console.log(`bare ${shown(figures.bare.at(-1))} MB/s, transfer ${shown(figures.transfer.at(-1))} MB/s`);
  }
  const [ours, theirs] = [median(figures.transfer), median(figures.bare)];
  console.log(`medians: bare ${shown(theirs)} MB/s, transfer ${shown(ours)} MB/s, ratio ${(ours / theirs).toFixed(2)}`);
}

/** Moves 1 GiB, and looks at the memory. */
async function memory(pages) {
  const bytes = 1024 * MIB;
  const path = await fileOf("one GiB.bin", bytes);
  const heaps = await Promise.all(pages.map(heapOf));
  const look = async (share) => {
    const rows = [...(await Promise.all(heaps.map((heap) => heap()))).map((size) => size / MIB), ...processes()];
    console.log(`${(share * 100).toFixed(0).padStart(3)} %: heaps ${rows.slice(0, 2).map((mib) => mib.toFixed(1)).join(", ")} MiB; processes ${rows.slice(2).map((mib) => mib.toFixed(0)).join(", ")} MiB`);
  };
  await look(0);
  const rate = await transfer(pages, path, { size: bytes, watch: look });
  await look(1);
  console.log(`${shown(rate)} MB/s, hash equal`);
}

/** Two people over the relay, with the chat open. */
async function callOf(browsers) {
  const pages = [];
  for (const browser of browsers) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.addInitScript(recordConnections);
    await page.addInitScript(() => localStorage.setItem("byway.resolution", JSON.stringify({ width: 320, height: 180, frameRate: 15 })));
    await page.goto(addressOf(server.origin, "bench", { relay: true }));
    await enter(page);
    pages.push(page);
  }
  for (const page of pages) {
    await peers(page, 1);
    await eventually("a relayed path", async () => (await page.locator(".peer[data-path=relayed]").count()) || null);
    await page.click("#chat");
    await page.locator("#file").waitFor({ state: "attached" });
  }
  return pages;
}

/** Bytes a second, in millions, of one bare data channel over the call's own connection. */
async function bare([from, to], messageBytes, [high, low] = [2 * MIB, 512 * KIB]) {
  const arrival = to.evaluate((bytes) => {
    const connection = window.connections.at(-1);
    return new Promise((resolve) => {
      connection.addEventListener("datachannel", ({ channel }) => {
        if (channel.label !== "bench") return;
        let [got, began] = [0, 0];
        channel.binaryType = "arraybuffer";
        channel.onmessage = ({ data }) => {
          began ||= performance.now();
          got += data.byteLength;
          if (got >= bytes) resolve(bytes / 1000 / (performance.now() - began));
        };
      });
    });
  }, SPEED_BYTES);
  await from.evaluate(async ([bytes, messageBytes, high, low]) => {
    const channel = window.connections.at(-1).createDataChannel("bench");
    channel.bufferedAmountLowThreshold = low;
    await new Promise((resolve) => (channel.onopen = resolve));
    const message = new ArrayBuffer(messageBytes);
    for (let sent = 0; sent < bytes; sent += messageBytes) {
      if (channel.bufferedAmount > high) await new Promise((resolve) => (channel.onbufferedamountlow = resolve));
      channel.send(message);
    }
  }, [SPEED_BYTES, messageBytes, high, low]);
  return arrival;
}

/** The same of a transfer, from the click that accepts it until the receiver has the file. */
async function transfer([from, to], path, { size = SPEED_BYTES, watch } = {}) {
  await to.evaluate(() => {
    window.showSaveFilePicker = async ({ suggestedName }) => (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true });
  });
  await from.setInputFiles("#file", path);
  const line = to.locator("li.file").last();
  await line.locator(".accept").waitFor();
  const took = line.evaluate((item) => new Promise((resolve, reject) => {
    const began = performance.now();
    new MutationObserver(() => {
      if (item.dataset.state === "done") resolve(performance.now() - began);
      if (item.dataset.state === "failed") reject(new Error(item.innerText));
    }).observe(item, { attributeFilter: ["data-state"] });
    item.querySelector(".accept").click();
  }));
  const ended = took.then(() => true, () => true);
  while (watch && !(await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 4_000, false))]))) {
    await watch(await line.locator("progress").evaluate(({ value }) => value));
  }
  const ms = await took;
  // The next round has the disk for itself.
  rmSync(path);
  if (!watch) await to.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    for await (const name of root.keys()) await root.removeEntry(name, { recursive: true }).catch(() => {});
  });
  return size / 1000 / ms;
}

async function fileOf(name, bytes) {
  const path = join(folder, name);
  const file = createWriteStream(path);
  for (let left = bytes; left > 0; left -= 8 * MIB) if (!file.write(randomBytes(Math.min(left, 8 * MIB)))) await once(file, "drain");
  file.end();
  await once(file, "close");
  return path;
}

/** Resident memory in MiB: the two largest renderers, sender first, and the server. */
function processes() {
  const lines = execFileSync("ps", ["-eo", "pid=,ppid=,rss=,args="], { encoding: "utf8" }).split("\n");
  const all = lines.map((line) => /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(.*)$/.exec(line)).filter(Boolean)
    .map(([, pid, parent, kib, args]) => ({ pid: Number(pid), parent: Number(parent), mib: Number(kib) / 1024, args }));
  const isOurs = ({ pid, parent }) => pid === process.pid || all.some((other) => other.pid === parent && isOurs(other));
  const ours = all.filter(isOurs);
  const renderers = ours.filter(({ args }) => args.includes("--type=renderer")).sort((a, b) => b.mib - a.mib).slice(0, 2);
  const own = ours.find(({ args }) => args.startsWith(BINARY));
  return [...renderers.sort((a, b) => a.pid - b.pid).map(({ mib }) => mib), own?.mib ?? NaN];
}
