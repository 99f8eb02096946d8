/**
 * Clients that are no browsers take a call from our page between two homes, the relay forced at
 * both ends. What is said of a client's transports and of ICE restarts is tried, too: the day that
 * it can do more, the table is to say so.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { authority } from "../../browser/browsers.mjs";
import { echoes, videoFlows } from "../../browser/connections.mjs";
import { eventually } from "../../browser/eventually.mjs";
import { addressOf, peers, relaysOver, toggleRelay } from "../../browser/page.mjs";
import { connectMs } from "../call.mjs";
import { CLIENTS, startClient, without } from "../clients.mjs";
import { longestGap, watchMedia } from "../media.mjs";
import { record } from "../results.mjs";
import { measured } from "./measured.mjs";

const TABLE = "Other clients, relay forced";
const ROOM = "lab";

/** Further remarks on each client in the table. */
const ABILITIES = {
  relayAlone: "trying nothing but the relay",
  media: "pictures of its own",
  restart: "an ICE restart",
  manyRelays: "several relay candidates of one address",
  ipv6Alone: "from IPv6 alone to IPv4",
};

/**
 * @param {import("../lab.mjs").Lab} lab
 * @param {{ rounds?: number }} [options]
 */
export function clients(lab, { rounds = 1 } = {}) {
  for (const [kind, { transports, ...abilities }] of Object.entries(CLIENTS)) {
    for (const [ability, name] of Object.entries(ABILITIES)) {
      if (abilities[ability] !== true) record({ table: TABLE, scenario: `${kind}: ${name}`, relay: "byway", path: `it cannot: ${abilities[ability]}` });
    }
    const testClient = (name, body) => test(`${kind} ${name}`, { skip: without(kind) }, body);

    for (const [transport, able] of Object.entries(transports)) {
      const what = { table: TABLE, name: `Chromium × ${kind}, over ${transport.toUpperCase()}`, skip: without(kind) };
      if (able === true) {
        measured({ ...what, rounds }, async (scenario) => {
          const { server, client, page } = await call(scenario, kind, transport);
          assert.equal((await client.event("connected")).local, "relay");
          await watchMedia(page);
          await relaysOver(transport, server, [page]);
          const times = { connectMs: await connectMs(page), gapMs: await longestGap(page) };
          assert.ok((await ping(page)) > 0);
          await client.event("frames", ({ count }) => count >= 60);

          await page.click("#hangup");
          await client.event("left");
          assert.deepEqual(await client.ended(), { status: 0, complaint: "" });
          return { path: `relayed over ${transport.toUpperCase()}`, ...times };
        });
      } else {
        measured(what, async (scenario) => {
          const { client } = await call(scenario, kind, transport);
          const { status, complaint } = await client.ended();
          assert.equal(status, 1);
          assert.match(complaint, /^no relay was had over [^\n]*libjuice[^\n]*$/);
          return { path: `it cannot: ${able}` };
        });
      }
    }

    testClient("follows the page to a new connection", async (scenario) => {
      const { client, page } = await call(scenario, kind, "udp");
      await client.event("connected");
      await toggleRelay(page);
      await eventually("another connection", () => client.events.filter(({ event }) => event === "connected").length > 1);
      await videoFlows(page);
      await echoes(page);
    });

    testClient("leaves when it is told to end", async (scenario) => {
      const { client, page } = await call(scenario, kind, "udp");
      await client.event("connected");
      client.stop();
      assert.deepEqual(await client.ended(), { status: 0, complaint: "" });
      await peers(page, 0);
    });

    testClient("says in one sentence that a certificate is not to be trusted", async (scenario) => {
      const { client } = await waiting(scenario, kind, "tls", { ca: undefined });
      const { status, complaint } = await client.ended();
      assert.equal(status, 1);
      assert.match(complaint, /^[^\n]*certificate[^\n]*$/);
    });
  }

  test("aiortc goes on with its path when ICE is restarted", { skip: without("aiortc") }, async (scenario) => {
    const { client, page } = await call(scenario, "aiortc", "udp");
    await client.event("connected");
    const before = await credentialsOfPeer(page);
    await restart(page);
    assert.equal(await credentialsOfPeer(page), before);
    await videoFlows(page);
    await echoes(page);
  });

  test("node-datachannel refuses when ICE is restarted", { skip: without("node-datachannel") }, async (scenario) => {
    const { client, page } = await call(scenario, "node-datachannel", "udp");
    await client.event("connected");
    await restart(page);
    const { status, complaint } = await client.ended();
    assert.equal(status, 1);
    assert.match(complaint, /Invalid ICE settings/);
  });

  /** A server of one transport, and a client in a room of it. */
  async function waiting(scenario, kind, transport, options = {}) {
    await lab.arrange({});
    const server = await lab.serve(scenario, { offers: [transport] });
    const url = `${server.origin.replace("http", "ws")}/ws`;
    const on = lab.network.on("client-b");
    const client = startClient(scenario, kind, { url, room: ROOM, ca: authority.file, transport, relay: true, on, ...options });
    return { server, client };
  }

  /** The same, and a page that calls it. */
  async function call(scenario, kind, transport) {
    const { server, client } = await waiting(scenario, kind, transport);
    await client.event("joined");
    const page = await lab.join(scenario, "a", addressOf(server.origin, ROOM, { relay: true }));
    return { server, client, page };
  }
}

/** The module's own echo, in milliseconds. */
const ping = (page) => page.evaluate(() => document.querySelector("#call").call.peers[0].ping());

/** Restarts ICE, and waits for the answer or for the end of the call. */
const restart = (page) =>
  page.evaluate(() => {
    const connection = window.connections.at(-1);
    connection.restartIce();
    return new Promise((resolve) => {
      connection.addEventListener("signalingstatechange", () => connection.signalingState !== "have-local-offer" && resolve());
      document.querySelector("#call").call.addEventListener("peerleft", resolve);
    });
  });

/** The ufrag of ICE that the page was told last. */
const credentialsOfPeer = (page) =>
  page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(window.connections.at(-1).remoteDescription.sdp)[1]);
