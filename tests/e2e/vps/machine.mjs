/**
 * A bare server: a distribution with its own systemd, booted by systemd-nspawn on a node of the
 * network. Commands enter it by nsenter.
 */
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

import { eventually } from "../browser/eventually.mjs";
import { isLeftover } from "../browser/leftovers.mjs";

const PREFIX = "byway-machine-";

/** Account with sudo, as on a machine that a provider has set up. */
const OPERATOR = "admin";

const HOMES = "/var/home";

/** Longer than a busy machine takes for it. */
const BOOT_MS = 60_000;

const ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=xterm"];

export class Machine {
  #folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  #namespace;
  #forget;
  /** Process that runs the machine. @type {import("node:child_process").ChildProcess} */ #power;
  #console = "";
  /** Process 1 of the machine, as this one sees it. */
  #init = 0;

  /**
   * Unpacks it, without a start.
   *
   * @param {string} archive What its disk holds, as a tar file.
   * @param {object} network
   * @param {string} network.namespace The path of its network namespace.
   * @param {string} network.resolver Address of its name server.
   * @param {() => void} network.forget Empties what its kernel knows of the network: switched off,
   *   a machine forgets that, but not its namespace.
   * @param {string[]} network.trusted Certificates of authorities that it trusts besides those of
   *   its distribution.
   */
  constructor(archive, { namespace, resolver, forget, trusted }) {
    [this.#namespace, this.#forget] = [namespace, forget];
    removeLeftovers();
    chmodSync(this.#folder, 0o755);
    execFileSync("tar", ["--extract", "--file", archive, "--directory", this.#folder]);
    this.write("/etc/hostname", "vps\n");
    this.write("/etc/hosts", "127.0.0.1 localhost vps\n::1 localhost\n");
    this.write("/etc/resolv.conf", `nameserver ${resolver}\n`);
    for (const file of trusted) copyFileSync(file, this.#path(`/usr/local/share/ca-certificates/${basename(file, ".pem")}.crt`));
    const inside = (...command) => execFileSync("chroot", [this.#folder, ...command], { stdio: "pipe" });
    inside("update-ca-certificates");
    inside("useradd", "--base-dir", HOMES, "--create-home", "--shell", "/bin/bash", OPERATOR);
    this.write("/etc/sudoers.d/admin", `${OPERATOR} ALL=(ALL) NOPASSWD: ALL\n`);
  }

  /** @param {string} path */
  #path(path) {
    return join(this.#folder, path);
  }

  /** @param {string} path @param {string} text */
  write(path, text) {
    mkdirSync(dirname(this.#path(path)), { recursive: true });
    rmSync(this.#path(path), { force: true });
    writeFileSync(this.#path(path), text);
  }

  /**
   * Copies a file to a path there.
   * @param {string} file
   * @param {string} path
   * @param {number} [mode]
   */
  place(file, path, mode = 0o644) {
    mkdirSync(dirname(this.#path(path)), { recursive: true });
    copyFileSync(file, this.#path(path));
    chmodSync(this.#path(path), mode);
  }

  /** Puts a file into the operator's home, as by scp. @param {string} file */
  receive(file) {
    copyFileSync(file, this.#path(join(HOMES, OPERATOR, basename(file))));
  }

  /** Switches it on, and waits until systemd has started everything. */
  async boot() {
    this.#power = spawn("systemd-nspawn", ["--quiet", "--directory", this.#folder, "--boot", "--register=no", "--keep-unit",
      "--console=pipe", `--machine=${basename(this.#folder)}`, "--resolv-conf=off", "--link-journal=no", "--capability=CAP_NET_ADMIN",
      `--network-namespace-path=${this.#namespace}`], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#power.stdout, this.#power.stderr]) stream.on("data", (text) => (this.#console += text));
    const state = await eventually("a booted machine", async () => {
      if (this.#power.exitCode !== null) throw new Error(`systemd-nspawn ended with ${this.#power.exitCode}:\n${this.#console}`);
      [this.#init] = childrenOf(this.#power.pid);
      const state = this.#init && (await this.try("systemctl", "is-system-running"));
      return ["running", "degraded"].includes(state) ? state : null;
    }, BOOT_MS, 50);
    if (state === "degraded") throw new Error(`units failed at boot:\n${await this.try("systemctl", "--failed", "--no-legend")}`);
  }

  /** As an operator does it: services are stopped, the machine goes down and comes up. */
  async reboot() {
    const down = once(this.#power, "exit");
    await this.try("systemctl", "reboot");
    await down;
    this.#forget();
    await this.boot();
  }

  /**
   * Runs a command as root, and gives what it prints.
   * @param {string[]} command
   */
  async run(...command) {
    const { stdout } = await promisify(execFile)("nsenter", [...this.#enter(), ...command]);
    return stdout.trim();
  }

  /** The same, also if it fails. @param {string[]} command */
  async try(...command) {
    return this.run(...command).catch(({ stdout }) => String(stdout).trim());
  }

  /**
   * Runs a command as root that may fail or hang. Gives its exit status and what it prints.
   * @param {string[]} command
   */
  ask(...command) {
    return run("nsenter", ...this.#enter(), ...command);
  }

  /**
   * Types a line in the operator's shell, at a terminal, and answers what it asks. Returns what the
   * terminal showed.
   *
   * @param {string} line
   * @param {(question: string) => string} [answer] To what stands before the cursor.
   */
  async type(line, answer = (question) => { throw new Error(`it asks: ${question}`); }) {
    const terminal = ["script", "--quiet", "--flush", "--return", "--command", line, "/dev/null"];
    const child = spawn("nsenter", [...this.#enter(), "runuser", "--login", OPERATOR, "--command", terminal.map(quoted).join(" ")],
      { stdio: ["pipe", "pipe", "pipe"] });
    let shown = "";
    let failure;
    /** Earliest beginning of the next question. */
    let asked = 0;
    const look = (text) => {
      shown += text;
      const question = shown.slice(asked).split("\n").at(-1);
      if (!QUESTION.test(question)) return;
      asked = shown.length;
      try {
        child.stdin.write(`${answer(question.trim())}\n`);
      } catch (error) {
        failure ??= error;
        child.kill();
      }
    };
    child.stdout.on("data", look);
    child.stderr.on("data", (text) => (shown += text));
    const [code] = await once(child, "close");
    if (failure ?? code) throw failure ?? new Error(`\`${line}\` ended with ${code}:\n${shown}`);
    return shown.replaceAll("\r", "");
  }

  /** Journal of a unit since the boot. @param {string} unit */
  journal(unit) {
    return this.try("journalctl", "--boot", "--no-pager", "--output=short-precise", "--unit", unit);
  }

  /** Pulls the plug, and throws it away. */
  async scrap() {
    if (this.#power && this.#power.exitCode === null && this.#power.signalCode === null) {
      const off = once(this.#power, "exit");
      // Its process 1 takes all others with it.
      if (this.#init) process.kill(this.#init, "SIGKILL");
      else this.#power.kill("SIGKILL");
      await off;
    }
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  /** Words before a command that is to run there. */
  #enter() {
    return ["--target", String(this.#init), "--all", "env", "--ignore-environment", ...ENVIRONMENT];
  }
}

/**
 * Runs a command to its end, whatever that is.
 *
 * @param {string[]} command
 * @returns {Promise<{ code: number | string, printed: string, said: string }>} `said`: what it says
 *   on standard error.
 */
export function run(...[program, ...parameters]) {
  return new Promise((resolve) => {
    execFile(program, parameters, { timeout: PATIENCE_MS, maxBuffer: 1 << 24 }, (error, printed, said) =>
      resolve({ code: error ? (error.code ?? error.signal) : 0, printed, said }));
  });
}

/** Longer than any command takes, also one that waits for what does not come. */
const PATIENCE_MS = 60_000;

/** An end of a line at which a program waits. */
const QUESTION = /\S.*[?:\]] $/;

/** @param {string} word */
const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;

/** @param {number} pid */
function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return []; // It has ended.
  }
}

/** Of runs that were killed. What ran in them the network's own removal has ended. */
function removeLeftovers() {
  const left = readdirSync(tmpdir()).filter((name) => isLeftover(name, PREFIX));
  for (const name of left) rmSync(join(tmpdir(), name), { recursive: true, force: true });
}
