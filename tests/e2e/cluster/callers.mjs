/** Two people in a call, and a third one who comes: what each of them sees. */
import assert from "node:assert/strict";

import { eventually } from "../browser/eventually.mjs";
import { addressOf, enter, peers } from "../browser/page.mjs";
import { UNREACHABLE, visit } from "../browser/visit.mjs";
import { longestGap, watchMedia } from "../lab/media.mjs";
import { CALL } from "./cluster.mjs";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {import("./cluster.mjs").Cluster} Cluster */

/** Names of the two, each at a node of its own, and of the third. */
const [ANN, BOB, CEM] = ["Ann", "Bob", "Cem"];

/** Longest a fault may keep callers from each other, and the one who comes from them. */
const HEALING_MS = 30_000;

/** Of a second. */
const FRAMES = 15;

/** Complaints about a server that is gone, or about to go. */
const OUT_OF_SERVICE = new RegExp(`${UNREACHABLE.source}|status of 503`);

/**
 * Observations of a caller.
 *
 * @typedef {object} Seen
 * @property {boolean} same Whether it is the same membership as before.
 * @property {string[]} left Peers that it was told have left.
 * @property {string[]} said Status lines of its page.
 */

/** Two people who are in a call. */
export class Callers {
  /** @type {Page[]} */ #pages = [];

  /**
   * Both join, each by the node that its browser finds first, over the relay alone.
   *
   * @param {import("node:test").TestContext} scenario
   * @param {Cluster} cluster
   * @param {string} room
   */
  async call(scenario, cluster, room) {
    const address = addressOf(`https://${CALL}`, room, { relay: true });
    for (const [client, name] of [["client-a", ANN], ["client-b", BOB]]) {
      const page = await visit(scenario, cluster.browser(client), address, { tolerated: OUT_OF_SERVICE });
      this.#pages.push(page);
      await enter(page, name);
    }
    await Promise.all(this.#pages.map((page) => peers(page, 1)));
    await this.see();
  }

  /** Waits until another second of the other's pictures has come to both. */
  async see() {
    await Promise.all(this.#pages.map(async (page) => {
      const before = await page.evaluate(framesDecoded);
      // Another connection begins at 0.
      await eventually("pictures", async () => Math.abs((await page.evaluate(framesDecoded)) - before) > FRAMES || null, HEALING_MS);
    }));
  }

  /** Looks from now on. */
  async watch() {
    await Promise.all(this.#pages.map((page) => page.evaluate(watch)));
    await watchMedia(...this.#pages);
  }

  /** @returns {Promise<Seen[]>} */
  async seen() {
    const seen = await Promise.all(this.#pages.map((page) => page.evaluate(() => ({ ...window.seen, id: window.seen.call.id, call: undefined }))));
    return seen.map(({ id, before, left, said }) => ({ same: id === before, left: left.filter((name) => name !== CEM), said: said.filter((text) => !text.includes(CEM)) }));
  }

  /** Longest time in which nothing came to one of them, in milliseconds. */
  gapMs() {
    return longestGap(...this.#pages);
  }

  /** Whether the two, and nobody twice, are in the room of each. */
  async isWhole() {
    const [ofAnn, ofBob] = await Promise.all(this.#pages.map((page) => page.evaluate(() => window.seen.call.peers.map(({ name }) => name))));
    const others = (names) => names.filter((name) => name !== CEM).join();
    return others(ofAnn) === BOB && others(ofBob) === ANN;
  }

  /**
   * A new offer of the first to the second, and its answer. Returns when the answer has arrived, as
   * `Date.now()`.
   */
  async signal() {
    const [page] = this.#pages;
    const before = await page.evaluate(offer, BOB);
    return eventually("an answer to a new offer", async () => {
      const { fragment, at } = await page.evaluate(answered, BOB);
      return fragment && fragment !== before ? at : null;
    }, HEALING_MS);
  }
}

/**
 * A third person opens the service and joins, without camera and microphone. Returns when it was
 * admitted and when it heard both others, as `Date.now()`, and its page.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {Cluster} cluster
 * @param {string} room
 */
export async function comeBy(scenario, cluster, room) {
  const page = await visit(scenario, cluster.browser("visitor"), `https://${CALL}/help`, { tolerated: OUT_OF_SERVICE });
  await page.evaluate(come, { room, name: CEM });
  const home = cluster.homeOf("visitor");
  return eventually("the third hears both", async () => {
    const { joinedAt, heardAt, peers } = await page.evaluate(() => window.visit());
    const both = heardAt[ANN] && heardAt[BOB];
    if (!both) return null;
    assert.equal(new Set(peers).size, peers.length, `nobody is there twice: ${peers}`);
    return { home, joinedAt, metAt: Math.max(heardAt[ANN], heardAt[BOB]) };
  }, HEALING_MS);
}

/** Runs in the page of a caller. */
function watch() {
  const { call } = document.querySelector("#call");
  const status = document.querySelector("#status");
  const seen = (window.seen = { call, before: call.id, left: [], said: [] });
  call.addEventListener("peerleft", ({ peer }) => seen.left.push(peer.name));
  new MutationObserver(() => seen.said.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
}

/** Runs in the page of a caller. The third sends none. */
async function framesDecoded() {
  const reports = await Promise.all(document.querySelector("#call").call.peers.map(({ connection }) => connection.getStats()));
  return reports.flatMap((report) => [...report.values()]).reduce((sum, { type, framesDecoded = 0 }) => sum + (type === "inbound-rtp" ? framesDecoded : 0), 0);
}

/** Runs in the page of a caller, and returns the other's part of the connection as it was. */
function offer(name) {
  const { connection } = window.seen.call.peers.find((peer) => peer.name === name);
  const [, fragment] = /a=ice-ufrag:(\S+)/.exec(connection.remoteDescription.sdp);
  connection.restartIce();
  return fragment;
}

/** Runs in the page of a caller. */
function answered(name) {
  const connection = window.seen.call.peers.find((peer) => peer.name === name)?.connection;
  const stable = connection?.signalingState === "stable" && connection.remoteDescription;
  return { fragment: stable && /a=ice-ufrag:(\S+)/.exec(connection.remoteDescription.sdp)[1], at: Date.now() };
}

/** Runs in the page of the third. */
async function come({ room, name }) {
  const { join } = await import("/byway.js");
  let [joinedAt, heardAt] = [0, {}];
  // A person tries again.
  while (!window.call) {
    window.call = await join({ room, name, relayOnly: true }).catch(({ code }) => {
      if (code !== "server-unreachable" && code !== "bye") throw new Error(code);
    });
  }
  joinedAt = Date.now();
  setInterval(() => {
    for (const peer of window.call.peers) {
      const heard = peer.connection.getReceivers().some((receiver) => receiver.getSynchronizationSources().length > 0);
      if (heard) heardAt[peer.name] ??= Date.now();
    }
  }, 50);
  window.visit = () => ({ joinedAt, heardAt, peers: window.call.peers.map((peer) => peer.name) });
}
