/** Links in a message. Without the DOM, for fast tests. */

/**
 * Part of a message: plain text, or a link with the text that shows it.
 * @typedef {string | { href: string, shown: string }} Part
 */

/**
 * Web addresses. They end at spaces, quotes, brackets of markup, punctuation of Chinese, and
 * invisible characters, which could hide where a link leads.
 */
const ADDRESS = /\bhttps?:\/\/[^\s<>"`\u3000-\u3002\u3008-\u3011\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\u2018-\u201f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+/giu;
const TRAILING = /[.,;:!?'*_~…]$/;
const BRACKETS = { ")": "(", "]": "[", "}": "{" };

/**
 * Splits a message into text and links. Only `http:` and `https:` become links.
 * @param {string} text
 * @returns {Part[]}
 */
export function splitLinks(text) {
  /** @type {Part[]} */
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const typed = withoutTrailing(found);
    const link = linkOf(typed);
    if (!link) continue;
    if (index > end) parts.push(text.slice(end, index));
    parts.push(link);
    end = index + typed.length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts;
}

/** Leaves the punctuation of the sentence out of the address. @param {string} address */
function withoutTrailing(address) {
  /** @param {string} character */
  const count = (character) => address.split(character).length - 1;
  // Counted once: a message of nothing but brackets must not take long.
  const surplus = new Map(Object.entries(BRACKETS).map(([closing, opening]) => [closing, count(closing) - count(opening)]));
  for (let end = address.length; ; end -= 1) {
    const last = address[end - 1];
    const more = surplus.get(last) ?? 0;
    if (more <= 0 && !TRAILING.test(last)) return address.slice(0, end);
    surplus.set(last, more - 1);
  }
}

/**
 * Returns the link of an address. Its text has the host in ASCII, so that letters of other scripts
 * that look alike are seen. Addresses with a user name are no links: they look like another host.
 * @param {string} typed
 * @returns {{ href: string, shown: string } | null}
 */
function linkOf(typed) {
  const url = parse(typed);
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || !url.host) return null;
  const shown = typed.replace(/^https?:\/\/[^/\\?#]*/i, `${url.protocol}//${url.host}`);
  return { href: url.href, shown: parse(shown)?.href === url.href ? shown : url.href };
}

/** @param {string} address */
function parse(address) {
  try {
    return new URL(address);
  } catch {
    return null; // for example without a host
  }
}
