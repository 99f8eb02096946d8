/** Two connections of this page that call each other over data channels. */

/**
 * Candidate, with the side that has it and its time since the start.
 * @typedef {{ side: "a" | "b", candidate: RTCIceCandidate, afterMs: number }} Seen
 */

/** @typedef {{ url: string, code: number, text: string }} IceError */

/** @typedef {{ bps: number, loss: number, jitterMs: number }} Flow */

/**
 * @typedef {object} Options
 * @property {(candidate: RTCIceCandidate) => RTCIceCandidateInit | null} [fromB] Changes what the
 *   first side learns of the second, or hides it.
 * @property {(seen: Seen) => void} [note] Called for each candidate.
 */

/** Runs and measures one call of the page to itself. */
export class Loop {
  /** @type {IceError[]} Errors of the first side. */
  errors = [];
  /** @type {IceError[]} Errors of the second side. */
  otherErrors = [];
  /** @type {RTCIceCandidate[]} */ candidates = [];
  /** @type {RTCIceCandidate[]} */ otherCandidates = [];
  /** Resolves with the first side's first candidate, or with null if it gets none. */
  first;
  /** Resolves with whether both sides are connected. */
  connected;
  /** @type {(candidate: RTCIceCandidate | null) => void} */ #gathered = () => {};
  /** @type {(open: boolean) => void} */ #settle = () => {};
  /**
   * Candidates of the second side until the first has its own.
   * @type {RTCIceCandidateInit[] | null}
   */
  #held = [];

