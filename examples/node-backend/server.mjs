/**
 * Backend of a site with calls: serves the page, relays signals between the two members of a room,
 * and fetches ICE servers from Byway with an API key, which pages never see.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const { BYWAY = "http://localhost:8080", BYWAY_API_KEY, PORT = "8001" } = process.env;
if (!BYWAY_API_KEY) throw new Error("Set BYWAY_API_KEY to one of [ice] api_keys in Byway's configuration.");

/** Seconds that credentials are valid: longer than any call, and at most 7 days. */
const TTL = 12 * 3600;
const MAX_BODY = 64 * 1024;

const FILES = { "/": ["index.html", "text/html"], "/client.js": ["client.js", "text/javascript"] };

/** Members of each room: one or two. */
const rooms = new Map();
/** Members that have a peer, by the secret ticket of that pair's half. */
const tickets = new Map();

const server = createServer(async (request, response) => {
  const answer = (status, body = "", type = "text/plain") => {
    const headers = { "Content-Type": `${type}; charset=utf-8`, "Cache-Control": "no-store" };
    response.writeHead(status, headers).end(body);
  };
  const [path, query] = request.url.split("?");
  const fields = new URLSearchParams(query);
  // A site with accounts checks the session here.
  try {
    if (Object.hasOwn(FILES, path)) {
      const [file, type] = FILES[path];
      return answer(200, await readFile(new URL(file, import.meta.url)), type);
    }
    if (path === "/events") return enter(fields.get("room"), response);
    const member = tickets.get(fields.get("ticket"));
    if (path === "/ice") return member ? answer(200, await iceServers(member), "application/json") : answer(403);
    if (path === "/signal" && request.method === "POST") {
      const signal = JSON.parse(await bodyOf(request));
      // Without a peer, the signal is for one that has left.
      member?.peer?.tell("signal", signal);
      return answer(204);
    }
    return answer(404);
  } catch (error) {
    console.error(error);
    return answer(error instanceof SyntaxError ? 400 : 502);
  }
});

/** Opens the event stream of a member, who stays in the room as long as it is open. */
function enter(room, response) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  const tell = (event, data = {}) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const others = rooms.get(room) ?? [];
  if (others.length > 1) {
    tell("refused", { message: "Two people are in this room already." });
    return response.end();
  }
  // `user`: name in the credentials, by which Byway counts quotas. Use the id of an account.
  const member = { user: randomUUID(), tell, ticket: "", peer: null };
  rooms.set(room, [...others, member]);
  tell("waiting");
  if (others.length) pair(others[0], member);

  // Proxies close streams without traffic.
  const beat = setInterval(() => response.write(":\n\n"), 15_000);
  response.on("close", () => {
    clearInterval(beat);
    const { peer } = member;
    if (peer) rooms.set(room, [peer]);
    else rooms.delete(room);
    unpair(member);
    if (!peer) return;
    unpair(peer);
    peer.tell("left");
  });
}

/** Tells two members of each other. The newcomer is polite, and makes the first offer. */
function pair(first, newcomer) {
  for (const [member, peer] of [[first, newcomer], [newcomer, first]]) {
    Object.assign(member, { peer, ticket: randomUUID() });
    tickets.set(member.ticket, member);
    member.tell("peer", { ticket: member.ticket, polite: member === newcomer });
  }
}

function unpair(member) {
  tickets.delete(member.ticket);
  member.peer = null;
}

/** Gets an `RTCConfiguration` for one member, as JSON. */
async function iceServers({ user }) {
  const answer = await fetch(new URL("/ice", BYWAY), {
    method: "POST",
    headers: { Authorization: `Bearer ${BYWAY_API_KEY}` },
    body: new URLSearchParams({ username: user, ttl: String(TTL) }),
  });
  if (!answer.ok) throw new Error(`Byway answered ${answer.status}: ${await answer.text()}`);
  return answer.text();
}

async function bodyOf(request) {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += chunk;
    if (body.length > MAX_BODY) throw new SyntaxError("The signal is too long.");
  }
  return body;
}

server.listen(Number(PORT), "localhost", () => console.log(`http://localhost:${server.address().port}/`));
