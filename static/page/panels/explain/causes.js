/** Faults that a timeline shows, by their names in the documentation. Pure. */

/** @typedef {import("../../../byway.js").TimelineEvent} TimelineEvent */

/** Error code of a server that did not answer. */
const UNREACHABLE = 701;

/** Error codes of a relay, by the fault that they show. @type {Record<number, string>} */
const FAULTS = {
  401: "credentials-refused",
  403: "credentials-refused",
  441: "credentials-refused",
  486: "limit-reached",
  508: "limit-reached",
};

/**
 * Returns each fault once for each member, the own ones first.
 *
 * @param {TimelineEvent[]} events
 * @param {{ self: string | null }} context
 * @returns {{ fault: string, member: string }[]}
 */
export function causesOf(events, { self }) {
  const ids = [...new Set(events.map(({ member }) => member))];
  ids.sort((one, other) => Number(other === self) - Number(one === self));
  return ids.flatMap((member) =>
    faultsOf(events.filter((event) => event.member === member)).map((fault) => ({ fault, member })));
}

/** @param {TimelineEvent[]} events Of one member. */
function faultsOf(events) {
  /** @type {Set<string>} */ const faults = new Set();
  const failures = events.filter(({ kind, detail }) => kind === "server-failed" && detail.scheme !== "stun");
  for (const { detail } of failures) if (FAULTS[detail.code]) faults.add(FAULTS[detail.code]);
  const isSilent = (/** @type {string} */ protocol) =>
    failures.some(({ detail }) => detail.code === UNREACHABLE && detail.protocol === protocol);
  // What worked later was no fault of the network.
  const last = events.findLast(({ kind }) => kind === "gathered");
  const hasRelay = Boolean(last?.detail.relay);
  if (isSilent("udp") && !worked(events, "udp")) faults.add("udp-blocked");
  if ((isSilent("tcp") || isSilent("tls")) && !hasRelay) faults.add("tcp-blocked");
  const [allocated, refused] = ["allocated", "refused"].map((wanted) => events.some(({ kind }) => kind === wanted));
  if (last && !hasRelay && failures.length === 0 && !allocated && !refused && isBroken(events)) faults.add("no-relay");
  return [...faults];
}

/**
 * Whether the relay was reached over a protocol.
 * @param {TimelineEvent[]} events
 * @param {string} protocol
 */
const worked = (events, protocol) =>
  events.some(({ kind, detail }) => kind === "allocated" && detail.transport === protocol);

/** Whether a connection failed and no later one worked. @param {TimelineEvent[]} events */
function isBroken(events) {
  const state = events.findLast(({ kind, detail }) =>
    kind === "connection" && ["connected", "failed"].includes(detail.state));
  return state?.detail.state === "failed";
}
