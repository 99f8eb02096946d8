/** The configuration of the server under test, as `byway init` writes it for a public machine. */

/** Keys such as "relay.ports", each with its value. @typedef {Record<string, unknown>} Settings */

/**
 * @param {Settings} base
 * @param {Settings} settings Those that differ; undefined: the key is left out.
 */
export function toml(base, settings) {
  /** @type {Map<string, string[]>} */ const sections = new Map([["", []]]);
  for (const [path, value] of Object.entries({ ...base, ...settings })) {
    const [key, section = ""] = path.split(".").reverse();
    if (!sections.has(section)) sections.set(section, []);
    // Texts, numbers and lists of them are written as in JSON.
    if (value !== undefined) sections.get(section).push(`${key} = ${JSON.stringify(value)}`);
  }
  return [...sections].map(([section, lines]) => [...(section ? [`[${section}]`] : []), ...lines, ""].join("\n")).join("\n");
}
