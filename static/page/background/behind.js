/** Pictures that can stand behind a person: built-in ones, and a file of the person's own. */

/** Largest files, in bytes. A video is played from the disk, a picture is held in memory. */
const LIMITS = { image: 30e6, video: 2e9 };

/** Largest width of a picture that is kept. */
const WIDTH = 1280;

/** Built-in pictures by name: colours from the top to the bottom, and of a soft light. */
const SCENES = {
  dusk: { colors: ["#2b2d5b", "#8a4f7d", "#e8976c"], light: "#ffd9a0" },
  sea: { colors: ["#0d3b4f", "#1f7a8c", "#bfdbd7"], light: "#e8f7f4" },
  paper: { colors: ["#efeae0", "#e0d8ca", "#cfc5b4"], light: "#ffffff" },
};

export const SCENE_NAMES = Object.keys(SCENES);

/** Reason why a file is refused: a key of the words. */
export class FileRefused extends Error {
  /** @param {string} key */
  constructor(key) {
    super(key);
    this.key = key;
  }
}

/** Picture or video that the person chose. It is forgotten with the page. */
class Chosen extends EventTarget {
  /**
   * @type {{ name: string, picture: ImageBitmap | null, video: HTMLVideoElement | null } | null}
   */
  file = null;

  /**
   * Takes a file, or refuses it and keeps the earlier one.
   * @param {File} file
   */
  async take(file) {
    const [kind] = file.type.split("/");
    if (kind !== "image" && kind !== "video") throw new FileRefused("background.file-type");
    if (file.size > LIMITS[kind]) throw new FileRefused("background.file-large");
    const picture = kind === "image" ? await pictureOf(file) : null;
    const video = kind === "video" ? await videoOf(file) : null;
    if (this.file?.video) end(this.file.video);
    this.file?.picture?.close();
    this.file = { name: file.name, picture, video };
    this.dispatchEvent(new Event("change"));
  }
}

export const chosen = new Chosen();

/**
 * Gives the pictures that stand behind a person: one, or those of a video.
 * @param {string} name A built-in one, or `file`.
 * @param {(picture: ImageBitmap) => Promise<unknown>} give Resolves when the next one is wanted.
 * @returns {() => void} Ends it.
 */
export function follow(name, give) {
  let ended = false;
  const giveOnce = async (/** @type {ImageBitmapSource} */ source) => {
    const picture = await createImageBitmap(source);
    if (ended) picture.close();
    else await give(picture);
  };
  const file = name === "file" ? chosen.file : null;
  if (!file?.video) {
    giveOnce(file?.picture ?? draw(name)).catch((error) => console.warn(error));
    return () => (ended = true);
  }
  const { video } = file;
  const next = async () => {
    if (ended) return;
    // A picture that cannot be read is left out.
    await giveOnce(video).catch(() => {});
    if (!ended) video.requestVideoFrameCallback(next);
  };
  video.play().catch(() => {});
  next();
  return () => {
    ended = true;
    video.pause();
  };
}

/** Built-in picture; an unknown name gives the first one. @param {string} name */
function draw(name) {
  const { colors, light } = SCENES[/** @type {keyof typeof SCENES} */ (name)] ?? SCENES.dusk;
  const canvas = new OffscreenCanvas(640, 360);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const down = context.createLinearGradient(0, 0, 0, canvas.height);
  colors.forEach((color, index) => down.addColorStop(index / (colors.length - 1), color));
  context.fillStyle = down;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const glow = context.createRadialGradient(480, 110, 10, 480, 110, 320);
  glow.addColorStop(0, light);
  glow.addColorStop(1, `${light}00`);
  context.globalAlpha = 0.6;
  context.fillStyle = glow;
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

/** @param {File} file */
async function pictureOf(file) {
  try {
    const whole = await createImageBitmap(file);
    if (whole.width <= WIDTH) return whole;
    const small = await createImageBitmap(whole, { resizeWidth: WIDTH, resizeQuality: "medium" });
    whole.close();
    return small;
  } catch {
    throw new FileRefused("background.file-broken");
  }
}

/** @param {File} file @returns {Promise<HTMLVideoElement>} */
function videoOf(file) {
  const options = { muted: true, loop: true, playsInline: true, preload: "auto" };
  const video = Object.assign(document.createElement("video"), options);
  return new Promise((resolve, reject) => {
    const refuse = () => {
      end(video);
      reject(new FileRefused("background.file-broken"));
    };
    video.addEventListener("loadeddata", () => (video.videoWidth ? resolve(video) : refuse()), { once: true });
    video.addEventListener("error", refuse, { once: true });
    video.src = URL.createObjectURL(file);
  });
}

/** @param {HTMLVideoElement} video */
function end(video) {
  URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
}
