import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { server } from "../stage.mjs";

// That nothing on the page violates the policy is checked in every scenario: `open` collects
// violations.
test("the page comes under a content security policy without unsafe sources", async () => {
  const { headers } = await fetch(server.origin);
  const policy = headers.get("content-security-policy");
  const directives = new Map(policy.split(";").map((directive) => directive.trim().split(/\s+(.*)/, 2)));
  // The one for WebAssembly compiles no JavaScript.
  assert.doesNotMatch(policy.replace("'wasm-unsafe-eval'", ""), /unsafe-|\*|https?:|data:/);
  assert.match(directives.get("default-src"), /^'(none|self)'$/);
  assert.match(directives.get("script-src"), /^'self' 'sha256-[\w+/]{43}=' 'wasm-unsafe-eval'$/);
  assert.match(directives.get("style-src"), /^'self' 'sha256-[\w+/]{43}='$/);
  assert.equal(directives.get("object-src") ?? directives.get("default-src"), "'none'");
  for (const closed of ["base-uri", "frame-ancestors", "form-action"]) assert.equal(directives.get(closed), "'none'", closed);
});

test("the policy opens what photos, recordings and workers need, and no more", async () => {
  const policy = (await fetch(server.origin)).headers.get("content-security-policy");
  const open = policy.split("; ").filter((directive) => !/^(default|script|style)-src|'none'$/.test(directive));
  assert.deepEqual(open, [
    "img-src 'self' blob:", "media-src blob:", "worker-src 'self'", "connect-src 'self'", "manifest-src 'self'",
    "require-trusted-types-for 'script'", "trusted-types byway",
  ]);
});

test("the page comes with the other headers that keep it to itself", async () => {
  const { headers } = await fetch(server.origin);
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.equal(headers.get("referrer-policy"), "no-referrer");
  const permissions = headers.get("permissions-policy");
  assert.match(permissions, /camera=\(self\)/);
  assert.match(permissions, /microphone=\(self\)/);
  assert.match(permissions, /geolocation=\(\)/);
});

test("files come with their type and an ETag that saves fetching them again", async () => {
  for (const [path, type] of [["/", "text/html"], ["/byway.js", "text/javascript"], ["/app.js", "text/javascript"],
    ["/manifest.webmanifest", "application/manifest+json"], ["/icons/icon-192.png", "image/png"],
    ["/vendor/noise-suppressor/rnnoise.wasm", "application/wasm"], ["/vendor/LICENSES.txt", "text/plain"]]) {
    const first = await fetch(server.origin + path);
    assert.equal(first.status, 200, path);
    assert.ok(first.headers.get("content-type").startsWith(type), `${path}: ${first.headers.get("content-type")}`);
    const again = await fetch(server.origin + path, { headers: { "If-None-Match": first.headers.get("etag") } });
    assert.equal(again.status, 304, path);
  }
});

test("the hashes of the policy are those of the one script and the one style", async () => {
  const response = await fetch(server.origin);
  const html = await response.text();
  const policy = response.headers.get("content-security-policy");
  for (const element of [/<script type="module">([^]*?)<\/script>/g, /<style>([^]*?)<\/style>/g]) {
    const [[, text], ...more] = html.matchAll(element);
    assert.equal(more.length, 0);
    assert.ok(policy.includes(`'sha256-${createHash("sha256").update(text).digest("base64")}'`), text.slice(0, 60));
  }
});
