import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { test } from "node:test";

import { findsNothing } from "../axe.mjs";
import { videoFlows } from "../connections.mjs";
import { eventually } from "../eventually.mjs";
import { addressOf, enter, peers, says } from "../page.mjs";
import { SECRET, startFor } from "../server.mjs";
import { open, room, server } from "../stage.mjs";

/** For a person to look at; no test compares pixels. */
const SCREENSHOTS = new URL("../../../../target/screenshots/", import.meta.url).pathname;
await mkdir(SCREENSHOTS, { recursive: true });

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const now = () => Math.floor(Date.now() / 1000);

/** A token as another program signs it. */
function signed(claims, secret = SECRET) {
  const body = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded({ aud: "byway.test", exp: now() + 600, ...claims })}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

const byInvitation = (scenario, more) => startFor(scenario, { access: "token", ...more });

/** The browser logs each refused request. */
const REFUSED = { tolerated: /status of (401|429|503)|ERR_CONNECTION_REFUSED/ };

/** Waits until the landing page shows this entry. */
const shows = (page, entry) => page.locator(`#landing[data-entry=${entry}]:not([hidden])`).waitFor();

/** Texts of all buttons and fields that a person sees. */
const offered = (page) =>
  page.evaluate(() => [...document.querySelectorAll("button, input")].filter((each) => each.checkVisibility()).map((each) => each.id || each.textContent));

const leadOf = (page) => page.locator("#landing-lead").innerText();

test("without an invitation the page says whose server it is, and offers no button", async (scenario) => {
  const own = await byInvitation(scenario);
  for (const path of ["/", addressOf("", room(scenario)), addressOf("", room(scenario), { relay: true })]) {
    const page = await open(scenario, new URL(path, own.origin).href);
    await shows(page, "closed");
    assert.deepEqual(await offered(page), [], path);
    assert.equal(await page.locator("h1:visible").innerText(), new URL(own.origin).host);
    assert.match(await leadOf(page), /by invitation.*whole link/);
    assert.match(await page.locator("#landing-hint").innerText(), /byway invite --host/);
    const requests = await page.evaluate(() => performance.getEntriesByType("resource").filter(({ initiatorType }) => initiatorType === "fetch").length);
    assert.equal(requests, 0, "the document says so");
  }
});

test("where access is open, the landing page is for everyone", async (scenario) => {
  const page = await open(scenario, "/");
  await shows(page, "open");
  assert.deepEqual(await offered(page), ["new-call", "new-live", "room-name", "Open"]);
});

test("an operator's link starts a call, and the call invites others", async (scenario) => {
  const own = await byInvitation(scenario);
  const link = await own.invite("--host");
  const operator = link.split("#token=")[1];
  const page = await open(scenario, link);
  await shows(page, "operator");
  assert.match(await leadOf(page), new RegExp(new URL(own.origin).host));
  await page.reload();
  await shows(page, "operator");
  await page.click("#new-call");
  await enter(page, "Ada");
  await says(page, /invite someone in People/);
  assert.ok(!page.url().includes(operator), "the address of a call does not start others");
  await page.click("#people");
  const field = page.locator(".invitation input");
  await eventually("a link for a guest", async () => (await field.inputValue()).includes("#token=") || null);
  await page.locator(".invitation canvas").waitFor();
  await page.locator(".invitation select").selectOption("604800");
  await eventually("its end", async () => /can be used until/.test(await page.locator(".invitation").innerText()) || null);
  const guestLink = await field.inputValue();
  const guest = await open(scenario, guestLink);
  await enter(guest, "Ben");
  await Promise.all([peers(page, 1), peers(guest, 1)]);
  await videoFlows(page, guest);
  assert.equal(await guest.evaluate(() => document.querySelector("#call").call.host), false);

  // The same tab knows its operator after a reload, and behind the link to the landing page.
  await page.reload();
  await page.locator("#join", { hasText: "Rejoin" }).click();
  await peers(page, 1);
  await page.click(".brand");
  await shows(page, "operator");
  await page.goBack();
  await page.locator("#join:visible").waitFor();
  // Another tab of the same browser does not.
  const other = await page.context().newPage();
  await other.goto(own.origin);
  await shows(other, "closed");
});

