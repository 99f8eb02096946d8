/**
 * State of a call as the browser reports it, read without the page and its module.
 */
import assert from "node:assert/strict";

import { eventually } from "./eventually.mjs";

/**
 * Runs in every page before its own scripts: keeps each RTCPeerConnection, with the times when it
 * was made and first connected, the course of its gathering, and whether its first offer was rolled
 * back. Echoes on channels named `test-echo`.
 */
export function recordConnections() {
  window.connections = [];
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(...parameters) {
      super(...parameters);
      window.connections.push(this);
      this.madeAt = performance.now();
      this.addEventListener("connectionstatechange", () => {
        if (this.connectionState === "connected") this.upAt ??= performance.now();
      });
      /** Gathering states and types of candidates, each after its milliseconds since `madeAt`. */
      this.gathering = [];
      const note = (event) => this.gathering.push(`${Math.round(performance.now() - this.madeAt)} ${event}`);
      this.addEventListener("icegatheringstatechange", () => note(this.iceGatheringState));
      this.addEventListener("icecandidate", ({ candidate }) => candidate && note(candidate.type));
      this.addEventListener("datachannel", ({ channel }) => {
        if (channel.label === "test-echo") channel.onmessage = ({ data }) => channel.send(data);
      });
    }

    setRemoteDescription(description) {
      const isFirst = this.signalingState === "have-local-offer" && !this.currentLocalDescription;
      this.rolledBack ||= isFirst && description.type === "offer";
      return super.setRemoteDescription(description);
    }
  };
}

/**
 * Whether a page has ever rolled a first offer back, of which some connections in Chromium never
 * recover.
 */
export const hasRolledBack = (page) => page.evaluate(() => window.connections.some(({ rolledBack }) => rolledBack));

/**
 * The one connection that is up, or null: how many came before it, its selected pair and the video
 * frames decoded so far.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<{ number: number, pair: string, local: string, remote: string, relayProtocol:
 *   string | null, framesDecoded: number } | null>}
 */
export function statistics(page) {
  return page.evaluate(async () => {
    const connection = window.connections.findLast((candidate) => candidate.connectionState === "connected");
    if (!connection) return null;
    const stats = await connection.getStats();
    const all = [...stats.values()];
    const pair = stats.get(all.find(({ type }) => type === "transport")?.selectedCandidatePairId);
    if (!pair) return null;
    const local = stats.get(pair.localCandidateId);
    // A mapped address that the TURN server reports differently makes a local `prflx` of what goes
    // through the relay; only candidates based on a relay have a relay protocol.
    const type = local.candidateType === "prflx" && local.relayProtocol ? "relay" : local.candidateType;
    return {
      number: window.connections.indexOf(connection),
      pair: pair.id,
      local: type,
      remote: stats.get(pair.remoteCandidateId).candidateType,
      relayProtocol: local.relayProtocol ?? null,
      framesDecoded: all.reduce((sum, entry) => sum + (entry.type === "inbound-rtp" ? (entry.framesDecoded ?? 0) : 0), 0),
    };
  });
}

/**
 * Waits until another second's worth of the other side's video has been decoded in each page, over
 * one connection.
 */
export async function videoFlows(...pages) {
  await Promise.all(
    pages.map(async (page) => {
      let first = await eventually("a connection", () => statistics(page));
      await eventually("frames decoded", async () => {
        const now = await statistics(page);
        if (now && now.number !== first.number) first = now;
        return now?.framesDecoded >= first.framesDecoded + 20 || null;
      });
    }),
  );
}

/** Waits until each page's selected pair has one of these types of candidates at either end. */
export async function pathBecomes(types, ...pages) {
  await Promise.all(
    pages.map((page) =>
      eventually(`a path of ${types.join(" or ")}`, async () => {
        const found = await statistics(page);
        return found && types.includes(found.local) && types.includes(found.remote) ? found : null;
      }),
    ),
  );
}

/**
 * A message of `from` through the other side's data channel and back, on a channel of the test's
 * own.
 */
export async function echoes(from) {
  const message = `echo ${Math.random()}`;
  const answer = from.evaluate((text) => {
    const connection = window.connections.findLast((candidate) => candidate.connectionState === "connected");
    const channel = connection.createDataChannel("test-echo");
    channel.onopen = () => channel.send(text);
    return new Promise((resolve, reject) => {
      channel.onmessage = ({ data }) => resolve(data);
      setTimeout(() => reject(new Error("no echo within 10 s")), 10_000);
    });
  }, message);
  assert.equal(await answer, message);
}
