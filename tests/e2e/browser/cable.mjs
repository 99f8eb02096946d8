/**
 * A TCP cable between browsers and a server, that can be cut, plugged in again, and go dead without
 * a word.
 */
import { once } from "node:events";
import { connect, createServer } from "node:net";

import { afterwards } from "./afterwards.mjs";

/**
 * @param {{ after: (undo: () => unknown) => void }} scenario
 * @param {string} server Where it leads: `host:port`.
 */
export async function layCable(scenario, server) {
  const [host, port] = server.split(":");
  /** Present connections, both ends of each. @type {Set<import("node:net").Socket>} */
  const ends = new Set();
  /** Ends through which nothing passes any more. */
  const stranded = new WeakSet();
  let state = /** @type {"whole" | "cut" | "dead"} */ ("whole");
  let [refused, swallowed] = [0, 0];

  const cable = createServer((browser) => {
    if (state === "cut") {
      refused += 1;
      return void browser.resetAndDestroy();
    }
    if (state === "dead") swallowed += 1;
    const upstream = state === "dead" ? null : connect(Number(port), host);
    for (const [from, to] of [[browser, upstream], [upstream, browser]]) {
      if (!from) continue;
      ends.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        ends.delete(from);
        to?.destroy();
      });
      from.on("data", (bytes) => state === "whole" && !stranded.has(from) && to?.write(bytes));
    }
  });
  cable.listen(0, "127.0.0.1");
  await once(cable, "listening");
  const sever = () => ends.forEach((end) => end.resetAndDestroy());
  afterwards(scenario, () => {
    sever();
    cable.close();
  });

  return {
    origin: `http://127.0.0.1:${cable.address().port}`,
    /** Breaks what is connected, and refuses what comes. */
    cut() {
      state = "cut";
      sever();
    },
    /** Everything stays connected and connects, and nothing passes. */
    die() {
      state = "dead";
    },
    /**
     * Nothing passes through what is connected, as behind a NAT that forgot it or an address that
     * is gone. What connects from now on works.
     */
    strand() {
      ends.forEach((end) => stranded.add(end));
    },
    /** Restores the cable. Lost connections and bytes stay lost. */
    mend() {
      state = "whole";
    },
    /** Number of attempts to connect while it was cut. */
    get refused() {
      return refused;
    },
    /** Number of connections while it was dead. */
    get swallowed() {
      return swallowed;
    },
  };
}
