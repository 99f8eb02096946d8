/**
 * Declarations of byway.js for TypeScript: one file, made from the JSDoc of its modules.
 *
 *     npm run declarations     writes static/byway.d.ts again
 */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import ts from "typescript";

export const fileOf = (name) => fileURLToPath(new URL(`../../../static/${name}`, import.meta.url));

/** As strict as it gets, for what runs in a browser. */
export const OPTIONS = {
  strict: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  lib: ["lib.es2023.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
  types: [],
};

/**
 * The compiler's complaints of a program, a line each.
 * @param {string[]} files
 * @param {import("typescript").CompilerOptions} [more]
 */
export function complaints(files, more = {}) {
  const program = ts.createProgram(files, { ...OPTIONS, ...more, noEmit: true });
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const place = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start);
    const where = place ? `${diagnostic.file.fileName}:${place.line + 1}: ` : "";
    return where + ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
  });
}

const HEAD = `/**
 * Types of byway.js, generated from the JSDoc of its modules by
 * tests/e2e/browser/declarations.mjs. docs/client.md explains how to use them.
 *
 * @module byway
 */
`;

/** Required contents of static/byway.d.ts. */
export function declarations() {
  const modules = emit();
  const known = new Map(modules.flatMap((module) => [...declaredIn(module)]));
  const door = modules.find(({ fileName }) => fileName.endsWith("/byway.d.ts"));
  const exported = exportedBy(door);

  const needed = new Set(exported);
  for (const name of needed) {
    for (const other of namesIn(known.get(name))) if (known.has(other)) needed.add(other);
  }
  const declared = [...needed].sort().map((name) => textOf(known.get(name)));
  return [HEAD, ...declared, `export { ${exported.sort().join(", ")} };\n`].join("\n");
}

/** The declarations of every module, as the compiler makes them. */
function emit() {
  const program = ts.createProgram([fileOf("byway.js")], {
    ...OPTIONS,
    allowJs: true,
    checkJs: true,
    declaration: true,
    emitDeclarationOnly: true,
    outDir: "/declarations",
  });
  const modules = [];
  program.emit(undefined, (name, text) => modules.push(ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true)));
  return modules;
}

/** The statements that declare something, by its name. */
function* declaredIn({ fileName, statements }) {
  if (fileName.endsWith("/byway.d.ts")) return;
  for (const statement of statements) {
    // Mere names for what another module declares.
    if (ts.isTypeAliasDeclaration(statement) && ts.isImportTypeNode(statement.type)) continue;
    if (statement.name) yield [statement.name.text, statement];
  }
}

/** Names that the entry module exports. */
function exportedBy({ statements }) {
  return statements.flatMap((statement) =>
    ts.isExportDeclaration(statement) ? statement.exportClause.elements.map(({ name }) => name.text) : [statement.name.text],
  );
}

function namesIn(node) {
  const names = [];
  const visit = (inner) => {
    if (ts.isIdentifier(inner)) names.push(inner.text);
    inner.forEachChild(visit);
  };
  visit(node);
  return names;
}

/**
 * A statement with its own comment: others before it are of what TypeScript has its own words for.
 */
function textOf(statement) {
  const source = statement.getSourceFile().text;
  const comment = statement.jsDoc?.at(-1);
  const declaration = source
    .slice(statement.getStart(), statement.end)
    .replace(/^export (?=class|function|const)/, "declare ")
    .replace(/^export /, "")
    .replace(/import\("[^"]+"\)\./g, "");
  return withoutTypes(`${comment ? `${comment.getText()}\n` : ""}${declaration}`) + "\n";
}

/** Types in comments are for JavaScript, and so are tags that say nothing else. */
function withoutTypes(text) {
  return text.replace(/^( *)\/\*\*(.*?)\*\/\n/gms, (_, indent, comment) => {
    const said = comment
      .replace(/^ *\* ?/gm, "")
      .replace(/@template \{[^}]*\} \w+/g, "")
      .replace(/(@\w+) \{(?:[^{}]|\{[^{}]*\})*\}/g, (_, tag) => (["@param", "@returns"].includes(tag) ? tag : ""))
      .replace(/@(param \[?\w+\]?|returns) *(?=\n|$|@)/g, "")
      .replace(/\n{2,}/g, "\n\n")
      .trim();
    if (!said) return "";
    const lines = said.split("\n").map((line) => `${indent} * ${line}`.trimEnd());
    return lines.length > 1 ? `${indent}/**\n${lines.join("\n")}\n${indent} */\n` : `${indent}/** ${said} */\n`;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(fileOf("byway.d.ts"), declarations());
