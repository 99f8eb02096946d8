/**
 * README's "On a server", as it stands there: on a bare machine with a systemd of its own, from the
 * package to a call between two people behind NATs, with a certificate from an authority on this
 * internet. Then what happens to a server over the years, each with the gap that it tears into the
 * call and into the service.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { afterwards } from "../browser/afterwards.mjs";
import { authority } from "../browser/browsers.mjs";
import { statistics, videoFlows } from "../browser/connections.mjs";
import { eventually } from "../browser/eventually.mjs";
import { enter, peers } from "../browser/page.mjs";
import { UNREACHABLE } from "../browser/visit.mjs";
import { longestGap, watchMedia } from "../lab/media.mjs";
import { Network, PUBLIC, serversIn } from "../lab/network.mjs";
import { openLab } from "../lab/open.mjs";
import { goesOn } from "../lab/scenarios/in-the-middle/call.mjs";
import { Availability } from "./availability.mjs";
import { CertificateAuthority } from "./certificate-authority.mjs";
import { Machine } from "./machine.mjs";
import { documented, publish } from "./operations.mjs";
import { PACKAGE, laterPackage } from "./package.mjs";
import { commands } from "./readme.mjs";

const ADDRESSES = serversIn(PUBLIC);
const [CA] = ADDRESSES.other;

/** Name of the server, as README has it. */
const NAME = "call.example.org";

/** Answers of an operator to the questions of `byway init`, by what they ask. */
const ANSWERS = [
  [/name/i, NAME],
  [/mail/i, "operator@example.org"],
  [/callers|who/i, "token"],
];

/** Promises of README. */
const [MOST_COMMANDS, MOST_ANSWERS, MOST_MS] = [4, 3, 120_000];

/**
 * Messages of browsers about a server that is gone, or about to go. The page finds out which by a
 * request without a token.
 */
const OUT_OF_SERVICE = new RegExp(`${UNREACHABLE.source}|status of (401|503)`);

/**
 * A server that is stopped lets calls end for 30 s, and Chromium keeps the address of a name for
 * 60 s.
 */
const HEALING_MS = 120_000;

const network = new Network({}, { prefixes: PUBLIC, resolver: CA });
const lab = openLab(network);

test("on a server, as README says", async (story) => {
  const machine = await provide(story);
  const service = new Availability(network.on("other"), NAME, machine.authority.root);
  afterwards(story, () => service.end());

  /** A part of the story. The server's own log explains one that fails. */
  const part = (name, run) =>
    story.test(name, async () => {
      try {
        await run();
      } catch (error) {
        story.diagnostic(await machine.journal("byway"));
        throw error;
      }
    });

  const installation = { commands: 0, answers: 0, seconds: 0 };
  /** @type {import("playwright-core").Page[]} */ let pages = [];
  await part("from the package to a call", async () => {
    const started = performance.now();
    const link = await install(machine, installation);
    pages = await call(story, link);
    installation.seconds = (performance.now() - started) / 1000;

    story.diagnostic(`${installation.commands} commands, ${installation.answers} answers, ${installation.seconds.toFixed(1)} s`);
    assert.ok(installation.commands <= MOST_COMMANDS && installation.answers <= MOST_ANSWERS, JSON.stringify(installation));
    assert.ok(installation.seconds * 1000 < MOST_MS, `it took ${installation.seconds} s`);
  });
  if (!pages.length) return;

  /** @type {[string, import("./operations.mjs").Gaps][]} */ const measured = [];
  let disturbances = 0;
  const disturbed = (what, disturb, { spared = false } = {}) => {
    disturbances += 1;
    return part(what, async () => {
      await flows(pages);
      const before = await Promise.all(pages.map(pathOf));
      await watchMedia(...pages);
      await service.gaps();
      await disturb();
      await flows(pages);
      const { callers, stun } = await served(service);
      const gaps = { media: await longestGap(...pages), callers, stun };
      measured.push([what, gaps]);
      story.diagnostic(`${what}: ${JSON.stringify(gaps)}`);
      if (spared) assert.deepEqual(await Promise.all(pages.map(pathOf)), before, "the call noticed nothing");
    });
  };

  await disturbed("none, for comparison", () => videoFlows(...pages), { spared: true });
  await disturbed("`systemctl reload byway`", () => machine.run("systemctl", "reload", "byway"), { spared: true });
  await disturbed("a renewal of the certificate", async () => {
    const before = await certificateOf(machine);
    await machine.authority.suggestRenewal();
    await machine.run("systemctl", "reload", "byway");
    await eventually("another certificate", async () => (await certificateOf(machine)) !== before || null, HEALING_MS);
  }, { spared: true });
  await disturbed("another IPv4 address, in the name server at once", async () => {
    const addresses = [network.renumber("server"), ...ADDRESSES.server.filter((address) => address.includes(":"))];
    await machine.authority.name(NAME, addresses);
  });
  await disturbed("the server is killed (`kill -9`)", async () => {
    const before = await pidOf(machine);
    await machine.run("kill", "-KILL", before);
    await eventually("another process", async () => (await isActive(machine)) && (await pidOf(machine)) !== before, HEALING_MS);
  });
  await disturbed("an upgrade of the package", async () => {
    const before = await pidOf(machine);
    const { file, version } = laterPackage(story);
    machine.receive(file);
    await machine.type(`sudo dpkg -i ${file.split("/").at(-1)}`);
    assert.equal(await machine.run("dpkg-query", "--show", "--showformat=${Version}", "byway"), version);
    await eventually("another process", async () => (await isActive(machine)) && (await pidOf(machine)) !== before, HEALING_MS);
  });
  await disturbed("a reboot", () => machine.reboot());

  if (measured.length < disturbances) return;
  if (process.env.PUBLISH) publish(installation, measured);
  assert.deepEqual(documented(), measured.map(([what]) => what), "docs/operations.md: run tests/e2e/vps/all");
});

