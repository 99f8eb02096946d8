/** STUN and TURN URLs (RFC 7064, RFC 7065), and addresses. Pure. */

/**
 * @typedef {object} ServerUrl
 * @property {string} url
 * @property {"stun" | "turn"} kind
 * @property {"udp" | "tcp" | "tls"} transport
 * @property {string} host Name or address, an IPv6 address without brackets.
 * @property {number} port
 */

/** @param {string} url @returns {ServerUrl | null} */
export function parse(url) {
  const match = /^(stuns?|turns?):(\[[^\]]+\]|[^:?[\]]+)(?::(\d+))?(?:\?transport=(udp|tcp))?$/i.exec(url);
  if (!match) return null;
  const [, scheme, host, port, transport] = match;
  const isSecure = /s$/i.test(scheme);
  return {
    url,
    kind: /^stun/i.test(scheme) ? "stun" : "turn",
    transport: isSecure ? "tls" : transport?.toLowerCase() === "tcp" ? "tcp" : "udp",
    host: host.replace(/^\[|\]$/g, ""),
    port: port ? Number(port) : isSecure ? 5349 : 3478,
  };
}

/** Whether a host is an address and no name. @param {string} host */
export const isAddress = (host) => isV4(host) || isV6(host);
/** @param {string} host */
export const isV6 = (host) => host.includes(":");
/** @param {string} host */
const isV4 = (host) => /^\d{1,3}(\.\d{1,3}){3}$/.test(host);

/** Whether a host is this machine. @param {string} host */
export const isLoopback = (host) => /^(127\.|\[?::1\]?$|localhost$)|\.localhost$/i.test(host);

/** Whether a host is an address that the internet does not reach. @param {string} host */
export const isPrivate = (host) =>
  isLoopback(host) ||
  (isV4(host) && /^(0|10|127)\.|^(192\.168|169\.254)\.|^172\.(1[6-9]|2\d|3[01])\.|^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(host)) ||
  // For documentation and measurements.
  (isV4(host) && /^(192\.0\.[02]|198\.51\.100|203\.0\.113)\.|^198\.1[89]\./.test(host)) ||
  (isV6(host) && /^(f[cd]|fe[89ab]|2001:0?db8:)/i.test(host));
