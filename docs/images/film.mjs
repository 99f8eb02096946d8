/**
 * Recording of a page as an animation, and a pointer that shows what is pressed there.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/**
 * Seconds of the call in one second of its film. A screenshot takes long on a machine without a
 * graphics card that also encodes the video of four people.
 */
export const SLOWNESS = 4;

const FILM_MS = 20_000;
const FRAME_MS = 220;
const FILM_BYTES = 1_500_000;
const QUALITY = ["-loop", "0", "-lossy", "-q", "65", "-m", "4"];

/** Screenshots of a page, one after the other, each with its time. */
export class Film {
  #frames = [];
  #began = performance.now();

  constructor(page) {
    this.page = page;
  }

  /** Milliseconds of the film so far. */
  get time() {
    return (performance.now() - this.#began) / SLOWNESS;
  }

  /** Waits until this time of the film. */
  until(time) {
    return sleep(Math.max(0, time - this.time) * SLOWNESS);
  }

  async shoot() {
    this.#began = performance.now();
    while (this.time < FILM_MS) {
      const { time } = this;
      this.#frames.push({ time, picture: await this.page.screenshot() });
      await this.until(time + FRAME_MS);
    }
  }

  /** Writes the film, each frame as long as it took. */
  async develop(path) {
    const folder = await mkdtemp(join(tmpdir(), "byway-film-"));
    const ends = [...this.#frames.slice(1).map(({ time }) => time), FILM_MS].map(Math.round);
    const frames = await Promise.all(
      this.#frames.map(async ({ picture }, number) => {
        const file = join(folder, `${number}.png`);
        await writeFile(file, picture);
        return ["-d", String(ends[number] - (ends[number - 1] ?? 0)), file];
      }),
    );
    await promisify(execFile)("img2webp", [...QUALITY, ...frames.flat(), "-o", path]);
    await rm(folder, { recursive: true });
    const { size } = await stat(path);
    console.log(`${path}: ${frames.length} frames, ${size} bytes`);
    if (size > FILM_BYTES) throw new Error(`more than ${FILM_BYTES} bytes: lower the quality`);
  }
}

/** Shows a pointer in a page. Returns a function that moves it to an element and presses there. */
export async function addPointer(page) {
  await page.evaluate((slowness) => {
    const SVG = "http://www.w3.org/2000/svg";
    const pointer = document.createElementNS(SVG, "svg");
    const arrow = document.createElementNS(SVG, "path");
    arrow.setAttribute("d", "M2 2v20l5-5 4 8 4-2-4-8h7z");
    Object.assign(arrow.style, { fill: "#ffffff", stroke: "#16272b", strokeWidth: "1.6px" });
    pointer.setAttribute("viewBox", "0 0 26 26");
    pointer.append(arrow);
    Object.assign(pointer.style, {
      position: "fixed", left: "0", top: "0", width: "34px", height: "34px", zIndex: "99", pointerEvents: "none",
      transform: "translate(620px, 330px)", transition: `transform ${0.7 * slowness}s ease-in-out`,
    });
    document.body.append(pointer);
    addEventListener("mousemove", ({ x, y }) => (pointer.style.transform = `translate(${x - 2}px, ${y - 2}px)`));
  }, SLOWNESS);
  return async (selector) => {
    const { x, y, width, height } = await page.locator(selector).boundingBox();
    await page.mouse.move(x + width / 2, y + height / 2);
    await sleep(900 * SLOWNESS);
    await page.mouse.down();
    await page.mouse.up();
  };
}
