/** Camera and microphone: each by itself where they cannot be had together. */

import { BywayError } from "./errors.js";

/** @typedef {"camera" | "microphone"} Device */

/**
 * The devices that could be opened, as a stream, and an error for each that could not.
 * @typedef {{ stream: MediaStream | null, errors: BywayError[] }} Devices
 */

/**
 * `getUserMedia` that fails with a sentence a person can act on.
 *
 * If only one of the two devices can be opened, the stream has the track of that one alone:
 * {@link openDevices} tells why the other is missing. Rejects where none can.
 *
 * @param {MediaStreamConstraints} [constraints]
 * @returns {Promise<MediaStream>}
 */
export async function openCamera(constraints) {
  const { stream, errors } = await openDevices(constraints);
  if (stream) return stream;
  const [{ code, cause }] = errors;
  throw new BywayError(code, errors.map(({ message }) => message).join(" "), { cause });
}

/**
 * Opens camera and microphone, by one question to the person where possible. Where that fails, each
 * is opened by itself, so that a busy or refused camera does not take the microphone along.
 *
 * @param {MediaStreamConstraints} [constraints] Both kinds by default; one kind to open a device
 *   later.
 * @returns {Promise<Devices>} Never rejects: an error is a `camera-...` or a `microphone-...`, or
 *   `insecure-page`.
 */
export async function openDevices(constraints = { audio: true, video: true }) {
  if (!navigator.mediaDevices) return { stream: null, errors: [new BywayError("insecure-page")] };
  const devices = DEVICES.filter(({ kind }) => constraints[kind]);
  try {
    return { stream: await navigator.mediaDevices.getUserMedia(constraints), errors: [] };
  } catch (cause) {
    if (devices.length < 2) return { stream: null, errors: [errorOf([devices[0]?.name ?? "camera"], cause)] };
    return openEach(constraints, cause);
  }
}

/**
 * @param {MediaStreamConstraints} constraints
 * @param {unknown} refusal Why both could not be opened together.
 * @returns {Promise<Devices>}
 */
async function openEach(constraints, refusal) {
  const allowed = await Promise.all(DEVICES.map(({ name }) => permissionOf(name)));
  // Neither is blocked nor allowed: the person has just closed the question, and is not to be asked
  // twice more.
  if (problemOf(refusal) === "denied" && allowed.every((state) => state === "prompt")) return { stream: null, errors: [errorOf(BOTH, refusal)] };

  const stream = new MediaStream();
  /** @type {{ name: Device, cause: unknown }[]} */
  const failures = [];
  // One after the other: two questions at once hide each other.
  for (const { name, kind } of DEVICES) {
    try {
      const opened = await navigator.mediaDevices.getUserMedia({ [kind]: constraints[kind] });
      for (const track of opened.getTracks()) stream.addTrack(track);
    } catch (cause) {
      failures.push({ name, cause });
    }
  }
  const problems = new Set(failures.map(({ cause }) => problemOf(cause)));
  const alike = failures.length === DEVICES.length && problems.size === 1;
  const errors = alike ? [errorOf(BOTH, failures[0].cause)] : failures.map(({ name, cause }) => errorOf([name], cause));
  return { stream: failures.length < DEVICES.length ? stream : null, errors };
}

/**
 * @param {Device} name
 * @returns {Promise<PermissionState | undefined>} Undefined where the browser does not tell.
 */
async function permissionOf(name) {
  try {
    return (await navigator.permissions.query({ name: /** @type {PermissionName} */ (name) })).state;
  } catch {
    return undefined;
  }
}

/** @param {Device[]} devices @param {unknown} cause */
function errorOf(devices, cause) {
  const problem = problemOf(cause);
  const code = problem === "missing" ? `no-${devices[0]}` : `${devices[0]}-${problem}`;
  return new BywayError(code, devices.length > 1 ? OF_BOTH[problem] : undefined, { cause });
}

/** @param {unknown} cause @returns {Problem} */
const problemOf = (cause) => PROBLEMS[/** @type {Error} */ (cause).name] ?? "failed";

/** @typedef {"denied" | "missing" | "busy" | "failed"} Problem */

/** @type {Record<string, Problem>} By the error names of getUserMedia. */
const PROBLEMS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
};

/** @type {{ name: Device, kind: "video" | "audio" }[]} */
const DEVICES = [{ name: "camera", kind: "video" }, { name: "microphone", kind: "audio" }];
const BOTH = DEVICES.map(({ name }) => name);

/** @type {Record<Problem, string>} Of one device alone the errors' own sentences speak. */
const OF_BOTH = {
  denied: "The browser was not allowed to use camera and microphone. Allow them in the browser's settings.",
  missing: "No camera or microphone was found. Connect one, then try again.",
  busy: "Camera and microphone are in use by another program, or do not work. Close that program.",
  failed: "Camera and microphone could not be opened. Restart the browser, then try again.",
};
