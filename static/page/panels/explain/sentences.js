/** Events of a timeline in words. Pure. */

/** @typedef {import("../../../byway.js").TimelineEvent} TimelineEvent */
/** @typedef {(key: string, values?: Record<string, string | number>) => string} Say */

/**
 * @param {TimelineEvent} event
 * @param {{ say: Say, nameOf: (id: string | undefined) => string }} context
 */
export function sentenceOf({ kind, detail, peer }, { say, nameOf }) {
  const sentence = describe(kind, detail ?? {}, say);
  return peer ? say("explain.to", { name: nameOf(peer), sentence }) : sentence;
}

/** @param {string} kind @param {Record<string, any>} detail @param {Say} say */
function describe(kind, detail, say) {
  const protocol = String(detail.protocol ?? detail.transport ?? "").toUpperCase();
  switch (kind) {
    case "gathered": {
      const { host, srflx, relay, ms } = detail;
      return say("explain.gathered", { host, srflx, relay, ms });
    }
    case "server-failed":
      return say(detail.code === 701 ? "explain.server-silent" : "explain.server-failed",
        { scheme: detail.scheme.toUpperCase(), protocol, code: detail.code });
    case "connection":
      return say(`explain.state-${detail.state}`);
    case "failed":
      return say(`explain.failed-${detail.code}`);
    case "path":
      return say(detail.relayed ? "explain.path-relayed" : "explain.path-direct",
        { protocol, local: detail.local, remote: detail.remote });
    case "stats":
      return figures(detail, say);
    case "joined":
      return say(detail.viewer ? "explain.joined-viewer" : "explain.joined");
    case "reports":
      return say(detail.on ? "explain.shares" : "explain.shares-not");
    case "left":
      return say(`explain.left-${detail.reason}`);
    case "allocated":
      return say("explain.allocated", { protocol, families: familiesOf(detail.addresses ?? []) });
    case "refused":
      return say("explain.refused", { method: detail.method, code: detail.code, count: detail.count });
    case "released":
      return released(detail, protocol, say);
    case "restarted":
    case "replaced":
    case "lost":
    case "resumed":
      return say(`explain.happened-${kind}`);
    default:
      return kind; // of a newer server
  }
}

/** @param {Record<string, any>} detail @param {Say} say */
function figures(detail, say) {
  const known = [
    detail.round_trip_ms !== undefined && say("explain.round-trip", { ms: detail.round_trip_ms }),
    detail.loss !== undefined && say("explain.loss", { percent: detail.loss / 10 }),
    detail.receiving_bps !== undefined && say("explain.receiving", { rate: Math.round(detail.receiving_bps / 1000) }),
    detail.sending_bps !== undefined && say("explain.sending", { rate: Math.round(detail.sending_bps / 1000) }),
    detail.silent_ms >= SILENT_MS && say("explain.silent", { seconds: Math.round(detail.silent_ms / 1000) }),
  ];
  return known.filter(Boolean).join(", ") || say("explain.no-figures");
}

/** @param {Record<string, any>} detail @param {string} protocol @param {Say} say */
function released(detail, protocol, say) {
  const parts = [say("explain.released", { protocol, out: detail.to_peer.packets, in: detail.to_client.packets })];
  const drops = Object.entries(detail.drops ?? {});
  if (drops.length) {
    const list = drops.map(([reason, count]) => `${count} ${reason.replaceAll("_", " ")}`).join(", ");
    parts.push(say("explain.dropped", { list }));
  }
  return parts.join(" ");
}

/** @param {string[]} addresses */
const familiesOf = (addresses) => addresses.map((kind) => kind.replace("ip", "IP")).join(", ");

/** Time without anything from the peer that is worth a word. */
const SILENT_MS = 3_000;
