/** Jobs of the worker that reads, hashes and writes files. */

import { ownUrl } from "../../own-url.js";

/** Worker of this page, from the first job on. @type {Worker | null} */
let worker = null;
let jobs = 0;
let calls = 0;
/** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
const waiting = new Map();
/** @type {Map<number, Job>} */
const running = new Map();

function start() {
  const started = new Worker(ownUrl("page/chat/files/worker.js"), { type: "module" });
  started.onmessage = ({ data: { call, job, result, error, written } }) => {
    const caller = waiting.get(call);
    waiting.delete(call);
    if (error && caller) caller.reject(new DOMException(error, error));
    else if (caller) caller.resolve(result);
    else if (error) running.get(job)?.onFailure(error);
    else running.get(job)?.onWritten(written);
  };
  started.onerror = () => {
    for (const { reject } of waiting.values()) reject(new DOMException("the worker failed", "WorkerError"));
    for (const job of running.values()) job.onFailure("WorkerError");
    waiting.clear();
    worker = null;
  };
  return started;
}

/** One file in the worker. */
export class Job {
  #id = ++jobs;
  /** Called with the number of bytes that are written. */
  onWritten = (/** @type {number} */ _bytes) => {};
  /** Called with the name of the error if a write fails. */
  onFailure = (/** @type {string} */ _error) => {};

  constructor() {
    running.set(this.#id, this);
  }

  /**
   * Runs an operation after the earlier ones of this job.
   * @param {string} operation @param {object} [given]
   * @returns {Promise<any>} Rejects with a DOMException.
   */
  call(operation, given = {}) {
    worker ??= start();
    const call = ++calls;
    const result = new Promise((resolve, reject) => waiting.set(call, { resolve, reject }));
    // A transfer that ended does not await it.
    result.catch(() => {});
    worker.postMessage({ call, job: this.#id, operation, ...given });
    return result;
  }

  /** Writes the payload of a frame. @param {ArrayBuffer} frame */
  write(frame) {
    worker?.postMessage({ job: this.#id, operation: "write", frame }, [frame]);
  }

  /** Ends the job. @param {{ discard?: boolean }} [options] `discard`: nothing of it stays. */
  close({ discard = false } = {}) {
    running.delete(this.#id);
    return worker ? this.call("close", { discard }).catch(() => {}) : Promise.resolve();
  }
}
