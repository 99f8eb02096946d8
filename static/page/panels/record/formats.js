/**
 * Formats of a recording: those that the browser records, and those that mediabunny makes of them
 * with the browser's own encoders.
 */

/**
 * @typedef {object} Container
 * @property {string} name Name for people.
 * @property {string} extension
 * @property {string[]} video Names of codecs, best first. Empty for sound alone.
 * @property {string[]} audio
 */

/**
 * @typedef {object} Format
 * @property {string} value MIME type, behind `convert:` if the browser does not record it.
 * @property {string} recorded MIME type that the browser records.
 * @property {string} type MIME type of the file.
 * @property {string} extension
 * @property {string} name Name for people, such as "MP4, H.264 + AAC".
 * @property {boolean} hasVideo
 * @property {string | null} videoCodec Codec of the file in the words of mediabunny.
 * @property {string | null} audioCodec
 */

/**
 * Names of each codec in a MIME type, the one to prefer first, and in mediabunny. H.264: High,
 * Main, Baseline; level 4 holds 1920 x 1080.
 * @type {Record<string, { name: string, types: string[], codec: string }>}
 */
const CODECS = {
  h264: { name: "H.264", types: ["avc1.640028", "avc1.64001f", "avc1.4d0028", "avc1.42e028", "avc1.42e01e", "avc1", "h264"], codec: "avc" },
  hevc: { name: "HEVC", types: ["hvc1.1.6.L120.B0", "hvc1.1.6.L93.B0", "hev1.1.6.L120.B0"], codec: "hevc" },
  vp9: { name: "VP9", types: ["vp09.00.40.08", "vp9"], codec: "vp9" },
  vp8: { name: "VP8", types: ["vp8"], codec: "vp8" },
  av1: { name: "AV1", types: ["av01.0.08M.08", "av01.0.04M.08", "av01", "av1"], codec: "av1" },
  aac: { name: "AAC", types: ["mp4a.40.2"], codec: "aac" },
  opus: { name: "Opus", types: ["opus"], codec: "opus" },
  pcm: { name: "PCM", types: ["pcm"], codec: "pcm-f32" },
};

/**
 * Containers with the codecs that their definitions name. Browsers also put H.264 and PCM into
 * WebM, which no other player has to take: Matroska holds the same.
 * @type {Record<string, Container>}
 */
const CONTAINERS = {
  "video/mp4": { name: "MP4", extension: "mp4", video: ["h264", "hevc", "vp9", "av1"], audio: ["aac", "opus"] },
  "video/webm": { name: "WebM", extension: "webm", video: ["vp9", "vp8", "av1"], audio: ["opus"] },
  "video/x-matroska": { name: "Matroska", extension: "mkv", video: ["h264", "hevc", "vp9", "vp8", "av1"], audio: ["opus", "pcm"] },
  "audio/mp4": { name: "MP4", extension: "m4a", video: [], audio: ["aac", "opus"] },
  "audio/webm": { name: "WebM", extension: "weba", video: [], audio: ["opus"] },
  "audio/ogg": { name: "Ogg", extension: "ogg", video: [], audio: ["opus"] },
};

/** Best defaults: those that most players take, then those that cost the least. */
const PREFERRED = [
  "video/mp4 h264 aac", "video/webm vp9 opus", "video/webm vp8 opus", "video/mp4 h264 opus",
];

/** Formats to make of a recording where the browser does not record them, and where it can. */
const CONVERTED = [
  { container: "video/mp4", video: "h264", audio: "aac" },
  { container: "video/mp4", video: "h264", audio: "opus" },
  { container: "video/mp4", video: "vp9", audio: "opus" },
  { container: "audio/mp4", video: "", audio: "aac" },
  { container: "audio/ogg", video: "", audio: "opus" },
];

/** WAV has no codec in its MIME type. */
const WAV = { type: "audio/wav", extension: "wav", name: "WAV, PCM", codec: "pcm-s16" };

/** Picture of the test of an encoder. */
const PROBE = { width: 320, height: 180, bitrate: 200_000, framerate: 25 };
const PROBE_FRAMES = 3;
const PROBE_MS = 3_000;

/**
 * Returns what the browser records, best default first; sound alone last.
 * @returns {Format[]}
 */
export function recordedFormats() {
  if (!window.MediaRecorder) return [];
  const found = Object.keys(CONTAINERS).flatMap((container) => {
    const { video, audio } = CONTAINERS[container];
    return (video.length ? video : [""]).flatMap((picture) => audio.map((sound) => native(container, picture, sound)));
  });
  const formats = found.filter((format) => format !== null);
  return formats.sort((a, b) => rank(a) - rank(b));
}

/** @param {Format & { key?: string }} format */
function rank({ hasVideo, key }) {
  const place = PREFERRED.indexOf(key ?? "");
  return (hasVideo ? 0 : 1_000) + (place < 0 ? 100 : place);
}

/**
 * @param {string} container @param {string} video @param {string} audio
 * @returns {(Format & { key: string }) | null} Null if the browser does not record it.
 */
