/**
 * The clients that people have already, unmodified, against the real binary: each asks in its own
 * way and takes what it gets. What the answers are to the byte, tests/server/ice has on file.
 */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";

import LinkHeader from "http-link-header";
import * as jose from "jose";
import { routePartyTracksRequest } from "partytracks/server";
import twilio from "twilio";

import { start } from "../browser/server.mjs";
import { askThroughJanus, lackOfJanus } from "./janus.mjs";

const KEY = "a-key-for-programs";
const SECRET = "north-north-north-north-north-north";

/** Keys of a backend of its own. */
const pairs = {
  EdDSA: generateKeyPairSync("ed25519"),
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
};

let server;
let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "byway-clients-"));
  const keys = await Promise.all(Object.entries(pairs).map(async ([kid, { publicKey }]) => ({ ...(await jose.exportJWK(publicKey)), kid })));
  await writeFile(join(folder, "keys.json"), JSON.stringify({ keys }));
  server = await start(`
realm = "byway.test"
[listen]
udp = ["127.0.0.1:0"]
tcp = ["127.0.0.1:0"]
http = ["127.0.0.1:0"]
admin = ["127.0.0.1:0"]
[relay]
addresses = ["127.0.0.1"]
shards = 1
[credentials]
secrets = ["a-test-secret"]
[ice]
access = "token"
api_keys = ["${KEY}"]
[tokens]
secrets = ["${SECRET}"]
jwks_file = "${join(folder, "keys.json")}"
`);
});
after(async () => {
  await server?.stop();
  await rm(folder, { recursive: true });
});

/** Asserts the credential that every client must get. */
function assertCredential({ username, credential, ttl = 600 }) {
  const [expiry, name] = username.split(":");
  const left = Number(expiry) - Date.now() / 1000;
  assert.ok(left > ttl - 10 && left <= ttl, `${left} s are left of ${ttl}`);
  assert.ok(name.length > 0);
  assert.match(credential, /^[A-Za-z0-9+/]{27}=$/);
}

test("twilio makes a token", async () => {
  const client = twilio(`AC${"0".repeat(32)}`, KEY);
  client.api.baseUrl = server.origin;
  const token = await client.tokens.create({ ttl: 3600 });
  assert.equal(token.accountSid, `AC${"0".repeat(32)}`);
  assert.equal(token.ttl, "3600");
  assert.ok(Math.abs(token.dateCreated.getTime() - Date.now()) < 10_000, `${token.dateCreated}`);
  assertCredential({ username: token.username, credential: token.password, ttl: 3600 });
  const turn = token.iceServers.filter(({ urls }) => urls.startsWith("turn:"));
  assert.deepEqual(turn.map(({ username }) => username), turn.map(() => token.username));
  assert.equal(token.iceServers.length, turn.length + 1);
});

test("twilio is told what is wrong", async () => {
  const client = twilio(`AC${"0".repeat(32)}`, "a-key-for-nobody");
  client.api.baseUrl = server.origin;
  await assert.rejects(client.tokens.create(), (error) => error.status === 401 && error.code === "bad-api-key");
});

test("matrix-js-sdk asks for the TURN server", async () => {
  const { createClient } = (await import("matrix-js-sdk")).default;
  const client = createClient({ baseUrl: server.origin, accessToken: KEY, userId: "@ann:byway.test" });
  const { username, password, uris, ttl } = await client.turnServer();
  assert.equal(ttl, 600);
  assertCredential({ username, credential: password });
  assert.ok(uris.length === 2 && uris.every((uri) => uri.startsWith("turn:127.0.0.1:")), `${uris}`);
});

test("partytracks, which is Cloudflare's, generates ICE servers", async () => {
  const answer = await routePartyTracksRequest({
    appId: "unused",
    token: "unused",
    realtimeApiBaseUrl: `${server.origin}/v1`,
    turnServerAppId: "0123456789abcdef",
    turnServerAppToken: KEY,
    request: new Request("https://app.example.com/partytracks/generate-ice-servers"),
  });
  const { iceServers } = await answer.json();
  assert.equal(iceServers.length, 2);
  assertCredential({ ...iceServers[1], ttl: 86_400 });
});

test("a parser of Link headers finds the ICE servers of WHIP", async () => {
  const answer = await fetch(`${server.origin}/ice`, { method: "OPTIONS", headers: { authorization: `Bearer ${KEY}` } });
  assert.equal(answer.status, 204);
  const links = LinkHeader.parse(answer.headers.get("link")).rel("ice-server");
  const turn = links.filter(({ uri }) => uri.startsWith("turn:"));
  assert.deepEqual([links.length, turn.length], [3, 2]);
  for (const { username, credential, "credential-type": type } of turn) {
    assert.equal(type, "password");
    assertCredential({ username, credential });
  }
});

test("jose signs tokens of every kind", async () => {
  const signed = (alg, key, header = {}) =>
    new jose.SignJWT({ room: "tea", name: "Ann" }).setProtectedHeader({ alg, ...header })
      .setAudience("byway.test").setExpirationTime("5m").setIssuedAt().sign(key);
  const ask = async (token) => {
    const answer = await fetch(`${server.origin}/ice`, { headers: { authorization: `Bearer ${token}` } });
    const body = await answer.json();
    if (!answer.ok) return body.code;
    assertCredential(body.iceServers[1]);
    return body.iceServers[1].username.split(/[:.]/)[1];
  };
  const secret = new TextEncoder().encode(SECRET);
  assert.equal(await ask(await signed("HS256", secret)), "tea");
  for (const [alg, { privateKey }] of Object.entries(pairs)) {
    assert.equal(await ask(await signed(alg, privateKey)), "tea");
    assert.equal(await ask(await signed(alg, privateKey, { kid: alg })), "tea");
    assert.equal(await ask(await signed(alg, privateKey, { kid: "other" })), "bad-token");
  }
  assert.equal(await ask(await signed("HS512", secret)), "bad-token");
  assert.equal(await ask(new jose.UnsecuredJWT({ room: "tea" }).setAudience("byway.test").setExpirationTime("5m").encode()), "bad-token");
});

for (const method of ["GET", "POST"]) {
  test(`Janus relays by what it was told by ${method}`, { skip: lackOfJanus() }, async (scenario) => {
    const before = await server.metric("byway_allocations_granted_total");
    const { sdp, log } = await askThroughJanus(scenario, { url: `${server.origin}/turn`, key: KEY, method });
    assert.match(sdp, /^a=candidate:\d+ \d udp \d+ 127\.0\.0\.1 \d+ typ relay/m, `${sdp}\n${log.join("")}`);
    assert.ok((await server.metric("byway_allocations_granted_total")) > before);
  });
}
