/**
 * Cells of the table: what the log, doctor, probe and page say of a fault.
 *
 * @typedef {"named" | "partly" | "silent" | "works" | "closed"} Word
 *   `named`: by the fault's name, with the remedy. `partly`: it is seen, under another name or
 *   without that remedy. `silent`: nothing. `works`: what it tests does work. `closed`: the page
 *   does not open.
 */

/**
 * @typedef {object} Cell
 * @property {Word} word
 * @property {string} said What was said, for a person who looks into a failure.
 * @property {string} [instead] Name of another fault, or the browser's own error.
 */

/**
 * Expectation of a cell.
 * @typedef {object} Asked
 * @property {string} name Name of the fault.
 * @property {RegExp} remedy
 * @property {RegExp} [log] What the log calls it, where it does not name it.
 */

/**
 * Finding of doctor, probe or page.
 * @typedef {{ fault: string | null, state: string, what: string, remedy: string }} Finding
 */

/** @param {string[]} lines @param {Asked} asked @returns {Cell} */
export function logCell(lines, { name, remedy, log }) {
  const said = lines.join("\n");
  const naming = lines.filter((line) => line.includes(`explain ${name}`) || log?.test(line));
  if (naming.some((line) => remedy.test(line)) || (naming.length > 0 && remedy.test(said))) return { word: "named", said };
  return { word: lines.length ? "partly" : "silent", said };
}

/**
 * @param {Finding[]} findings
 * @param {Asked} asked
 * @param {boolean} isGreen Whether the whole of it says that all is well.
 * @returns {Cell}
 */
export function findingsCell(findings, { name, remedy }, isGreen) {
  const said = findings.map((each) => JSON.stringify(each)).join("\n");
  const bad = findings.filter(({ state }) => state === "failed" || state === "warning");
  const named = bad.filter(({ fault }) => fault === name);
  if (named.some((each) => remedy.test(each.remedy))) return { word: "named", said };
  if (named.length) return { word: "partly", said: `the remedy of ${name} is not ${remedy}:\n${said}` };
  const other = bad.find(({ fault }) => fault)?.fault ?? undefined;
  if (bad.length) return { word: "partly", said, instead: other };
  return { word: isGreen ? "works" : "silent", said };
}

/** Findings in the JSON of `byway doctor`. @param {string} printed @returns {Finding[]} */
export const findingsOfDoctor = (printed) => listIn(printed).filter(({ state }) => state);

/**
 * Findings in the JSON of `byway probe`. A row without a fault worked, or was skipped.
 * @param {string} printed @returns {Finding[]}
 */
export const findingsOfProbe = (printed) =>
  listIn(printed).map(({ fault = null, ok, state, what, url, trouble, remedy }) => ({
    fault, state: state ?? (ok ? "ok" : "failed"), what: [what ?? url, trouble].filter(Boolean).join(": "), remedy: remedy ?? "",
  }));

/** @param {string} printed */
function listIn(printed) {
  const json = JSON.parse(printed);
  return Array.isArray(json) ? json : (json.findings ?? json.rows);
}

/**
 * Opens the page's check as a visitor.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {Asked} asked
 * @param {import("playwright-core").BrowserContextOptions} [options]
 * @returns {Promise<Cell>}
 */
export async function pageCell(browser, url, asked, options = {}) {
  const context = await browser.newContext(options);
  try {
    const page = await context.newPage();
    const refused = await page.goto(url, { timeout: OPEN_MS }).then((response) => (response.ok() ? "" : `HTTP ${response.status()}`), (error) => /net::(\w+)/.exec(error.message)?.[1] ?? "no answer");
    if (refused) return { word: "closed", said: refused, instead: refused };
    await page.locator("main[data-state=done]").waitFor({ timeout: PAGE_MS });
    const [findings, verdict] = await page.evaluate(() => [
      [...document.querySelectorAll("[data-check]")].map((each) => ({
        fault: each.dataset.fault ?? null, state: each.dataset.state, what: each.querySelector(".what").innerText,
        remedy: [...each.querySelectorAll(".remedy")].map((it) => it.innerText).join("\n"),
      })),
      document.querySelector("main").dataset.verdict,
    ]);
    const cell = findingsCell(findings, asked, verdict === "ok" || verdict === "limited");
    return { ...cell, said: `verdict ${verdict}\n${cell.said}` };
  } finally {
    await context.close();
  }
}

/** Patience of a visitor. */
const OPEN_MS = 8_000;

/** Longer than the page takes where nothing answers. */
const PAGE_MS = 60_000;
