/** Event targets with typed events. */

/** `peer` and `peerleft` of a Call. */
export class PeerEvent extends Event {
  /** @param {string} type @param {import("./peer.js").Peer} peer */
  constructor(type, peer) {
    super(type);
    this.peer = peer;
  }
}

/** `error` of a Call: something failed, and the call goes on as far as it can. */
export class FailureEvent extends Event {
  /**
   * @param {import("./errors.js").BywayError} error
   * @param {import("./peer.js").Peer | null} peer
   */
  constructor(error, peer) {
    super("error");
    this.error = error;
    /** The peer it concerns, or null where it concerns the room. */
    this.peer = peer;
  }
}

/**
 * An EventTarget that knows its events by name.
 * @template {Record<string, Event>} Events
 */
export class Emitter extends EventTarget {
  /**
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {((event: Events[Type]) => void) | EventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }

  /**
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {((event: Events[Type]) => void) | EventListenerObject | null} listener
   * @param {boolean | EventListenerOptions} [options]
   */
  removeEventListener(type, listener, options) {
    super.removeEventListener(type, /** @type {EventListener} */ (listener), options);
  }
}
