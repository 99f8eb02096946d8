/** Rights of a host: removing members, locking the room, and inviting guests. */

import { BywayError } from "./errors.js";

/** @typedef {{ token: string, expiresAt: string }} Invitation */

/**
 * Lifetime in seconds, an hour by default, and whether the guest may only receive.
 * @typedef {{ ttl?: number, viewer?: boolean }} InvitationOptions
 */

/**
 * @typedef {{ resolve: (invitation: Invitation) => void, reject: (error: BywayError) => void }}
 *   Request
 */

/**
 * Requests of a host to the server. Answers do not name their request, so only one invitation
 * waits for its answer at a time.
 */
export class Hosting {
  /** @type {(message: object) => boolean} */ #send;
  /** @type {() => boolean} */ #isHost;
  /** The invitation that has no answer yet. @type {Request | null} */ #asked = null;
  /** Settles when all earlier invitations are answered. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /**
   * @param {object} call
   * @param {(message: object) => boolean} call.send Sends a message; false if the server is lost.
   * @param {() => boolean} call.isHost
   */
  constructor({ send, isHost }) {
    this.#send = send;
    this.#isHost = isHost;
  }

  /** @param {string} id */
  remove(id) {
    this.#request({ type: "remove", id });
  }

  /** @param {boolean} locked */
  lock(locked) {
    this.#request({ type: "lock", locked });
  }

  /**
   * @param {InvitationOptions} options
   * @returns {Promise<Invitation>}
   */
  invite(options) {
    const invited = this.#turn.then(() => this.#ask(options));
    this.#turn = invited.catch(() => {});
    return invited;
  }

  /** Takes the answer to the invitation. @param {Invitation} invitation */
  invited({ token, expiresAt }) {
    this.#asked?.resolve({ token, expiresAt });
  }

  /**
   * Takes an error of the server, if it answers the invitation.
   * @param {BywayError} error
   * @param {number} [retryMs]
   * @returns {boolean} Whether it does.
   */
  refused(error, retryMs) {
    // Without a time to retry, it may be of any message.
    const isAnswer = error.code === "rate-limited" ? retryMs !== undefined : INVITATION_ERRORS.has(error.code);
    if (!isAnswer || !this.#asked) return false;
    this.#asked.reject(error);
    return true;
  }

  /** Gives up the invitation, because the server is lost or the call is over. */
  lost() {
    this.#asked?.reject(new BywayError("server-unreachable"));
  }

  /**
   * @param {InvitationOptions} options
   * @returns {Promise<Invitation>}
   */
  async #ask({ ttl, viewer }) {
    this.#request({ type: "invite", ttl, viewer });
    /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
    try {
      return await new Promise((resolve, reject) => {
        this.#asked = { resolve, reject };
        // While messages come too fast, the server does not answer each of them.
        timer = setTimeout(() => this.lost(), ANSWER_MS);
      });
    } finally {
      clearTimeout(timer);
      this.#asked = null;
    }
  }

  /** @param {object} message */
  #request(message) {
    if (!this.#isHost()) throw new BywayError("not-host");
    if (!this.#send(message)) throw new BywayError("server-unreachable");
  }
}

/** Errors that answer an invitation. The server's errors do not name their request. */
const INVITATION_ERRORS = new Set(["not-host", "no-tokens", "bad-message"]);
/** Time for several lost packets. */
const ANSWER_MS = 10_000;
