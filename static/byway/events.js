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

/** Event `closed` of a {@link Call}: the call is over. */
export class ClosedEvent extends Event {
  /** @param {import("./errors.js").BywayError | null} reason */
  constructor(reason) {
    super("closed");
    /** Reason of the end, or null if the page itself ended the call. */
    this.reason = reason;
  }
}

/** Event `channel` of a {@link Peer}: the peer opened a channel first. */
export class ChannelEvent extends Event {
  /** @param {import("./channel.js").Channel} channel */
  constructor(channel) {
    super("channel");
    this.channel = channel;
  }
}

/** Event `stats` of a {@link Peer}: the state of its connection, once a second. */
export class StatsEvent extends Event {
  /** @param {import("./report.js").Report} report */
  constructor(report) {
    super("stats");
    this.report = report;
  }
}

/**
 * Whether anything listens to events of a type.
 * @type {(emitter: Emitter<any>, type: string) => boolean}
 */
export let isListenedTo;

/** @typedef {((event: any) => void) | EventListenerObject | null} Listener */

/**
 * EventTarget with typed events.
 * @template {Record<string, Event>} Events
 */
export class Emitter extends EventTarget {
  /** @type {{ type: string, listener: Listener, capture: boolean, once: boolean }[]} */
  #listeners = [];

  /**
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {((event: Events[Type]) => void) | EventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
    const { capture = false, once = false, signal } = typeof options === "object" ? options : { capture: options };
    if (!listener || signal?.aborted || this.#find(type, listener, capture)) return;
    const added = { type, listener, capture, once };
    this.#listeners.push(added);
    signal?.addEventListener("abort", () => this.#forget(added), { once: true });
  }

  /**
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {((event: Events[Type]) => void) | EventListenerObject | null} listener
   * @param {boolean | EventListenerOptions} [options]
   */
  removeEventListener(type, listener, options) {
    super.removeEventListener(type, /** @type {EventListener} */ (listener), options);
    this.#forget(this.#find(type, listener, (typeof options === "object" ? options.capture : options) ?? false));
  }

  /** @param {Event} event */
  dispatchEvent(event) {
    this.#listeners = this.#listeners.filter(({ type, once }) => !once || type !== event.type);
    return super.dispatchEvent(event);
  }

  static {
    isListenedTo = (emitter, type) => emitter.#listeners.some((entry) => entry.type === type);
  }

  /** @param {string} type @param {Listener} listener @param {boolean} capture */
  #find(type, listener, capture) {
    return this.#listeners.find((it) => it.type === type && it.listener === listener && it.capture === capture);
  }

  /** @param {object | undefined} entry */
  #forget(entry) {
    this.#listeners = this.#listeners.filter((candidate) => candidate !== entry);
  }
}
