/**
 * Segmentation of a person: MediaPipe's selfie segmentation, driven through its WebAssembly module.
 * The package's own wrapper is left out: it needs a document, and would block it.
 */

/** Folder of the library. */
const VENDOR = new URL("../../vendor/selfie-segmentation/", import.meta.url).href;

/** Script of the module, from the page's folder. It needs SIMD. */
export const SCRIPT = "vendor/selfie-segmentation/selfie_segmentation_solution_simd_wasm_bin.js";

/** Path under which the graph looks for its models. */
const MODELS = "third_party/mediapipe/modules/selfie_segmentation/";

/** @typedef {{ number: number, file: string, width: number, height: number }} Model */

/** Models by the shape of the picture, and the sizes that they were trained for. */
const WIDE = { number: 1, file: "selfie_segmentation_landscape.tflite", width: 256, height: 144 };
const SQUARE = { number: 0, file: "selfie_segmentation.tflite", width: 256, height: 256 };

/** Streams of the graph. */
const INPUT = "input_frames_gpu";
const MASK = "segmentation_mask";

/** Time between two pictures as the graph counts, in microseconds. It only has to grow. */
const STEP = 1000;

/** Options of a change of the graph that it does not use. */
const UNUSED = { calculatorName: "", calculatorIndex: 0, valueNumber: 0, valueBoolean: false, valueString: "" };

/**
 * Global function of the module's script.
 * @typedef {(options: object) => Promise<any>} CreateModule
 */

/**
 * Graph that makes a mask of each picture. It works in a WebGL context that others use too, so that
 * no mask is copied.
 */
export class Segmenter {
  #solution;
  #input;
  /** @type {Model | null} */
  #model = null;
  /** @type {((mask: WebGLTexture) => void) | null} */
  #use = null;
  #time = 0;

  /** @param {any} module @param {WebGL2RenderingContext} gl */
  constructor(module, gl) {
    this.module = module;
    this.gl = gl;
    this.#solution = new module.SolutionWasm();
    this.#input = module.createTexture();
  }

  /**
   * Loads module and graph into the context of a canvas.
   * @param {OffscreenCanvas} canvas @param {WebGL2RenderingContext} gl
   * @param {CreateModule} createModule
   */
  static async load(canvas, gl, createModule) {
    const locateFile = (/** @type {string} */ file) => VENDOR + file;
    const module = await createModule({ locateFile, print: () => {}, printErr: () => {} });
    module.canvas = canvas;
    module.GL.makeContextCurrent(module.GL.registerContext(gl, { majorVersion: 2 }));
    const segmenter = new Segmenter(module, gl);
    segmenter.#solution.loadGraph(await bytesOf("selfie_segmentation.binarypb"));
    segmenter.#listen();
    return segmenter;
  }

  /**
   * Segments a picture, and calls `use` with the mask, which is valid during that call. Its first
   * row is the top of the picture.
   * @param {TexImageSource} picture @param {boolean} isWide
   * @param {(mask: WebGLTexture) => void} use
   */
  async segment(picture, isWide, use) {
    const { module, gl } = this;
    const model = isWide ? WIDE : SQUARE;
    if (model !== this.#model) await this.#choose(model);
    gl.activeTexture(gl.TEXTURE0);
    module.bindTexture2d(this.#input);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
    module.bindTexture2d(0);
    const packets = new module.PacketDataList();
    this.#use = use;
    this.#time += STEP;
    try {
      const { width, height } = model;
      packets.pushTexture2d({ glName: this.#input, width, height, stream: INPUT, timestamp: this.#time });
      this.#solution.send(packets);
    } finally {
      this.#use = null;
      packets.delete();
    }
  }

  #listen() {
    const { module } = this;
    const wanted = new module.StringList();
    wanted.push_back(MASK);
    const onResults = (/** @type {any} */ results) => {
      const mask = results.get(0);
      this.#use?.(module.GL.textures[mask.glName]);
      mask.delete();
    };
    this.#solution.attachMultiListener(wanted, module.PacketListener.implement({ onResults }));
    wanted.delete();
  }

  /** @param {Model} model */
  async #choose(model) {
    this.#solution.overrideFile(MODELS + model.file, await bytesOf(model.file));
    const changes = new this.module.GraphOptionChangeRequestList();
    changes.push_back({
      ...UNUSED,
      calculatorType: "ConstantSidePacketCalculator",
      calculatorName: "ConstantSidePacketCalculatorModelSelection",
      fieldName: "int_value",
      valueNumber: model.number,
    });
    // With SIMD a picture takes 7 ms on the processor; a software renderer takes 73 ms.
    changes.push_back({
      ...UNUSED,
      calculatorType: "InferenceCalculator",
      fieldName: "use_cpu_inference",
      valueBoolean: true,
    });
    this.#solution.changeOptions(changes);
    changes.delete();
    this.#model = model;
  }
}

/** Size in which a picture is segmented. @param {boolean} isWide */
export const sizeOf = (isWide) => (isWide ? WIDE : SQUARE);

/** @param {string} file */
async function bytesOf(file) {
  const response = await fetch(VENDOR + file);
  if (!response.ok) throw new Error(`${file}: HTTP ${response.status}`);
  return response.arrayBuffer();
}
