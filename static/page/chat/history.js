/** History for a member who joins late. Without the DOM, for fast tests. */

import { isId, readText, visible } from "./limits.js";

/**
 * Entry of the log.
 * @typedef {object} Entry
 * @property {string} id
 * @property {"text" | "file" | "event"} kind
 * @property {{ own: boolean, name: string, mark?: string }} from `name`: the member's choice, may
 *   be empty. `mark`: what tells it from another of that name.
 * @property {number} at Time as of `Date.now()` by the own clock.
 * @property {string} [text]
 * @property {import("./files/transfer.js").Transfer} [transfer]
 * @property {string | null} [to] Name of the only receiver of a private message; empty: this page.
 * @property {string | null} [told] Name of the member who told the entry, if not its author.
 * @property {Set<import("../person.js").Person>} [waiting] Receivers that have not got it yet.
 * @property {Set<string>} [missed] Names of receivers that left before they got it.
 */

/**
 * Line of a history on the wire. `ago`: its age in milliseconds, since clocks differ. `mine`: the
 * teller wrote it.
 * @typedef {{ id: string, name: string, text: string, ago: number, mine?: true }} Line
 */

/** Entries of a history. */
const MAX_LINES = 200;
/** Bytes of a history. */
const MAX_BYTES = 64 * 1024;
/** Oldest age that is believed. */
const MAX_AGE_MS = 7 * 24 * 3_600_000;
/** Longest name that the server allows, in UTF-16 units. */
const MAX_NAME = 128;

/**
 * Returns the last public texts, oldest first. Private messages and files are in no history.
 * @param {readonly Entry[]} entries
 * @param {number} [now]
 * @returns {Line[]}
 */
export function historyOf(entries, now = Date.now()) {
  /** @type {Line[]} */
  const lines = [];
  let bytes = 0;
  const encoder = new TextEncoder();
  for (let index = entries.length - 1; index >= 0 && lines.length < MAX_LINES; index -= 1) {
    const { id, kind, from, at, text, to } = entries[index];
    if (kind !== "text" || text === undefined || isPrivate(to)) continue;
    /** @type {Line} */
    const line = { id, name: from.name, text, ago: Math.max(0, now - at), ...(from.own && { mine: /** @type {const} */ (true) }) };
    bytes += encoder.encode(JSON.stringify(line)).length + 1;
    if (bytes > MAX_BYTES) break;
    lines.push(line);
  }
  return lines.reverse();
}

/** @param {string | null | undefined} to */
export const isPrivate = (to) => to !== undefined && to !== null;

/**
 * Reads the history that a member sent. What is no line of a Byway page is left out.
 * @param {unknown} lines
 * @param {{ teller: string, now?: number }} options `teller`: name of that member.
 * @returns {Entry[]}
 */
export function readHistory(lines, { teller, now = Date.now() }) {
  if (!Array.isArray(lines)) return [];
  return lines.slice(-MAX_LINES).flatMap((line) => {
    const text = readText(line?.text);
    const { id, name, ago, mine } = line ?? {};
    if (text === null || !isId(id) || typeof name !== "string" || name.length > MAX_NAME || !Number.isFinite(ago)) return [];
    const at = now - Math.min(Math.max(0, ago), MAX_AGE_MS);
    const isOfTeller = mine === true;
    const from = { own: false, name: isOfTeller ? teller : visible(name) };
    return [{ id, kind: /** @type {const} */ ("text"), from, at, text, told: isOfTeller ? null : teller }];
  });
}

/**
 * Returns the index of the entry to drop from a log that is full: the oldest of who has the most,
 * so that a flood drops its own lines. Files that are under way stay. -1: there is none.
 * @param {readonly Entry[]} entries
 */
export function indexToDrop(entries) {
  /** @type {Map<string, { first: number, count: number }>} */
  const authors = new Map();
  for (const [index, { from, told, transfer }] of entries.entries()) {
    if (transfer && !transfer.isOver) continue;
    const author = from.own ? "" : `${told ?? from.name + (from.mark ?? "")}.`;
    const { first = index, count = 0 } = authors.get(author) ?? {};
    authors.set(author, { first, count: count + 1 });
  }
  const [most] = [...authors.values()].sort((one, other) => other.count - one.count);
  return most ? most.first : -1;
}

/**
 * Whether two entries would look the same. A repeat is dropped only then, so that no member can
 * suppress the message of another by its id.
 * @param {Entry} one
 * @param {Entry} other
 */
export function isSame(one, other) {
  if (one.id !== other.id || one.text !== other.text || isPrivate(one.to) !== isPrivate(other.to)) return false;
  return one.from.own || other.from.own || one.from.name === other.from.name;
}

/**
 * Inserts the entries of a history that a log lacks. Neither order changes: a told entry comes
 * behind the one that it follows there. Those behind the last common entry come at `mark`.
 * @param {Entry[]} entries Changed in place.
 * @param {readonly Entry[]} told Oldest first.
 * @param {Entry | null} mark First entry since this member joined, or null.
 * @returns {Entry[]} Entries that were inserted.
 */
export function mergeHistory(entries, told, mark) {
  /** @type {(entry: Entry) => number} */
  const find = (entry) => entries.findIndex((candidate) => isSame(candidate, entry));
  const known = told.map((entry) => find(entry) >= 0);
  const lastKnown = known.lastIndexOf(true);
  const inserted = [];
  let position = lastKnown < 0 ? 0 : find(told[known.indexOf(true)]);
  for (const [index, entry] of told.entries()) {
    if (index === lastKnown + 1) {
      const joined = mark ? entries.indexOf(mark) : entries.length;
      position = Math.max(position, joined);
    }
    const at = find(entry);
    if (at < 0) {
      entries.splice(position, 0, entry);
      inserted.push(entry);
    }
    position = Math.max(position, at < 0 ? position + 1 : at + 1);
  }
  return inserted;
}
