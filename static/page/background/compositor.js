/** Compositor of the virtual background, in WebGL 2. */

import { BLUR, SHRINK, VERTEX, compose } from "./shaders.js";

/**
 * Settings of one picture. Numbers are 0 to 1, colours three of them.
 * @typedef {object} Look
 * @property {"key" | "mask"} by How the person is found.
 * @property {"color" | "picture" | "blur"} behind
 * @property {number[]} plain Colour behind the person.
 * @property {number[]} key Colour of the green screen.
 * @property {number} tolerance
 * @property {number} softness
 * @property {number} spill
 */

/** Width of the blurred room: small, so that nothing can be read in it. */
const SMALL = 128;

/**
 * `at` finds a uniform by its name.
 * @typedef {{ program: WebGLProgram, at: (name: string) => WebGLUniformLocation | null }} Program
 */

/**
 * Puts a person in front of something else. Leaves no state that a user of the context relies on.
 */
export class Compositor {
  /** @type {Map<string, Program>} */
  #programs = new Map();
  #size = { width: 1, height: 1 };

  /** @param {WebGL2RenderingContext} gl */
  constructor(gl) {
    this.gl = gl;
    this.picture = texture(gl);
    this.back = texture(gl);
    this.small = [texture(gl), texture(gl)];
    this.targets = [gl.createFramebuffer(), gl.createFramebuffer()];
    this.vertices = gl.createVertexArray();
    this.backSize = { width: 1, height: 1 };
  }

  /** Takes the picture that stands behind. @param {ImageBitmap} picture */
  setBack(picture) {
    upload(this.gl, this.back, picture);
    this.backSize = { width: picture.width, height: picture.height };
  }

  /**
   * Draws onto the canvas.
   * @param {TexImageSource} picture @param {{ width: number, height: number }} size
   * @param {Look} look @param {WebGLTexture | null} mask
   */
  draw(picture, size, look, mask) {
    const { gl } = this;
    gl.bindVertexArray(this.vertices);
    for (const feature of [gl.BLEND, gl.DEPTH_TEST, gl.SCISSOR_TEST, gl.CULL_FACE, gl.STENCIL_TEST]) gl.disable(feature);
    gl.colorMask(true, true, true, true);
    upload(gl, this.picture, picture);
    if (mask) smooth(gl, mask);
    const back = look.behind === "blur" ? this.#blur(size, mask) : this.back;
    const { at } = this.#use(`${look.by} ${look.behind}`, () => compose(look.by, look.behind));
    this.#bind(at, { picture: this.picture, back, mask });
    gl.uniform1f(at("flip"), -1);
    gl.uniform3fv(at("plain"), look.plain);
    gl.uniform3fv(at("key"), look.key);
    gl.uniform1f(at("tolerance"), look.tolerance);
    gl.uniform1f(at("softness"), look.softness);
    gl.uniform1f(at("spill"), look.spill);
    gl.uniform2fv(at("fit"), cover(size, this.backSize));
    this.#paint(null, size);
    gl.bindVertexArray(null);
  }

  /** @param {{ width: number, height: number }} size @param {WebGLTexture | null} mask */
  #blur({ width, height }, mask) {
    const { gl, small } = this;
    const size = { width: SMALL, height: Math.max(1, Math.round((SMALL * height) / width)) };
    this.#resize(size);
    const shrink = this.#use("shrink", () => SHRINK);
    this.#bind(shrink.at, { picture: this.picture, mask: mask ?? this.picture });
    gl.uniform1f(shrink.at("flip"), 1);
    gl.uniform1f(shrink.at("masked"), mask ? 1 : 0);
    gl.uniform2f(shrink.at("step_"), 0.25 / size.width, 0.25 / size.height);
    this.#paint(this.targets[0], size);
    const blur = this.#use("blur", () => BLUR);
    gl.uniform1f(blur.at("flip"), 1);
    // Along and across, and once more with wider steps.
    for (const reach of [1, 2]) {
      for (const [from, x, y] of [[0, reach / size.width, 0], [1, 0, reach / size.height]]) {
        this.#bind(blur.at, { picture: small[from] });
        gl.uniform2f(blur.at("step_"), x, y);
        this.#paint(this.targets[1 - from], size);
      }
    }
    return small[0];
  }

  /** @param {{ width: number, height: number }} size */
  #resize(size) {
    const { gl } = this;
    if (this.#size.width === size.width && this.#size.height === size.height) return;
    this.#size = size;
    this.small.forEach((target, index) => {
      gl.bindTexture(gl.TEXTURE_2D, target);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, size.width, size.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.targets[index]);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target, 0);
    });
  }

  /** @param {WebGLFramebuffer | null} target @param {{ width: number, height: number }} size */
  #paint(target, { width, height }) {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    gl.viewport(0, 0, width, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** @param {Program["at"]} at @param {Record<string, WebGLTexture | null>} textures */
  #bind(at, textures) {
    const { gl } = this;
    Object.entries(textures).forEach(([name, bound], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, bound);
      gl.uniform1i(at(name), unit);
    });
    gl.activeTexture(gl.TEXTURE0);
  }

  /** @param {string} name @param {() => string} source */
  #use(name, source) {
    let known = this.#programs.get(name);
    if (!known) {
      known = build(this.gl, source());
      this.#programs.set(name, known);
    }
    this.gl.useProgram(known.program);
    return known;
  }
}

/** @param {WebGL2RenderingContext} gl */
function texture(gl) {
  const made = /** @type {WebGLTexture} */ (gl.createTexture());
  smooth(gl, made);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return made;
}

/** @param {WebGL2RenderingContext} gl @param {WebGLTexture} texture */
function smooth(gl, texture) {
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
}

/**
 * @param {WebGL2RenderingContext} gl
 * @param {WebGLTexture} texture @param {TexImageSource} picture
 */
function upload(gl, texture, picture) {
  gl.activeTexture(gl.TEXTURE0);
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
}

/** @param {WebGL2RenderingContext} gl @param {string} source @returns {Program} */
function build(gl, source) {
  const program = /** @type {WebGLProgram} */ (gl.createProgram());
  /** @type {[number, string][]} */
  const texts = [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, source]];
  for (const [type, text] of texts) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(type));
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    const logs = gl.getAttachedShaders(program)?.map((shader) => gl.getShaderInfoLog(shader)) ?? [];
    throw new Error(`WebGL: ${[gl.getProgramInfoLog(program), ...logs].join(" ")}`);
  }
  /** @type {Map<string, WebGLUniformLocation | null>} */
  const places = new Map();
  const at = (/** @type {string} */ name) => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(program, name));
    return places.get(name) ?? null;
  };
  return { program, at };
}

/**
 * Part of a picture that fills a frame of another shape.
 * @param {{ width: number, height: number }} frame
 * @param {{ width: number, height: number }} picture
 */
function cover(frame, picture) {
  const ratio = frame.width / frame.height / (picture.width / picture.height);
  return ratio > 1 ? [1, 1 / ratio] : [ratio, 1];
}