test("an operator opens a room by name, and by an address without a token", async (scenario) => {
  const own = await byInvitation(scenario);
  const page = await open(scenario, await own.invite("--host", "--ttl", "1h"));
  await shows(page, "operator");
  await page.fill("#room-name", "tea & cake");
  await page.keyboard.press("Enter");
  await enter(page, "Ada");
  assert.equal(new URL(page.url()).searchParams.get("room"), "tea & cake");
  assert.equal(await page.evaluate(() => document.querySelector("#call").call.host), true);
  await page.goto(addressOf(own.origin, "oak", { relay: true }));
  await enter(page, "Ada");
  assert.match(page.url(), /relay=1#token=/);
  assert.equal(await page.evaluate(() => document.querySelector("#call").call.host), true);
  // A link whose room was put in by hand.
  await page.goto("about:blank");
  await page.goto(`${addressOf(own.origin, "ash")}#token=${signed({ operator: true })}`);
  await enter(page, "Ada");
  assert.ok(!page.url().includes(signed({ operator: true })));
});

test("an operator's live room has viewers by invitation", async (scenario) => {
  const own = await byInvitation(scenario);
  const page = await open(scenario, await own.invite("--host"));
  await page.click("#new-live");
  await enter(page, "Ada");
  await says(page, /invite viewers in People/);
  await page.click("#people");
  const field = page.locator(".invitation input");
  await eventually("a link for a viewer", async () => (await field.inputValue()).includes("#token=") || null);
  const viewer = await open(scenario, await field.inputValue());
  assert.equal(await viewer.locator("#join").innerText(), "Watch");
  await enter(viewer);
  await peers(viewer, 1);
  await eventually("the speaker's picture", () => viewer.evaluate(() => document.querySelector(".peer video").videoWidth > 0 || null));
});

test("a token that opens nothing is said in words, with the remedy and without a button", async (scenario) => {
  const own = await byInvitation(scenario);
  const name = room(scenario);
  const tokens = {
    expired: [signed({ operator: true, exp: now() - 60 }), /has expired.*ask for a new link/],
    forged: [signed({ operator: true }, "another-secret"), /not valid here.*ask for a new link/],
    "of another server": [signed({ operator: true, aud: "other.test" }), /not valid here/],
    early: [signed({ operator: true, nbf: now() + 300 }), /not valid yet.*try again later/],
    "no token": ["é x", /not valid here/],
    "a guest's, expired": [signed({ room: name, exp: now() - 60 }), /has expired/],
    "a guest's, forged": [signed({ room: name }, "another-secret"), /not valid here/],
    "a guest's, of another room": [signed({ room: "oak" }), /for another room/, true],
  };
  for (const [what, [token, words, inRoomOnly]] of Object.entries(tokens)) {
    for (const address of [...(inRoomOnly ? [] : [`${own.origin}/`]), addressOf(own.origin, name)]) {
      const page = await open(scenario, `${address}#${new URLSearchParams({ token })}`, REFUSED);
      await shows(page, "refused");
      assert.match(await leadOf(page), words, what);
      assert.deepEqual(await offered(page), [], what);
      await page.context().close();
    }
  }
});

test("an operator's token that has become useless is forgotten", async (scenario) => {
  const own = await byInvitation(scenario);
  const page = await open(scenario, await own.invite("--host"), REFUSED);
  await shows(page, "operator");
  // As if its time had come since the page was opened.
  const authorization = `Bearer ${signed({ operator: true, exp: now() - 60 })}`;
  await page.route("**/invite", (route) => route.continue({ headers: { ...route.request().headers(), authorization } }));
  await page.click("#new-call");
  await shows(page, "refused");
  assert.deepEqual(await offered(page), []);
  await page.click(".brand");
  await shows(page, "refused");
  await page.click(".brand");
  await shows(page, "closed");
});

test("a guest's link without its room leads to the room", async (scenario) => {
  const own = await byInvitation(scenario);
  const page = await open(scenario, `${own.origin}/#token=${signed({ room: "tea" })}`);
  await enter(page, "Ben");
  assert.equal(new URL(page.url()).searchParams.get("room"), "tea");
  const viewer = await open(scenario, `${own.origin}/#token=${signed({ room: "tea", viewer: true })}`);
  await viewer.locator("#join", { hasText: "Watch" }).waitFor();
});

test("an invitation that expires in the lobby is refused in words", async (scenario) => {
  const own = await byInvitation(scenario);
  const page = await open(scenario, `${addressOf(own.origin, room(scenario))}#token=${signed({ room: room(scenario) })}`, REFUSED);
  await page.locator("#join:visible").waitFor();
  // As if the time had come: the server knows another token than the page has checked.
  await page.evaluate((token) => history.replaceState(null, "", `#token=${token}`), signed({ room: room(scenario), exp: now() - 1 }));
  await page.click("#join");
  await shows(page, "refused");
  assert.match(await leadOf(page), /has expired/);
  assert.equal(await page.evaluate(() => document.activeElement.id), "landing-title");
});

test("a call that cannot be entered again leaves its chat, and no button", async (scenario) => {
  const own = await byInvitation(scenario);
  const name = room(scenario);
  const page = await open(scenario, `${addressOf(own.origin, name)}#token=${signed({ room: name })}`, REFUSED);
  await enter(page, "Ada");
  await page.evaluate((token) => history.replaceState(null, "", `#token=${token}`), signed({ room: name, exp: now() - 1 }));
  await page.click("#chat");
  await page.locator("#chat-log").waitFor({ state: "attached" });
  await page.click("#hangup");
  await page.click("#join");
  await page.locator("[data-notice=ended]").waitFor();
  assert.match(await page.locator("[data-notice=ended]").innerText(), /has expired/);
  assert.equal(await page.locator("#join").isVisible(), false);
  assert.equal(await page.locator("#chat-log").count(), 1);
});

test("a check that fails for now can be made again", async (scenario) => {
  const own = await byInvitation(scenario);
  const page = await open(scenario, "about:blank", { tolerated: /Failed to load resource/ });
  await page.route("**/invite", (route) => route.abort());
  await page.goto(await own.invite("--host"));
  await shows(page, "failed");
  assert.deepEqual(await offered(page), ["landing-retry"]);
  await page.unroute("**/invite");
  await page.click("#landing-retry");
  await shows(page, "operator");
  await page.route("**/invite", (route) =>
    route.fulfill({ status: 429, contentType: "application/problem+json", body: JSON.stringify({ code: "rate-limited" }) }),
  );
  await page.click("#new-call");
  await eventually("the reason", async () => /wait a moment/.test(await page.locator("#landing-note").innerText()) || null);
  await page.unroute("**/invite");
  await page.fill("#room-name", "x\u0007y");
  await page.click("#open-room button");
  await eventually("the reason", async () => /room name is not valid/.test(await page.locator("#landing-note").innerText()) || null);
  await page.click("#new-call");
  await enter(page);
});

test("no request has the token in its address", async (scenario) => {
  const own = await byInvitation(scenario);
  const page = await open(scenario, "about:blank");
  const urls = [];
  page.on("request", (request) => urls.push(request.url()));
  page.on("websocket", (socket) => urls.push(socket.url()));
  const link = await own.invite("--host");
  await page.goto(link);
  await page.click("#new-call");
  await enter(page);
  const tokens = [link.split("#token=")[1], new URL(page.url()).hash.slice("#token=".length)];
  assert.ok(urls.length >= 4, String(urls));
  for (const url of urls) assert.ok(!tokens.some((token) => url.split("#")[0].includes(token)), url);
});

const SIZES = {
  phone: { width: 360, height: 740 },
  "lying-phone": { width: 740, height: 360 },
  desk: { width: 1280, height: 800 },
};
for (const colorScheme of ["light", "dark"]) {
  test(`every entry fits, and axe finds nothing, in ${colorScheme}`, async (scenario) => {
    const own = await byInvitation(scenario);
    const look = { colorScheme, reducedMotion: "reduce", tolerated: /Failed to load resource/ };
    const entries = {
      closed: own.origin,
      operator: await own.invite("--host"),
      refused: `${own.origin}/#token=${signed({ operator: true, exp: now() - 60 })}`,
      failed: `${own.origin}/?failed#token=${signed({ operator: true })}`,
    };
    for (const [entry, address] of Object.entries(entries)) {
      for (const locale of ["en", "zh-CN"]) {
        const page = await open(scenario, "about:blank", { ...look, locale });
        if (entry === "failed") await page.route("**/invite", (route) => route.abort());
        await page.goto(address);
        await shows(page, entry);
        await findsNothing(page, `${entry} ${locale}`);
        for (const [size, viewport] of Object.entries(SIZES)) {
          await page.setViewportSize(viewport);
          const { scrollWidth, innerWidth } = await page.evaluate(() => ({ scrollWidth: document.documentElement.scrollWidth, innerWidth }));
          assert.ok(scrollWidth <= innerWidth, `${entry} on a ${size}`);
          await page.screenshot({ path: `${SCREENSHOTS}entry-${entry}-${size}-${colorScheme}-${locale}.png` });
        }
        await page.context().close();
      }
    }
  });
}

test("an operator's call is started by keyboard alone", async (scenario) => {
  const own = await byInvitation(scenario);
  const page = await open(scenario, await own.invite("--host"));
  await shows(page, "operator");
  await page.focus("#new-call");
  await page.keyboard.press("Enter");
  await eventually("the focus is on Join", () => page.evaluate(() => document.activeElement?.id === "join" || null));
  await page.keyboard.press("Enter");
  await page.locator("#call[data-state=joined]").waitFor();
});

test("a server that no longer requires tokens serves the page for everyone", async (scenario) => {
  const page = await open(scenario, `${server.origin}/#token=${signed({ operator: true })}`);
  await shows(page, "open");
  await page.click("#new-call");
  await enter(page);
  assert.ok(!(await page.inputValue("#room-link")).includes("token"));
});
