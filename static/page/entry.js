/**
 * Entry where the server requires a join token: what the token is for, and an operator's calls.
 * Without a valid token the page shows what is missing, and no button that would fail.
 */

import { checkUrl, claimsOf, linkTo, room, server, token } from "./address.js";
import { byId } from "./dom.js";
import { whyUnreachable } from "./reach.js";
import { say } from "./words.js";

/** @typedef {import("./page.js").Page} Page */

/** Whether the server requires a join token. The document says so, which costs no request. */
export const isByInvitation = document.documentElement.dataset.access === "token";

/** Seconds for which the operator's own link to a call is good. */
const OWN_LINK_S = 86_400;
/** Time for a slow mobile network. */
const PATIENCE_MS = 10_000;
/** Codes of a token that opens nothing here. */
const REFUSALS = ["token-required", "bad-token", "token-expired", "token-not-yet-valid", "token-too-far-ahead", "wrong-room"];

/** Tokens that the server accepted, with their purpose. @type {Map<string, Purpose>} */
const accepted = new Map();
/** Number of checks. A later one cancels an earlier one. */
let checks = 0;

/** @typedef {{ role: "operator" | "host" | "member" | "viewer", room?: string }} Purpose */

/** Whether a new link is the remedy. @param {string} code */
export const isRefusal = (code) => REFUSALS.includes(code);

/** Refusal by the server, by its code. */
class Refusal extends Error {
  /** @param {string} code */
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/**
 * Checks the token of the address, else the operator's token of this tab, and shows what it opens.
 * @param {Page} page
 * @param {{ showLobby: (page: Page) => void, showAddress: (page: Page) => void }} scenes
 *   `showAddress`: shows the page of an address that was changed here.
 */
export async function checkEntry(page, { showLobby, showAddress }) {
  const mine = (checks += 1);
  const bearer = token() ?? page.rememberInTab.get("operator");
  if (!bearer) return showLanding("closed");
  const name = room();
  // Most links are good: the lobby does not wait.
  if (name && !claimsOf(bearer).operator) showLobby(page);
  else showLanding("checking");
  try {
    const purpose = accepted.get(bearer) ?? (await ask("GET", bearer));
    accepted.set(bearer, purpose);
    if (mine !== checks) return;
    if (purpose.role === "operator") {
      page.rememberInTab.set("operator", bearer);
      if (!name) return showLanding("operator");
      const own = await inviteSelf(page, name);
      if (mine !== checks) return;
      history.replaceState(null, "", `#${new URLSearchParams({ token: own })}`);
      showAddress(page);
    } else if (!name && purpose.room) {
      history.replaceState(null, "", linkTo(purpose.room, { live: purpose.role === "viewer", token: bearer }));
      showAddress(page);
    } else if (purpose.room !== name) {
      refuse(page, "wrong-room");
    }
  } catch (error) {
    const code = codeOf(error);
    if (mine !== checks) return;
    if (isRefusal(code)) return refuse(page, code);
    // A room's button finds the reason itself.
    if (!byId("call").hidden) return;
    const reason = await sentence(code);
    if (mine === checks) showLanding("failed", reason);
  }
}

/**
 * Shows why the token opens nothing, instead of a button that would fail. A call that began
 * meanwhile goes on.
 * @param {Page} page
 * @param {string} code
 */
export function refuse(page, code) {
  if (byId("call").dataset.state !== "lobby") return;
  if (!token()) page.rememberInTab.set("operator", null);
  page.media.close();
  showLanding("refused", say(`error.${code}`));
}

/**
 * Makes the operator a host of a room. Returns the join token.
 * @param {Page} page
 * @param {string} name
 * @returns {Promise<string>}
 */
export async function inviteSelf(page, name) {
  const bearer = page.rememberInTab.get("operator") ?? "";
  try {
    const invitation = await ask("POST", bearer, { room: name, host: true, ttl: OWN_LINK_S });
    accepted.set(invitation.token, { role: "host", room: name });
    return invitation.token;
  } catch (error) {
    if (isRefusal(codeOf(error))) accepted.delete(bearer);
    throw error;
  }
}

/** Code of a failed request. @param {unknown} error */
export const codeOf = (error) => (error instanceof Refusal ? error.code : "server-unreachable");

/** Says a failure that another link does not cure. @param {string} code */
export async function sentence(code) {
  if (code === "rate-limited") return say("error.rate-limited");
  if (code === "bad-request") return say("error.bad-room");
  const { key, values } = await whyUnreachable(server());
  return say(key, values);
}

/**
 * Shows the landing page.
 * @param {"open" | "operator" | "checking" | "closed" | "refused" | "failed"} entry
 * @param {string} [text] Reason of a refusal or failure.
 */
export function showLanding(entry, text) {
  const isStart = entry === "open" || entry === "operator";
  byId("landing").hidden = false;
  byId("call").hidden = byId("invite").hidden = true;
  document.title = "Byway";
  const check = byId("landing").querySelector("a[href^=check], a[href*='/check']");
  if (check) check.href = checkUrl();
  byId("landing").dataset.entry = entry;
  byId("starts").hidden = byId("open-room").hidden = !isStart;
  byId("landing-retry").hidden = entry !== "failed";
  byId("landing-hint").hidden = entry !== "closed" && entry !== "refused";
  byId("landing-title").textContent = isStart ? say("landing.title") : location.host;
  byId("landing-lead").textContent = text ?? say(entry === "open" ? "landing.lead" : `entry.${entry}`, { host: location.host });
  byId("landing-note").textContent = "";
}

/**
 * @param {"GET" | "POST"} method
 * @param {string} bearer
 * @param {object} [body]
 */
async function ask(method, bearer, body) {
  // The server would refuse it, or the browser would not send it.
  if (!/^[\w.-]+$/.test(bearer)) throw new Refusal("bad-token");
  const response = await fetch(new URL("invite", server()), {
    method,
    cache: "no-store",
    credentials: "same-origin",
    signal: AbortSignal.timeout(PATIENCE_MS),
    headers: { authorization: `Bearer ${bearer}` },
    body: body && JSON.stringify(body),
  }).catch(() => null);
  const answer = await response?.json().catch(() => null);
  if (response?.ok && answer) return answer;
  // A token that the server does not know could as well be a wrong API key.
  throw new Refusal(answer?.code === "bad-api-key" ? "bad-token" : (answer?.code ?? "server-unreachable"));
}