  /**
   * @param {RTCConfiguration} a
   * @param {RTCConfiguration} b
   * @param {Options} [options]
   */
  constructor(a, b, { fromB = (candidate) => candidate.toJSON(), note = () => {} } = {}) {
    this.start = performance.now();
    this.a = new RTCPeerConnection(a);
    this.b = new RTCPeerConnection(b);
    this.first = new Promise((resolve) => (this.#gathered = resolve));
    this.connected = new Promise((resolve) => (this.#settle = resolve));
    // Both sides know the channels, so that neither waits for the other's event.
    const [echo, flow] = [{ negotiated: true, id: 0 }, { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 }];
    this.ping = this.a.createDataChannel("echo", echo);
    this.echo = this.b.createDataChannel("echo", echo);
    this.flow = this.a.createDataChannel("flow", flow);
    this.sink = this.b.createDataChannel("flow", flow);
    this.flow.binaryType = this.sink.binaryType = "arraybuffer";
    this.echo.onmessage = ({ data }) => this.echo.send(data);
    Promise.all([this.ping, this.echo, this.flow, this.sink].map(opened)).then(() => this.#settle(true));

    const afterMs = () => performance.now() - this.start;
    this.a.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate) return;
      note({ side: "a", candidate, afterMs: afterMs() });
      this.candidates.push(candidate);
      this.b.addIceCandidate(candidate).catch(() => {}).then(() => this.#release());
      this.#gathered(candidate);
    };
    this.b.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate) return;
      note({ side: "b", candidate, afterMs: afterMs() });
      this.otherCandidates.push(candidate);
      const told = fromB(candidate);
      if (!told) return;
      if (this.#held) this.#held.push(told);
      else this.a.addIceCandidate(told).catch(() => {});
    };
    /** @type {(errors: IceError[]) => (event: RTCPeerConnectionIceErrorEvent) => unknown} */
    const collect = (errors) => ({ url, errorCode, errorText }) => errors.push({ url, code: errorCode, text: errorText });
    this.a.onicecandidateerror = collect(this.errors);
    this.b.onicecandidateerror = collect(this.otherErrors);
    this.a.onicegatheringstatechange = () => this.a.iceGatheringState === "complete" && this.#gathered(null);
    for (const side of [this.a, this.b]) {
      side.addEventListener("connectionstatechange", () => side.connectionState === "failed" && this.#settle(false));
    }
  }

  /** Begins. @param {number} patienceMs Time after which both promises resolve. */
  async open(patienceMs) {
    this.timer = setTimeout(() => this.#giveUp(), patienceMs);
    const offer = await this.a.createOffer();
    await this.a.setLocalDescription(offer);
    // The text that was made has no candidates, so every one goes through the events above.
    await this.b.setRemoteDescription(offer);
    const answer = await this.b.createAnswer();
    await this.b.setLocalDescription(answer);
    await this.a.setRemoteDescription(answer);
  }

  /**
   * Time of a message to the other side and back, the shortest of a few.
   * @returns {Promise<number>}
   */
  async roundTrip() {
    let least = Infinity;
    for (let count = 0; count < PINGS; count += 1) {
      const sent = performance.now();
      const answered = new Promise((resolve) => {
        this.ping.onmessage = () => resolve(true);
        setTimeout(resolve, PING_PATIENCE_MS, false);
      });
      if (this.ping.readyState !== "open") break;
      this.ping.send(String(count));
      if (await answered) least = Math.min(least, performance.now() - sent);
    }
    return least;
  }

  /** Sends as much as a call would, without repetition. @returns {Promise<Flow>} */
  async measure() {
    let [received, jitterMs, lastTransit] = [0, 0, NaN];
    this.sink.onmessage = ({ data }) => {
      const transit = performance.now() - new DataView(data).getFloat64(0);
      received += 1;
      // RFC 3550 section 6.4.1.
      if (!Number.isNaN(lastTransit)) jitterMs += (Math.abs(transit - lastTransit) - jitterMs) / 16;
      lastTransit = transit;
    };
    const message = new DataView(new ArrayBuffer(MESSAGE_BYTES));
    const begin = performance.now();
    let [sent, given] = [0, 0];
    await new Promise((/** @type {(value?: unknown) => void} */ done) => {
      const timer = setInterval(() => {
        const now = performance.now();
        const due = Math.floor(((now - begin) / 1_000) * (TARGET_BPS / 8 / MESSAGE_BYTES));
        for (; given < due; given += 1) {
          // A path that is slower than the flow is not made to queue it.
          if (this.flow.readyState !== "open" || this.flow.bufferedAmount > QUEUE_BYTES) continue;
          message.setFloat64(0, performance.now());
          this.flow.send(message.buffer);
          sent += 1;
        }
        if (now - begin < FLOW_MS) return;
        clearInterval(timer);
        done();
      }, TICK_MS);
    });
    const elapsed = performance.now() - begin;
    await new Promise((resolve) => setTimeout(resolve, TAIL_MS));
    const bps = (received * MESSAGE_BYTES * 8 * 1_000) / elapsed;
    return { bps, loss: sent ? Math.max(0, 1 - received / sent) : 1, jitterMs };
  }

  /**
   * The first side's end of the path as the second sees it.
   * @returns {Promise<{ type: string, address: string | null, port: number } | null>}
   */
  async seenByOther() {
    const stats = await this.b.getStats();
    /** @type {any[]} */
    const all = [...stats.values()];
    const transport = all.find(({ type }) => type === "transport");
    const pair =
      stats.get(transport?.selectedCandidatePairId) ??
      all.find(({ type, selected }) => type === "candidate-pair" && selected);
    const remote = pair && stats.get(pair.remoteCandidateId);
    return remote ? { type: remote.candidateType, address: remote.address || null, port: remote.port } : null;
  }

  close() {
    clearTimeout(this.timer);
    this.#giveUp();
    this.a.close();
    this.b.close();
  }

  #giveUp() {
    this.#gathered(null);
    this.#settle(false);
  }

  /** Tells the first side what the second has, once the second knows the first. */
  #release() {
    for (const candidate of this.#held ?? []) this.a.addIceCandidate(candidate).catch(() => {});
    this.#held = null;
  }
}

/** @param {RTCDataChannel} channel */
const opened = (channel) => new Promise((resolve) => (channel.onopen = resolve));

const PINGS = 6;
const PING_PATIENCE_MS = 1_000;
/** Below the MTU of every path, with the headers of DTLS and TURN. */
const MESSAGE_BYTES = 1_100;
/** A small picture with sound, for a few seconds: the operator pays for what is relayed. */
const TARGET_BPS = 1_500_000;
const FLOW_MS = 2_000;
const TICK_MS = 10;
const QUEUE_BYTES = 32 * 1_024;
/** Time for the last messages. */
const TAIL_MS = 400;
