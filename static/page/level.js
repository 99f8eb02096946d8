/** Level meter of a microphone, by an AnalyserNode. */

/** Shortest time between two values. Ten a second look alive. */
const PERIOD_MS = 100;

/** Samples of a value: more than a period at 48 kHz, so that nothing is missed. */
const SAMPLES = 8192;

/** Levels below this are shown as silence. */
const FLOOR_DB = -60;

/**
 * Reports the level of a track until it is stopped.
 * @param {() => MediaStreamTrack | null} trackNow Track to measure; may change in between.
 * @param {(level: number) => void} onLevel Gets 0 (silence) to 1 (as loud as possible).
 * @returns {() => void} Stops the meter.
 */
export function watchLevel(trackNow, onLevel) {
  if (!window.AudioContext) return () => {};
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: SAMPLES });
  const samples = new Float32Array(analyser.fftSize);
  /** @type {MediaStreamAudioSourceNode | null} */
  let source = null;
  /** @type {MediaStreamTrack | null} */
  let measured = null;

  const measure = () => {
    const track = trackNow();
    if (track !== measured) {
      source?.disconnect();
      measured = track;
      source = track && connect(context, track, analyser);
    }
    // A page that was not clicked yet, or a phone after a call, has its context suspended.
    if (context.state !== "running") context.resume().catch(() => {});
    analyser.getFloatTimeDomainData(samples);
    onLevel(measured?.enabled && measured.readyState === "live" ? levelOf(samples) : 0);
  };
  const timer = setInterval(measure, PERIOD_MS);
  measure();
  return () => {
    clearInterval(timer);
    source?.disconnect();
    context.close().catch(() => {});
  };
}

/** @param {AudioContext} context @param {MediaStreamTrack} track @param {AudioNode} target */
function connect(context, track, target) {
  try {
    const source = context.createMediaStreamSource(new MediaStream([track]));
    source.connect(target);
    return source;
  } catch {
    return null; // the track has ended meanwhile
  }
}

/** @param {Float32Array} samples */
function levelOf(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / samples.length);
  return Math.min(1, Math.max(0, 1 - decibels / FLOOR_DB));
}
