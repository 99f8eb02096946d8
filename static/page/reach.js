/**
 * Reason why the call server cannot be reached. A browser tells a page little about a failed
 * request, so a result names every reason that the page cannot rule out.
 */

/**
 * Sentence for the person: a key of the words, and its values.
 * @typedef {{ key: string, values: Record<string, string> }} Reason
 */

/**
 * Finds the reason, for when a WebSocket to the server failed. Takes up to a few seconds, and never
 * rejects.
 *
 * @param {string | URL} serverUrl `https://...` URL of the server, with its path.
 * @returns {Promise<Reason>}
 */
export async function whyUnreachable(serverUrl) {
  const base = new URL(serverUrl);
  base.pathname = base.pathname.replace(/\/?$/, "/");
  base.search = base.hash = "";
  const reason = (/** @type {string} */ name, values = {}) =>
    ({ key: `reach.${name}`, values: { host: base.host, url: base.href, ...values } });

  // `true` says nothing: a network without a way to the server counts as online.
  if (!navigator.onLine) return reason("offline");
  // The one document that pages of every origin may read.
  const answer = await ask(new URL("schema/byway.v1.json", base));
  if (answer === "silent") return reason("silent");
  if (answer === "failed") return reason(navigator.onLine ? suspects(base) : "offline");
  if (!answer.isOurs) return reason(BEHIND_PROXY.includes(answer.status) ? "behind-proxy" : "other", { status: String(answer.status) });
  if (answer.code === "host-refused") return reason("host");
  if (answer.code === "shutting-down") return reason("restarting");

  // HTTP works. A browser sends the page's origin with a POST, as with a WebSocket, and the server
  // checks it first. The page of another origin cannot read the refusal.
  const checked = await ask(new URL("ice", base), { method: "POST" });
  if (checked === "failed" ? base.origin !== location.origin : checked !== "silent" && checked.code === "origin-refused") {
    return reason("origin", { origin: location.origin });
  }
  return reason((await opens(base)) ? "back" : "upgrade");
}

/**
 * Reasons that a request which failed at once leaves open.
 * @param {URL} url
 */
function suspects({ protocol, hostname }) {
  const hasName = !/^[\d.]+$|^\[|^localhost$|\.localhost$/.test(hostname);
  if (protocol === "https:") return hasName ? "name-certificate-stopped" : "certificate-stopped";
  return hasName ? "name-stopped" : "stopped";
}

/**
 * Answer to a request. `isOurs`: it is of a Byway server, and not of a proxy. `code`: of its
 * problem object.
 * @typedef {{ status: number, isOurs: boolean, code: string | null }} Answer
 */

/**
 * @param {URL} url
 * @param {RequestInit} [options]
 * @returns {Promise<Answer | "failed" | "silent">} `failed`: the browser does not say why.
 */
async function ask(url, options) {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    const response = await fetch(url, { cache: "no-store", credentials: "same-origin", signal, ...options });
    const type = response.headers.get("content-type") ?? "";
    const isProblem = type.startsWith("application/problem+json");
    const code = isProblem ? String((await response.json()).code) : null;
    const isOurs = isProblem || (response.ok && /^application\/(schema\+)?json/.test(type));
    return { status: response.status, isOurs, code };
  } catch {
    return signal.aborted ? "silent" : "failed";
  }
}

/**
 * Whether a WebSocket opens.
 * @param {URL} base
 * @returns {Promise<boolean>}
 */
function opens(base) {
  const url = new URL("ws", base);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url, "byway.v1");
  return new Promise((resolve) => {
    const end = (/** @type {boolean} */ opened) => {
      clearTimeout(timer);
      resolve(opened);
      socket.close();
    };
    const timer = setTimeout(end, PATIENCE_MS, false);
    socket.onopen = () => end(true);
    socket.onerror = socket.onclose = () => end(false);
  });
}

/** A proxy's answers if nothing answers it. */
const BEHIND_PROXY = [502, 503, 504];
/** Time for a slow mobile network, and less than a person waits. */
const PATIENCE_MS = 6_000;