function native(container, video, audio) {
  const types = (video ? CODECS[video].types : [""]).flatMap((picture) =>
    CODECS[audio].types.map((sound) => `${container};codecs=${[picture, sound].filter(Boolean).join(",")}`));
  const type = types.find((candidate) => MediaRecorder.isTypeSupported(candidate));
  return type ? { ...describe(container, video, audio), value: type, recorded: type, type } : null;
}

/** @param {string} container @param {string} video @param {string} audio */
function describe(container, video, audio) {
  const { name, extension } = CONTAINERS[container];
  const codecs = [video, audio].filter(Boolean);
  return {
    key: [container, ...codecs].join(" "),
    name: `${name}, ${codecs.map((codec) => CODECS[codec].name).join(" + ")}`,
    extension,
    hasVideo: Boolean(video),
    videoCodec: video ? CODECS[video].codec : null,
    audioCodec: CODECS[audio].codec,
  };
}

/**
 * Returns the formats that mediabunny makes here, after a try of each encoder that they need.
 * @param {Format[]} recorded
 * @returns {Promise<Format[]>}
 */
export async function convertedFormats(recorded) {
  /** @type {Format[]} */
  const formats = [];
  for (const { container, video, audio } of CONVERTED) {
    const described = describe(container, video, audio);
    if (recorded.some((format) => /** @type {any} */ (format).key === described.key)) continue;
    const source = sourceFor(recorded, described);
    if (!source || !(await encodes(source, video, audio))) continue;
    const type = `${container};codecs=${[video, audio].filter(Boolean).map((codec) => CODECS[codec].types[0]).join(",")}`;
    formats.push({ ...described, value: `convert:${type}`, recorded: source.recorded, type });
  }
  const sound = sourceFor(recorded, { hasVideo: false, videoCodec: null, audioCodec: "opus" });
  if (sound && window.AudioDecoder) {
    const { type, extension, name, codec } = WAV;
    formats.push({
      value: `convert:${type}`, recorded: sound.recorded, type, extension, name, hasVideo: false, videoCodec: null, audioCodec: codec,
    });
  }
  return formats;
}

/**
 * Format to record for a conversion: as many of its codecs as possible, so that they are copied.
 * @param {Format[]} recorded
 * @param {Pick<Format, "hasVideo" | "videoCodec" | "audioCodec">} wanted
 */
function sourceFor(recorded, wanted) {
  const same = (/** @type {Format} */ format) =>
    2 * Number(format.videoCodec === wanted.videoCodec) + Number(format.audioCodec === wanted.audioCodec);
  const candidates = recorded.filter(({ hasVideo, audioCodec }) => hasVideo === wanted.hasVideo && audioCodec !== "pcm-f32");
  return candidates.sort((a, b) => same(b) - same(a))[0];
}

/** @param {Format} source @param {string} video @param {string} audio */
async function encodes(source, video, audio) {
  try {
    const copiesVideo = !video || source.videoCodec === CODECS[video].codec;
    const copiesAudio = source.audioCodec === CODECS[audio].codec;
    if (!copiesVideo && !(await encodesVideo(CODECS[video].types[0]))) return false;
    return copiesAudio || (await encodesAudio(CODECS[audio].types[0]));
  } catch {
    return false;
  }
}

/** Whether a picture comes out of the encoder. @param {string} codec */
async function encodesVideo(codec) {
  const config = { codec, ...PROBE };
  if (!window.VideoEncoder || !(await VideoEncoder.isConfigSupported(config)).supported) return false;
  return tried((settle) => {
    const encoder = new VideoEncoder({ output: () => settle(true), error: () => settle(false) });
    encoder.configure(config);
    const canvas = new OffscreenCanvas(PROBE.width, PROBE.height);
    canvas.getContext("2d")?.fillRect(0, 0, PROBE.width, PROBE.height);
    for (let index = 0; index < PROBE_FRAMES; index += 1) {
      const frame = new VideoFrame(canvas, { timestamp: index * 40_000 });
      encoder.encode(frame);
      frame.close();
    }
    encoder.flush().catch(() => settle(false));
    return encoder;
  });
}

/** Whether sound comes out of the encoder. @param {string} codec */
async function encodesAudio(codec) {
  const config = { codec, sampleRate: 48_000, numberOfChannels: 2, bitrate: 128_000 };
  if (!window.AudioEncoder || !(await AudioEncoder.isConfigSupported(config)).supported) return false;
  return tried((settle) => {
    const encoder = new AudioEncoder({ output: () => settle(true), error: () => settle(false) });
    encoder.configure(config);
    const data = new AudioData({
      format: "f32", sampleRate: 48_000, numberOfChannels: 2, numberOfFrames: 9_600, timestamp: 0, data: new Float32Array(19_200),
    });
    encoder.encode(data);
    data.close();
    encoder.flush().catch(() => settle(false));
    return encoder;
  });
}

/**
 * @param {(settle: (works: boolean) => void) => VideoEncoder | AudioEncoder} start
 * @returns {Promise<boolean>}
 */
async function tried(start) {
  /** @type {VideoEncoder | AudioEncoder | undefined} */
  let encoder;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  try {
    return await new Promise((resolve) => {
      timer = setTimeout(() => resolve(false), PROBE_MS);
      encoder = start(resolve);
    });
  } finally {
    clearTimeout(timer);
    if (encoder && encoder.state !== "closed") encoder.close();
  }
}
