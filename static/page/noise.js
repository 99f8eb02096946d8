/**
 * Noise suppression of the microphone: RNNoise in an AudioWorklet. Lazily loaded by media.js.
 */

/** Sample rate that RNNoise was trained for. */
const SAMPLE_RATE = 48_000;

/** Name under which the worklet module registers its processor. */
const PROCESSOR = "@sapphi-red/web-noise-suppressor/rnnoise";

/** Longest time that the worklet takes to start. */
const START_MS = 10_000;

const vendor = (/** @type {string} */ file) => new URL(`../vendor/noise-suppressor/${file}`, import.meta.url).href;

/** Suppressor between a microphone and the track that is sent. */
export class NoiseSuppressor extends EventTarget {
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;

  /** @param {AudioContext} context @param {AudioWorkletNode} node */
  constructor(context, node) {
    super();
    this.context = context;
    this.node = node;
    this.destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    node.connect(this.destination);
    context.addEventListener("statechange", () => this.dispatchEvent(new Event("statechange")));
    node.addEventListener("processorerror", () => this.dispatchEvent(new Event("failed")));
  }

  /** Track without noise. */
  get track() {
    return this.destination.stream.getAudioTracks()[0];
  }

  get running() {
    return this.context.state === "running";
  }

  /** Asks the browser to go on after a suspension. Some do so only after a click or a key. */
  resume() {
    return this.context.resume().catch(() => {});
  }

  /** @param {MediaStreamTrack} microphone */
  connect(microphone) {
    this.#source?.disconnect();
    this.#source = this.context.createMediaStreamSource(new MediaStream([microphone]));
    this.#source.connect(this.node);
  }

  close() {
    this.#source?.disconnect();
    this.node.port.postMessage("destroy");
    this.node.disconnect();
    this.track.stop();
    return this.context.close().catch(() => {});
  }
}

/**
 * Loads the suppressor. Resolves only once sound has come out of it: the worklet reports nothing
 * when its program does not start.
 * @param {AbortSignal} signal Ends the attempt.
 * @returns {Promise<NoiseSuppressor>}
 */
export async function createNoiseSuppressor(signal) {
  const context = new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: "interactive" });
  try {
    if (context.sampleRate !== SAMPLE_RATE) throw new Error(`sample rate ${context.sampleRate}`);
    const [wasmBinary] = await Promise.all([program(), context.audioWorklet.addModule(vendor("rnnoise-worklet.js"))]);
    const node = new AudioWorkletNode(context, PROCESSOR, {
      channelCount: 1,
      channelCountMode: "explicit",
      outputChannelCount: [1],
      processorOptions: { maxChannels: 1, wasmBinary },
    });
    signal.throwIfAborted();
    await started(context, node, signal);
    return new NoiseSuppressor(context, node);
  } catch (error) {
    await context.close().catch(() => {});
    throw error;
  }
}

/** Program of the worklet: with SIMD where the browser has it. */
async function program() {
  const simd = await bytesOf("rnnoise_simd.wasm");
  const bytes = WebAssembly.validate(simd) ? simd : await bytesOf("rnnoise.wasm");
  // Fails here with a reason if the page's policy forbids WebAssembly; the worklet would be silent.
  await WebAssembly.compile(bytes);
  return bytes;
}

/** @param {string} file */
async function bytesOf(file) {
  const response = await fetch(vendor(file));
  if (!response.ok) throw new Error(`${file}: HTTP ${response.status}`);
  return response.arrayBuffer();
}

/**
 * Waits until the suppressor answers an inaudible tone. Until the first click or key, browsers hold
 * the sound back, and the wait has no bound.
 * @param {AudioContext} context @param {AudioWorkletNode} node @param {AbortSignal} signal
 */
async function started(context, node, signal) {
  const tone = new OscillatorNode(context, { frequency: 440 });
  const quiet = new GainNode(context, { gain: 0.001 });
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  const samples = new Float32Array(analyser.fftSize);
  tone.connect(quiet).connect(node).connect(analyser);
  tone.start();
  try {
    await new Promise((resolve, reject) => {
      let waited = 0;
      const timer = setInterval(() => {
        const isHeldBack = context.state !== "running";
        if (isHeldBack) context.resume().catch(() => {});
        if (!isHeldBack || navigator.userActivation?.hasBeenActive) waited += PERIOD_MS;
        analyser.getFloatTimeDomainData(samples);
        if (samples.some((sample) => sample !== 0)) resolve(clearInterval(timer));
        else if (waited > START_MS) reject((clearInterval(timer), new Error("the worklet did not start")));
      }, PERIOD_MS);
      signal.addEventListener("abort", () => reject((clearInterval(timer), signal.reason)), { once: true });
    });
  } finally {
    tone.stop();
    quiet.disconnect();
    node.disconnect();
  }
}

const PERIOD_MS = 50;
