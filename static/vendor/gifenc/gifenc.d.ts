/** The part of gifenc that the page uses. It has no types of its own. */

/** Red, green and blue, 0 to 255. */
export type Color = number[];

/** Returns at most this number of colors for the pixels, RGBA. */
export function quantize(rgba: Uint8Array | Uint8ClampedArray, maxColors: number, options?: { format?: "rgb565" | "rgb444" }): Color[];

export interface FrameOptions {
  /** Global palette of the first frame, or a local one. */
  palette?: Color[];
  /** In milliseconds; a GIF has hundredths of a second. */
  delay?: number;
  transparent?: boolean;
  transparentIndex?: number;
  /** Of the first frame. 0: forever. */
  repeat?: number;
  /** 1: the next frame is drawn over this one. */
  dispose?: number;
}

export interface Encoder {
  writeFrame(index: Uint8Array, width: number, height: number, options?: FrameOptions): void;
  finish(): void;
  bytes(): Uint8Array<ArrayBuffer>;
}

export function GIFEncoder(): Encoder;
