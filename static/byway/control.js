/** Control channel of a connection: echo, media states, and the end of channels. */

import { BywayError } from "./errors.js";
import { parseStates } from "./media-state.js";

/** @typedef {import("./media-state.js").MediaStates} MediaStates */

/**
 * Control channel between the modules at both ends. Lines of an unknown kind are for newer modules,
 * and lines that are not valid are ignored.
 *
 * | line | |
 * |---|---|
 * | `ping N`, `pong N` | echo |
 * | `media {"microphone": …, "camera": …, "sends": …}` | states of the sender |
 * | `picture` | the sender asks for a key frame of each video |
 * | `close N` | the sender closed its {@link Channel} with this stream id |
 */
export class ControlChannel {
  /** @type {RTCDataChannel} */ #channel;
  /** @type {Map<string, () => void>} */ #pings = new Map();

  /**
   * @param {RTCPeerConnection} connection
   * @param {object} listener
   * @param {() => void} listener.opened
   * @param {(states: MediaStates, sends: unknown) => void} listener.media
   * @param {() => void} listener.picture
   * @param {(streamId: number) => void} listener.closed
   */
  constructor(connection, { opened, media, picture, closed }) {
    // The label of older modules, which have the echo alone.
    const channel = connection.createDataChannel("byway.echo", { negotiated: true, id: 1 });
    this.#channel = channel;
    const tell = limited(media);
    channel.onopen = opened;
    channel.onmessage = ({ data }) => {
      if (typeof data !== "string" || data.length > MAX_LINE) return;
      const [, kind, rest = ""] = /^(\w+)(?: (.*))?$/s.exec(data) ?? [];
      if (kind === "ping") this.say(`pong ${rest}`);
      else if (kind === "pong") this.#pings.get(rest)?.();
      else if (kind === "picture") picture();
      else if (kind === "close") closed(Number(rest));
      else if (kind === "media") {
        const value = parseJson(rest);
        const states = parseStates(value);
        if (states) tell(states, value.sends);
      }
    };
  }

  /** Sends a line, if the channel is open and the peer reads. @param {string} line */
  say(line) {
    if (this.#channel.readyState === "open" && this.#channel.bufferedAmount < MAX_BUFFERED) this.#channel.send(line);
  }

  /**
   * Measures a round trip. Rejects without an answer in time, and with the signal's reason.
   * @param {{ timeoutMs: number, signal?: AbortSignal }} options
   * @returns {Promise<number>} Milliseconds.
   */
  async ping({ timeoutMs, signal }) {
    signal?.throwIfAborted();
    const nonce = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
    const started = performance.now();
    /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
    /** @type {(() => void) | undefined} */ let abort;
    try {
      await new Promise((resolve, reject) => {
        this.#pings.set(nonce, () => resolve(undefined));
        timer = setTimeout(() => reject(new BywayError("no-echo")), timeoutMs);
        abort = () => reject(signal?.reason);
        signal?.addEventListener("abort", abort);
        if (this.#channel.readyState === "open") this.#channel.send(`ping ${nonce}`);
        else reject(new BywayError("no-echo"));
      });
    } finally {
      clearTimeout(timer);
      if (abort) signal?.removeEventListener("abort", abort);
      this.#pings.delete(nonce);
    }
    return performance.now() - started;
  }
}

/**
 * Passes the first states on at once. Of those that come too fast, the latest of each moment: each
 * may cost the page a drawing of everything.
 * @param {(states: MediaStates, sends: unknown) => void} media
 * @returns {(states: MediaStates, sends: unknown) => void}
 */
function limited(media) {
  let left = MAX_STATES;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
  /** @type {(() => void) | null} */ let latest = null;
  const rest = () => {
    timer = undefined;
    left = MAX_STATES;
    latest?.();
    latest = null;
  };
  return (states, sends) => {
    timer ??= setTimeout(rest, STATES_MS);
    left -= 1;
    if (left >= 0) media(states, sends);
    else latest = () => media(states, sends);
  };
}

/** @param {string} text @returns {any} Undefined if it is not JSON. */
function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The longest line of this module has about 100 characters. */
const MAX_LINE = 1_000;
/** States that are passed on at once within a time. A person presses no more buttons. */
const MAX_STATES = 10;
const STATES_MS = 500;
/** Answers that wait for a peer that sends pings and reads nothing. */
const MAX_BUFFERED = 64 * 1024;
