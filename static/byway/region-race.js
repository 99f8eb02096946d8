/** Race of STUN requests to the regions of a cluster. Loaded if there are several regions. */

/**
 * Region, and the `stun:` URL of a server there.
 * @typedef {{ region: string, stun: string }} RegionServer
 */

/**
 * Sends one STUN request to each region at once. Returns the region of the first answer, or
 * undefined without an answer in time, for example where UDP is blocked.
 *
 * A browser shows an answer as a server-reflexive candidate. It shows none if the answer names an
 * address of the machine itself, so a machine without a NAT may get undefined.
 * @param {RegionServer[]} servers
 * @returns {Promise<string | undefined>}
 */
export async function race(servers) {
  // Connections first: the first one of a page takes longer than a round trip.
  const runners = servers.slice(0, MAX_REGIONS).map(({ region, stun }) => ({
    region,
    connection: new RTCPeerConnection({ iceServers: [{ urls: stun }] }),
  }));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  try {
    return await new Promise((resolve, reject) => {
      const started = runners.map(({ region, connection }) => {
        connection.onicecandidate = ({ candidate }) => candidate?.type === "srflx" && resolve(region);
        // Without media or a channel nothing is gathered.
        connection.createDataChannel("");
        return connection.setLocalDescription();
      });
      Promise.all(started).then(() => (timer = setTimeout(resolve, LIMIT_MS)), reject);
    });
  } finally {
    clearTimeout(timer);
    for (const { connection } of runners) connection.close();
  }
}

/** As many as the server lists. Each costs a connection. */
const MAX_REGIONS = 4;
/** A relay that is further away is no better than the server's own choice. */
const LIMIT_MS = 300;
