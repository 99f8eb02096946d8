/**
 * Clients that are no browsers, in a call with our page: each a program of its own under clients/,
 * of one command line.
 */
import { spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { afterwards } from "../browser/afterwards.mjs";

/** @typedef {"udp" | "tcp" | "tls"} Transport To the relay. */

const path = (name) => fileURLToPath(new URL(`clients/${name}`, import.meta.url));

const DATAGRAMS_ALONE = "libjuice, its ICE library, reaches TURN servers over UDP alone";

/** True, or the sentence that says why not. @typedef {true | string} Able */

/**
 * A client, and what it can do.
 * @typedef {object} Client
 * @property {string[]} command
 * @property {string} needs A file that is there once it is installed.
 * @property {Record<Transport, Able>} transports
 * @property {Able} relayAlone With the relay forced it tries nothing else.
 * @property {Able} media It sends pictures of its own.
 * @property {Able} restart It follows an ICE restart of the page's.
 * @property {Able} manyRelays It tells the page's relay candidates apart where they share one
 *   address, as they do when the page was offered several transports.
 * @property {Able} ipv6Alone It calls whoever has IPv4 from a machine without.
 */

/**
 * Transports and ICE restarts are held by scenarios/clients.mjs; the rest was seen by hand.
 * @type {Record<string, Client>}
 */
export const CLIENTS = {
  aiortc: {
    command: [path("aiortc/.venv/bin/python"), path("aiortc/peer.py")],
    needs: path("aiortc/.venv/requirements.txt"),
    transports: { udp: true, tcp: true, tls: true },
    relayAlone: true,
    media: true,
    restart: "it answers as if ICE had not been restarted, and goes on with the path there is",
    manyRelays: true,
    ipv6Alone: true,
  },
  "node-datachannel": {
    command: [process.execPath, path("node-datachannel/peer.mjs")],
    needs: path("node-datachannel/node_modules/.made-for"),
    transports: { udp: true, tcp: DATAGRAMS_ALONE, tls: DATAGRAMS_ALONE },
    relayAlone: "it keeps its other addresses to itself, but checks paths from them all the same",
    media: "it has no codecs, and sends the page's own pictures back",
    restart: "libjuice refuses the offer: it takes no second credentials for one connection",
    manyRelays: "libjuice looks channels up by address without port (RFC 8656 section 12), and sends to the wrong candidate",
    ipv6Alone: "libdatachannel looks candidates up with AI_ADDRCONFIG, which drops those of IPv4 on such a machine",
  },
};

/** Reason to skip scenarios with a client, or false. @param {string} kind */
export const without = (kind) =>
  !existsSync(CLIENTS[kind].needs) && `${kind} is not installed: tests/e2e/lab/clients/prepare does that`;

/** An allocation over a slow path, ICE and DTLS; a client that cannot go on says so sooner. */
const PATIENCE_MS = 15_000;

/**
 * @typedef {object} Options
 * @property {string} url Of the signaling, `wss://HOST[:PORT]/ws`.
 * @property {string} room
 * @property {string} [ca] The path of whom to trust.
 * @property {Transport} [transport]
 * @property {boolean} [relay] Whether the relay alone is used.
 * @property {string[]} [on] What to put before its command, so that it runs on another node of a
 *   network.
 */

/**
 * Starts one that ends with its scenario.
 *
 * @param {import("node:test").TestContext} scenario
 * @param {string} kind A key of {@link CLIENTS}.
 * @param {Options} options
 */
export function startClient(scenario, kind, { url, room, ca, transport = "udp", relay = false, on = [] }) {
  const options = [...(ca ? ["--ca", ca] : []), ...(relay ? ["--relay"] : [])];
  const command = [...CLIENTS[kind].command, "--url", url, "--room", room, "--transport", transport, ...options];
  const [program, ...parameters] = [...on, ...command];
  const child = spawn(program, parameters, { stdio: ["ignore", "pipe", "pipe"] });

  const heard = new EventEmitter().setMaxListeners(0);
  /** Everything it told so far. @type {{ event: string, [detail: string]: any }[]} */
  const events = [];
  let complaint = "";
  /** @type {{ status: number | null, complaint: string } | null} */
  let end = null;
  createInterface(child.stdout).on("line", (line) => {
    events.push(JSON.parse(line));
    heard.emit("more");
  });
  child.stderr.on("data", (text) => (complaint += text));
  child.once("error", (error) => (complaint += error.message));
  child.once("close", (status) => {
    end = { status, complaint: complaint.trim() };
    heard.emit("more");
  });

  /** Waits, with a bound, until `find` finds something. */
  const until = (what, find) =>
    new Promise((resolve, reject) => {
      const settle = (how, outcome) => {
        clearTimeout(timer);
        heard.off("more", look);
        how(outcome);
      };
      const fail = (why) => settle(reject, new Error(`${kind}: no ${what} ${why}, but ${JSON.stringify(events)} ${complaint}`));
      const look = () => {
        const found = find();
        if (found) settle(resolve, found);
        else if (end) fail(`before it ended with ${end.status}`);
      };
      const timer = setTimeout(() => fail(`within ${PATIENCE_MS} ms`), PATIENCE_MS);
      heard.on("more", look);
      look();
    });

  const ended = () => until("end", () => end);
  afterwards(scenario, () => {
    child.kill("SIGKILL"); // its goodbye is nobody's concern
    return ended();
  });

  return {
    /** Everything it told so far. */
    events,
    /**
     * The first event of this name that `accept` takes, come already or to come.
     *
     * @param {string} name
     * @param {(event: any) => boolean} [accept]
     */
    event: (name, accept = () => true) => until(name, () => events.find((told) => told.event === name && accept(told))),
    /**
     * Its exit status, and what it complained of.
     * @type {() => Promise<{ status: number | null, complaint: string }>}
     */
    ended,
    /** Asks it to end. */
    stop: () => child.kill(),
  };
}
