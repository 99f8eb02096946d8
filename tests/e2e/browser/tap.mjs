/**
 * Tap between a browser and the TURN server over TCP: browsers do not show these messages to a
 * page.
 */
import { once } from "node:events";
import { connect, createServer } from "node:net";

import { afterwards } from "./afterwards.mjs";

/** Attributes of STUN by their numbers (RFC 8489 section 18.3). */
const ATTRIBUTES = {
  0x0008: "MESSAGE-INTEGRITY",
  0x001c: "MESSAGE-INTEGRITY-SHA256",
  0x0015: "NONCE",
  0x001d: "PASSWORD-ALGORITHM",
  0x8002: "PASSWORD-ALGORITHMS",
};

/** Allocate and its answers by their types (RFC 8656 section 13, RFC 8489 section 5). */
const TYPES = { 0x0003: "request", 0x0103: "success", 0x0113: "error" };

/**
 * @param {import("node:test").TestContext} scenario
 * @param {() => string} server The address of the one who is overheard.
 */
export async function listenIn(scenario, server) {
  /**
   * Every Allocate and its answers, in the order they came.
   * @type {{ type: string, attributes: string[] }[]}
   */
  const heard = [];
  const tap = createServer((client) => {
    const [host, port] = server().split(":");
    const upstream = connect(Number(port), host);
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      from.pipe(to);
      from.on("error", () => to.destroy());
      overhear(from, heard);
    }
  });
  tap.listen(0, "127.0.0.1");
  await once(tap, "listening");
  afterwards(scenario, () => tap.close());
  return { url: `turn:127.0.0.1:${tap.address().port}?transport=tcp`, heard };
}

/**
 * Reads STUN messages and ChannelData one after the other, as they stand in a stream (RFC 8656
 * section 12.5).
 */
function overhear(socket, heard) {
  let rest = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 4) {
      const isStun = rest[0] < 4;
      const length = isStun ? 20 + rest.readUInt16BE(2) : 4 + Math.ceil(rest.readUInt16BE(2) / 4) * 4;
      if (rest.length < length) return;
      const type = isStun && TYPES[rest.readUInt16BE(0)];
      if (type) heard.push({ type, attributes: attributesOf(rest.subarray(20, length)) });
      rest = rest.subarray(length);
    }
  });
}

function attributesOf(body) {
  const names = [];
  for (let at = 0; at < body.length; at += 4 + Math.ceil(body.readUInt16BE(at + 2) / 4) * 4) {
    const name = ATTRIBUTES[body.readUInt16BE(at)];
    if (name) names.push(name);
  }
  return names;
}
