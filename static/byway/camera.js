/** Camera and microphone. Each is opened by itself if both cannot be opened together. */

import { BywayError } from "./errors.js";

/** @typedef {"camera" | "microphone"} Device */

/**
 * Stream of the devices that could be opened, and an error for each that could not.
 * @typedef {{ stream: MediaStream | null, errors: BywayError[] }} Devices
 */

/**
 * Opens camera and microphone like `getUserMedia`, with errors that tell people what to do.
 *
 * If only one of the two devices can be opened, the stream has only its track. {@link openDevices}
 * also reports why the other is missing. Rejects if no device can be opened.
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
 * Opens camera and microphone, with one permission prompt if possible. If that fails, opens each by
 * itself, so that the microphone works even if the camera is busy or denied.
 *
 * @param {MediaStreamConstraints} [constraints] Both kinds by default. One kind opens a single
 *   device later.
 * @returns {Promise<Devices>} Never rejects. The codes of errors are `camera-...`,
 *   `microphone-...`, `no-camera`, `no-microphone` or `insecure-page`. Behind the hyphen is
 *   `denied`, `busy`, `failed`, or `overconstrained` if no device meets the constraints.
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
 * @param {unknown} firstCause Error of the attempt to open both together.
 * @returns {Promise<Devices>}
 */
async function openEach(constraints, firstCause) {
  const states = await Promise.all(DEVICES.map(({ name }) => permissionOf(name)));
  // Neither device is blocked or allowed: the person has just closed the prompt. Do not show two
  // more.
  if (problemOf(firstCause) === "denied" && states.every((state) => state === "prompt")) {
    return { stream: null, errors: [errorOf(BOTH, firstCause)] };
  }

  const stream = new MediaStream();
  /** @type {{ name: Device, cause: unknown }[]} */
  const failures = [];
  // One after the other: two prompts at once hide each other.
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
 * @returns {Promise<PermissionState | undefined>} Undefined if the browser does not report it.
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
  return new BywayError(code, devices.length > 1 ? BOTH_MESSAGES[problem] : undefined, { cause });
}

/** @param {unknown} cause @returns {Problem} */
const problemOf = (cause) => PROBLEMS[/** @type {Error} */ (cause).name] ?? "failed";

/** @typedef {"denied" | "missing" | "overconstrained" | "busy" | "failed"} Problem */

/** Problems by the error names of getUserMedia. @type {Record<string, Problem>} */
const PROBLEMS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "overconstrained",
  NotReadableError: "busy",
  AbortError: "busy",
};

/** @type {{ name: Device, kind: "video" | "audio" }[]} */
const DEVICES = [{ name: "camera", kind: "video" }, { name: "microphone", kind: "audio" }];
const BOTH = DEVICES.map(({ name }) => name);

/**
 * Messages for both devices. errors.js has those for a single one.
 * @type {Record<Problem, string>}
 */
const BOTH_MESSAGES = {
  denied: "The browser was not allowed to use camera and microphone. Allow them in the browser's settings.",
  missing: "No camera or microphone was found. Connect one, then try again.",
  overconstrained: "No camera and microphone can do what was asked. Choose other ones, or ask for less.",
  busy: "Camera and microphone are in use by another program, or do not work. Close that program.",
  failed: "Camera and microphone could not be opened. Restart the browser, then try again.",
};
