/** Event targets with typed events. */

/** Event `peer` or `peerleft` of a {@link Call}. */
export class PeerEvent extends Event {
  /** @param {string} type @param {import("./peer.js").Peer} peer */
  constructor(type, peer) {
    super(type);
    this.peer = peer;
  }
}

/** Event `error` of a {@link Call}: something failed, and the call continues if it can. */
export class FailureEvent extends Event {
  /**
   * @param {import("./errors.js").BywayError} error
   * @param {import("./peer.js").Peer | null} peer
   */
  constructor(error, peer) {
    super("error");
    this.error = error;
    /** Peer whose connection failed, or null for a failure of the room. */
    this.peer = peer;
  }
}

/**
 * EventTarget with typed events.
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
