/**
 * Filters by pixel operations, for browsers without `CanvasRenderingContext2D.filter`. The matrices
 * are those of the Filter Effects specification, sections 8 and 9.
 */

/** Rows for red, green and blue: three factors and a summand in units of full brightness. */
/** @typedef {[number, number, number, number][]} Matrix */

/** @param {number} slope @param {number} intercept @returns {Matrix} */
const linear = (slope, intercept) => [[slope, 0, 0, intercept], [0, slope, 0, intercept], [0, 0, slope, intercept]];

/**
 * Mixes the identity and a matrix.
 * @param {number} share 1: the matrix alone. @param {number[][]} matrix @returns {Matrix}
 */
const towards = (share, matrix) =>
  /** @type {Matrix} */ (
    matrix.map((row, index) => [...row.map((factor, column) => share * factor + (column === index ? 1 - share : 0)), 0])
  );

const GRAY = [0.2126, 0.7152, 0.0722];
const SATURATION = [0.213, 0.715, 0.072];
const SEPIA = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]];
/** Sine part of a turn of the hue. */
const TURN = [[-0.213, -0.715, 0.928], [0.143, 0.14, -0.283], [-0.787, 0.715, 0.072]];

/** Matrices by the name of the filter; the amount is in percent, that of a hue in degrees. */
/** @type {Record<string, (amount: number) => Matrix>} */
const MATRICES = {
  brightness: (percent) => linear(percent / 100, 0),
  contrast: (percent) => linear(percent / 100, 0.5 - percent / 200),
  invert: (percent) => linear(1 - percent / 50, percent / 100),
  grayscale: (percent) => towards(percent / 100, [GRAY, GRAY, GRAY]),
  saturate: (percent) => towards(1 - percent / 100, [SATURATION, SATURATION, SATURATION]),
  sepia: (percent) => towards(percent / 100, SEPIA),
  "hue-rotate": (degrees) => {
    const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
    const still = towards(1 - cos, [SATURATION, SATURATION, SATURATION]);
    return /** @type {Matrix} */ (still.map((row, index) => row.map((factor, column) => factor + sin * (TURN[index][column] ?? 0))));
  },
};

/**
 * Applies a color filter in place.
 * @param {Uint8ClampedArray} data Pixels, RGBA.
 * @param {string} name @param {number} amount
 */
export function colored(data, name, amount) {
  const [[rr, rg, rb, r0], [gr, gg, gb, g0], [br, bg, bb, b0]] = MATRICES[name](amount);
  for (let at = 0; at < data.length; at += 4) {
    const red = data[at];
    const green = data[at + 1];
    const blue = data[at + 2];
    data[at] = rr * red + rg * green + rb * blue + 255 * r0;
    data[at + 1] = gr * red + gg * green + gb * blue + 255 * g0;
    data[at + 2] = br * red + bg * green + bb * blue + 255 * b0;
  }
}

/** Standard deviation at which a blur is computed: wider ones are computed on a smaller picture. */
const WORKING_RADIUS = 4;

/**
 * Returns a canvas with the blurred picture, smaller than its size where that makes no difference.
 * @param {CanvasImageSource} source @param {{ width: number, height: number }} size
 * @param {number} radius Standard deviation, in pixels.
 */
export function blurred(source, { width, height }, radius) {
  const scale = Math.min(1, WORKING_RADIUS / radius);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  // Three boxes are near a Gaussian: section 15 of the SVG filters has the width.
  // An odd width has its middle on a pixel.
  const box = Math.floor((radius * scale * 3 * Math.sqrt(2 * Math.PI)) / 4 + 0.5) | 1;
  for (let pass = 0; pass < 3; pass += 1) {
    average(image.data, { box, steps: canvas.width, step: 4, lines: canvas.height, line: 4 * canvas.width });
    average(image.data, { box, steps: canvas.height, step: 4 * canvas.width, lines: canvas.width, line: 4 });
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/**
 * Replaces each value by the mean of a box around it along one direction. Edges continue outside.
 * @param {Uint8ClampedArray} data
 * @param {{ box: number, steps: number, step: number, lines: number, line: number }} geometry
 *   `step` and `line`: distances in `data`.
 */
function average(data, { box, steps, step, lines, line }) {
  const before = box >> 1;
  const values = new Uint8ClampedArray(steps + box);
  for (let start = 0; start < lines * line; start += line) {
    for (let channel = start; channel < start + 3; channel += 1) {
      let sum = 0;
      for (let at = 0; at < values.length; at += 1) {
        values[at] = data[channel + step * Math.min(steps - 1, Math.max(0, at - before))];
        if (at < box) sum += values[at];
      }
      for (let at = 0; at < steps; at += 1) {
        data[channel + step * at] = sum / box;
        sum += values[at + box] - values[at];
      }
    }
  }
}