/**
 * A machine as a provider hands it over, on an internet with a certificate authority. Its firewall
 * allows SSH alone.
 *
 * @param {import("node:test").TestContext} story
 */
async function provide(story) {
  await lab.arrange({ a: { nat: "sym" }, b: { nat: "sym" } });
  const certificates = new CertificateAuthority(network, "other", CA);
  afterwards(story, () => certificates.stop());
  await certificates.start();
  await certificates.name(NAME, ADDRESSES.server);
  authority.vouchFor(certificates.root);

  const machine = new Machine(process.env.BARE_SERVER, {
    namespace: network.namespace("server"),
    resolver: CA,
    forget: () => network.run("server", "nft", "flush", "ruleset"),
    trusted: [authority.file, certificates.root],
  });
  afterwards(story, () => machine.scrap());
  await machine.boot();
  await machine.run("ufw", "allow", "22/tcp");
  await machine.run("ufw", "--force", "enable");
  machine.receive(PACKAGE);
  return Object.assign(machine, { authority: certificates });
}

/**
 * Types README's commands. Returns the link that they print.
 *
 * @param {Machine} machine
 * @param {import("./operations.mjs").Installation} counted
 */
async function install(machine, counted) {
  let shown = "";
  const type = async (line) => {
    counted.commands += 1;
    shown += await machine.type(line, (question) => {
      counted.answers += 1;
      const [, answer] = ANSWERS.find(([about]) => about.test(question)) ?? [];
      if (answer === undefined) throw new Error(`README says nothing of this question: ${question}`);
      return answer;
    });
  };
  for (const line of commands()) await type(line);
  const firewall = [...shown.matchAll(/^\s*(sudo ufw allow .*)$/gm)].map(([, line]) => line);
  assert.deepEqual(firewall, commands().filter((line) => line.includes("ufw")), "README opens the ports that `byway init` names");
  const link = shown.split(/\s/).find((word) => word.startsWith(`https://${NAME}/`));
  assert.ok(link, `no link in:\n${shown}`);
  return link;
}

/**
 * The operator opens the link, starts a call and invites a guest from the page, as a person does.
 * @param {import("node:test").TestContext} story
 * @param {string} link
 */
async function call(story, link) {
  const operator = await lab.open(story, "a", link, { tolerated: OUT_OF_SERVICE });
  await operator.locator("#landing[data-entry=operator] #new-call").click();
  await enter(operator);
  await operator.click("#people");
  const invitation = operator.locator(".invitation input");
  const forGuest = await eventually("a link for a guest", async () => (await invitation.inputValue()).includes("#token=") && invitation.inputValue());
  const guest = await lab.join(story, "b", forGuest, { tolerated: OUT_OF_SERVICE });

  const pages = [operator, guest];
  await Promise.all(pages.map((page) => peers(page, 1)));
  await videoFlows(...pages);
  const ends = await Promise.all(pages.map(statistics));
  assert.ok(ends.some(({ local }) => local === "relay"), "two symmetric NATs need the relay");
  return pages;
}

/** Fingerprint of the certificate that the server presents. @param {Machine} machine */
const certificateOf = (machine) =>
  machine.run("sh", "-c", `openssl s_client -connect localhost:443 -servername ${NAME} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint`);

/** Waits until the call is there again, for as long as it may take. */
const flows = (pages) => eventually("pictures and an echo", () => goesOn(pages).then(() => true, () => null), HEALING_MS);

/**
 * Waits until the service answers again, and gives its gaps until then.
 * @param {Availability} service
 */
async function served(service) {
  const gaps = await service.gaps();
  return eventually("answers over HTTPS and UDP", async () => {
    const since = await service.gaps();
    for (const what of ["callers", "stun"]) gaps[what] = Math.max(gaps[what], since[what]);
    return Math.max(since.callers, since.stun) < ANSWERED_MS ? gaps : null;
  }, HEALING_MS, ANSWERED_MS);
}

/** Longer than a busy machine takes to answer. */
const ANSWERED_MS = 500;

/** Connection and pair that carry a call. @param {import("playwright-core").Page} page */
const pathOf = async (page) => {
  const found = await statistics(page);
  return found && { number: found.number, pair: found.pair };
};

const isActive = async (machine) => (await machine.try("systemctl", "is-active", "byway")) === "active" || null;
const pidOf = (machine) => machine.run("systemctl", "show", "--property=MainPID", "--value", "byway");
