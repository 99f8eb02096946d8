/** Parts that every transfer has, whether it sends or receives. */

import { HEAD_BYTES, pictureOf } from "./picture.js";

/** @typedef {"offered" | "sending" | "receiving" | "paused" | "done" | "failed"} State */

/** Largest file that is shown as a picture. */
const MAX_PREVIEW_BYTES = 32e6;
/** Time without progress after which a transfer counts as paused. */
export const STALL_MS = 3_000;

let made = 0;

/**
 * File that one person offers. Event `change`: anything of it changed that is shown.
 */
export class Transfer extends EventTarget {
  /** Name within this page. */
  id = `file-${++made}`;
  at = Date.now();
  /** State for who looks. @type {State} */
  state = "offered";
  /** State, or reason of its end, as a sentence. */
  sentence = "";
  /** Address of the picture, once it can be shown. */
  pictureUrl = "";
  /** Whether nobody will look any more. */
  isForgotten = false;

  /**
   * @param {{ own: boolean, from: string, name: string, size: number }} options `name`: a safe one.
   */
  constructor({ own, from, name, size }) {
    super();
    this.own = own;
    this.from = from;
    this.name = name;
    this.size = size;
  }

  /** Whether nothing will happen any more. */
  get isOver() {
    return this.state === "done" || this.state === "failed";
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Shows a file if it is a picture. @param {Blob} file */
  async show(file) {
    if (file.size > MAX_PREVIEW_BYTES) return;
    const picture = pictureOf(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
    if (!picture || this.isForgotten) return;
    this.pictureUrl = URL.createObjectURL(file.slice(0, file.size, picture.type));
    this.changed();
  }

  /** Frees what it holds, when nobody will look any more. */
  forget() {
    this.isForgotten = true;
    URL.revokeObjectURL(this.pictureUrl);
    this.pictureUrl = "";
  }
}
