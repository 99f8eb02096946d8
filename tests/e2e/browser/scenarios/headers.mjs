import assert from "node:assert/strict";
import { test } from "node:test";

import { server } from "../stage.mjs";

// That nothing on the page violates the policy is checked in every scenario: `open` collects
// violations.
test("the page comes under a content security policy without unsafe sources", async () => {
  const { headers } = await fetch(server.origin);
  const policy = headers.get("content-security-policy");
  const directives = new Map(policy.split(";").map((directive) => directive.trim().split(/\s+(.*)/, 2)));
  assert.doesNotMatch(policy, /unsafe-|\*/);
  assert.match(directives.get("default-src"), /^'(none|self)'$/);
  assert.equal(directives.get("script-src") ?? directives.get("default-src"), "'self'");
  assert.equal(directives.get("object-src") ?? directives.get("default-src"), "'none'");
  for (const closed of ["base-uri", "frame-ancestors"]) assert.equal(directives.get(closed), "'none'", closed);
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
  for (const [path, type] of [["/", "text/html"], ["/byway.js", "text/javascript"], ["/app.js", "text/javascript"], ["/style.css", "text/css"]]) {
    const first = await fetch(server.origin + path);
    assert.equal(first.status, 200, path);
    assert.ok(first.headers.get("content-type").startsWith(type), `${path}: ${first.headers.get("content-type")}`);
    const again = await fetch(server.origin + path, { headers: { "If-None-Match": first.headers.get("etag") } });
    assert.equal(again.status, 304, path);
  }
});
