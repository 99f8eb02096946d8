/**
 * A certificate authority that the browsers are told to trust, as an administrator tells them: so
 * names and issuers are verified as everywhere, for pages and for TURN, and no flag waves anything
 * through.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { isLeftover } from "./leftovers.mjs";

const PREFIX = "byway-authority-";

export class Authority {
  #folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  /** Number of the next file that the folder gets more than once. */
  #count = 0;
  /** @type {string[]} */ #others = [];

  constructor() {
    removeLeftovers();
    this.#openssl("req", "-x509", ...NEW_KEY, "-days", String(DAYS), "-subj", "/CN=Authority of Byway's tests", "-keyout", "ca-key.pem", "-out", "ca.pem");
  }

  /**
   * A certificate for one name: the paths of its two files.
   *
   * @param {string} [name]
   * @param {number} [days] For how long; 0: it expires within the second.
   * @returns {{ cert: string, key: string }}
   */
  issue(name = "localhost", days = DAYS) {
    // A pair of its own each time: a server watches its files, and another of the same name may be
    // running.
    const number = (this.#count += 1);
    const [cert, key, request] = ["cert", "key", "request"].map((part) => `${name}-${number}-${part}.pem`);
    this.#openssl("req", ...NEW_KEY, "-subj", "/CN=Byway", "-addext", `subjectAltName=DNS:${name}`,
      "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", request);
    this.#openssl("x509", "-req", "-in", request, "-copy_extensions", "copy", "-CA", "ca.pem", "-CAkey", "ca-key.pem",
      "-days", String(days), "-out", cert);
    return { cert: join(this.#folder, cert), key: join(this.#folder, key) };
  }

  /**
   * A certificate for one name from an authority in between, whose own certificate is missing in
   * the file, as where an administrator names the wrong one.
   *
   * @param {string} name
   */
  issueByIntermediate(name) {
    const number = (this.#count += 1);
    const file = (/** @type {string} */ part) => `${name}-${number}-${part}.pem`;
    const [between, betweenKey, cert, key, request] = ["between", "between-key", "cert", "key", "request"].map(file);
    const days = ["-days", String(DAYS)];
    this.#openssl("req", ...NEW_KEY, "-subj", "/CN=Authority in between", "-addext", "basicConstraints=critical,CA:TRUE",
      "-addext", "keyUsage=critical,keyCertSign", "-keyout", betweenKey, "-out", request);
    this.#openssl("x509", "-req", "-in", request, "-copy_extensions", "copy", "-CA", "ca.pem", "-CAkey", "ca-key.pem", ...days, "-out", between);
    this.#openssl("req", ...NEW_KEY, "-subj", "/CN=Byway", "-addext", `subjectAltName=DNS:${name}`,
      "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", request);
    this.#openssl("x509", "-req", "-in", request, "-copy_extensions", "copy", "-CA", between, "-CAkey", betweenKey, ...days, "-out", cert);
    return { cert: join(this.#folder, cert), key: join(this.#folder, key) };
  }

  /** A certificate for one name that is signed by itself. @param {string} name */
  issueBySelf(name) {
    const number = (this.#count += 1);
    const [cert, key] = ["cert", "key"].map((part) => `${name}-${number}-${part}.pem`);
    this.#openssl("req", "-x509", ...NEW_KEY, "-days", String(DAYS), "-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`,
      "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert);
    return { cert: join(this.#folder, cert), key: join(this.#folder, key) };
  }

  /**
   * Has all who trust this authority trust another one, too. Browsers that run already do not.
   * @param {string} file Its certificate.
   */
  vouchFor(file) {
    this.#others.push(file);
  }

  /** A home directory whose user trusts this authority, as Chromium sees it. */
  home() {
    this.#trustIn(join(this.#folder, ".pki", "nssdb"));
    return this.#folder;
  }

  /**
   * A script that starts Firefox by this command, and first puts this authority into the profile
   * that playwright has made, where no preference can put it.
   *
   * @param {string[]} command
   */
  introduceTo(command) {
    const database = join(this.#folder, "firefox");
    this.#trustIn(database);
    return this.script("firefox", command, INTRODUCTION.replace("DATABASE", database));
  }

  /**
   * A script that runs a command with the parameters that it is given: playwright wants one path.
   *
   * @param {string} name
   * @param {string[]} command
   * @param {string} [before] What it does first.
   */
  script(name, command, before = "") {
    const path = join(this.#folder, `${name}-${(this.#count += 1)}.sh`);
    const quoted = command.map((word) => `'${word}'`).join(" ");
    writeFileSync(path, `#!/bin/sh\n${before}exec ${quoted} "$@"\n`, { mode: 0o755 });
    return path;
  }

  /** The path of its own certificate, for programs that take a list of trusted authorities. */
  get file() {
    return join(this.#folder, "ca.pem");
  }

  forget() {
    // Browsers keep files in it open for a while.
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  /** @param {string} database Both browsers keep whom they trust in one of NSS. */
  #trustIn(database) {
    if (existsSync(database)) return;
    mkdirSync(database, { recursive: true });
    const certutil = (...parameters) => execFileSync("certutil", ["-d", `sql:${database}`, ...parameters], { stdio: "pipe" });
    certutil("-N", "--empty-password");
    for (const file of [this.file, ...this.#others]) certutil("-A", "-n", file, "-t", "C,,", "-i", file);
  }

  #openssl(...parameters) {
    execFileSync("openssl", parameters, { cwd: this.#folder, stdio: "pipe" });
  }
}

/** Longer than any test. */
const DAYS = 2;

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

const INTRODUCTION = `for word; do
  if [ "$before" = --profile ]; then cp "DATABASE"/* "$word"; fi
  before=$word
done
`;

/** Of runs that were killed: each has the key of an authority in it. */
function removeLeftovers() {
  const left = readdirSync(tmpdir()).filter((name) => isLeftover(name, PREFIX));
  for (const name of left) rmSync(join(tmpdir(), name), { recursive: true, force: true });
}
