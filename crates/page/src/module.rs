//! One JavaScript module: its imports, its exports, and its code without them.

use std::collections::BTreeMap;

use crate::lexer::{Gap, Kind, Token, tokens};
use crate::{Fault, fault, paths};

/// Parsed module.
#[derive(Debug)]
pub(crate) struct Module<'a> {
    /// Path from the folder of the document, such as `byway/call.js`.
    pub(crate) path: String,
    /// Static imports, in their order.
    pub(crate) imports: Vec<Import<'a>>,
    /// Names for other modules.
    pub(crate) exports: BTreeMap<&'a str, Export<'a>>,
    /// Modules that `import("...")` loads later.
    pub(crate) lazy: Vec<Lazy>,
    tokens: Vec<Token<'a>>,
    /// Ranges of tokens that linking takes out.
    removed: Vec<std::ops::Range<usize>>,
}

/// `import { name as local } from "./path.js"`, `import * as all from "./path.js"`, or a re-export.
#[derive(Debug)]
pub(crate) struct Import<'a> {
    pub(crate) path: String,
    /// Empty for `export { ... } from`.
    pub(crate) names: Names<'a>,
    /// Local name of all exports together.
    pub(crate) all: Option<&'a str>,
    pub(crate) line: usize,
}

/// Names before and after `as`.
type Names<'a> = Vec<(&'a str, &'a str)>;

/// Origin of an exported name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Export<'a> {
    /// Declaration of this name.
    Own(&'a str),
    /// Name of another module.
    Other { path: String, name: &'a str, line: usize },
}

/// Literal argument of `import()`.
#[derive(Debug)]
pub(crate) struct Lazy {
    pub(crate) path: String,
    pub(crate) line: usize,
    /// Token of the literal.
    token: usize,
}

/// Places that a linked module asks about itself: `import.meta.url`.
const META: [&str; 5] = ["import", ".", "meta", ".", "url"];

impl<'a> Module<'a> {
    /// Parses a module.
    ///
    /// # Errors
    ///
    /// Returns the line of any import or export of a form that the linker does not know.
    pub(crate) fn parse(path: &str, source: &'a str) -> Result<Self, Fault> {
        let mut module = Self::unread(path, tokens(source)?);
        let mut at = 0;
        while at < module.tokens.len() {
            at = match module.text(at) {
                "import" if !module.is_property(at) => module.import(at)?,
                "export" if !module.is_property(at) => module.export(at)?,
                "await" if module.tokens[at].depth == 0 => {
                    return fault(module.tokens[at].line, "await outside of a function cannot be linked");
                }
                _ => at + 1,
            };
        }
        module.expect_constant_exports()?;
        Ok(module)
    }

    /// Returns the modules that a module names, each with its line, in whatever form: a module that
    /// is loaded later stays as it is.
    ///
    /// # Errors
    ///
    /// Returns the line of an import that the build cannot follow.
    pub(crate) fn dependencies(path: &str, source: &'a str) -> Result<Vec<(String, usize)>, Fault> {
        let module = Self::unread(path, tokens(source)?);
        let mut found = Vec::new();
        for at in 0..module.tokens.len() {
            let token = &module.tokens[at];
            let next = module.text(at + 1);
            let literal = match token.text {
                _ if module.is_property(at) => continue,
                "import" if next == "." => continue,
                "import" if next == "(" => module.only_argument(at)?,
                "import" => match module.tokens[at..].iter().position(|token| token.kind == Kind::String) {
                    Some(distance) => at + distance,
                    None => return fault(token.line, "an import without a path"),
                },
                "from" if module.kind(at + 1) == Some(Kind::String) && token.depth == 0 => at + 1,
                _ => continue,
            };
            found.push((module.specifier(literal)?, token.line));
        }
        Ok(found)
    }

    fn unread(path: &str, tokens: Vec<Token<'a>>) -> Self {
        let (imports, exports, lazy, removed) = (Vec::new(), BTreeMap::new(), Vec::new(), Vec::new());
        Self { path: path.to_owned(), imports, exports, lazy, tokens, removed }
    }

    /// Code of the module without comments, imports and the word `export`.
    pub(crate) fn code(&self) -> Result<String, Fault> {
        let mut code = String::new();
        let mut at = 0;
        let mut removed = self.removed.iter().peekable();
        while at < self.tokens.len() {
            if let Some(range) = removed.next_if(|range| range.start == at) {
                at = range.end;
                continue;
            }
            match self.tokens[at].gap {
                Gap::Line if at > 0 && continues(&self.tokens[at - 1], &self.tokens[at]) => {}
                Gap::Line => code.push('\n'),
                Gap::Space if at > 0 && separates(&self.tokens[at - 1], &self.tokens[at]) => code.push(' '),
                Gap::Space | Gap::None => {}
            }
            at = self.write(at, &mut code)?;
        }
        Ok(code)
    }

    /// Writes one token, or what replaces it, and returns the next.
    fn write(&self, at: usize, code: &mut String) -> Result<usize, Fault> {
        let token = &self.tokens[at];
        if let Some(lazy) = self.lazy.iter().find(|lazy| lazy.token == at) {
            // The document is one folder or more above the module.
            code.push_str(&format!("\"./{}\"", lazy.path));
        } else if token.text == "import" && self.texts(at, META.len()).eq(META) {
            code.push_str(&format!("new URL(\"{}\", document.baseURI).href", self.path));
            return Ok(at + META.len());
        } else if matches!(token.kind, Kind::String | Kind::Template) {
            code.push_str(&escaped(token, at.checked_sub(1).map(|before| &self.tokens[before]))?);
        } else {
            code.push_str(token.text);
        }
        Ok(at + 1)
    }

    /// Reads a statement `import ... from "..."`, or an expression `import(...)`.
    fn import(&mut self, start: usize) -> Result<usize, Fault> {
        let line = self.tokens[start].line;
        if self.text(start + 1) == "(" {
            let literal = self.only_argument(start)?;
            self.lazy.push(Lazy { path: self.specifier(literal)?, line, token: literal });
            return Ok(start + 3);
        }
        if self.text(start + 1) == "." {
            return match self.texts(start, META.len()).eq(META) {
                true => Ok(start + META.len()),
                false => fault(line, "of import.meta, only import.meta.url can be linked"),
            };
        }
        if self.tokens[start].depth > 0 {
            return fault(line, "an import statement within brackets");
        }
        let is_all = self.texts(start + 1, 2).eq(["*", "as"]) && self.kind(start + 3) == Some(Kind::Word);
        let (names, all, from) = match self.kind(start + 1) {
            Some(Kind::String) => (Vec::new(), None, start + 1),
            _ if is_all && self.text(start + 4) == "from" && self.kind(start + 5) == Some(Kind::String) => {
                (Vec::new(), Some(self.text(start + 3)), start + 5)
            }
            _ => {
                let (names, from) = self.names_from(start + 1)?;
                (names, None, from)
            }
        };
        let path = self.specifier(from)?;
        self.imports.push(Import { path, names, all, line });
        self.remove_statement(start, from)
    }

    /// Token of the string within `import("...")`.
    fn only_argument(&self, import: usize) -> Result<usize, Fault> {
        match self.kind(import + 2) == Some(Kind::String) && self.text(import + 3) == ")" {
            true => Ok(import + 2),
            false => {
                fault(self.tokens[import].line, "import() takes one string, so that the build can follow it")
            }
        }
    }

    /// Reads an export statement.
    fn export(&mut self, start: usize) -> Result<usize, Fault> {
        let line = self.tokens[start].line;
        if self.tokens[start].depth > 0 {
            return fault(line, "an export within brackets");
        }
        let name_at = match self.text(start + 1) {
            "{" => return self.export_from(start),
            "const" | "let" | "class" => start + 2,
            "function" if self.text(start + 2) == "*" => start + 3,
            "function" => start + 2,
            "async" if self.text(start + 2) == "function" => {
                start + 3 + usize::from(self.text(start + 3) == "*")
            }
            other => {
                return fault(
                    line,
                    format!("export {other} cannot be linked: export const, let, function or class"),
                );
            }
        };
        if self.kind(name_at) != Some(Kind::Word) {
            return fault(line, "an export needs one name");
        }
        let name = self.tokens[name_at].text;
        if matches!(self.text(start + 1), "const" | "let") {
            let rest = self.tokens[name_at..].iter().take_while(|token| token.depth > 0 || token.text != ";");
            if rest.into_iter().any(|token| token.depth == 0 && token.text == ",") {
                return fault(line, "one name for each export statement");
            }
        }
        self.add_export(name, Export::Own(name), line)?;
        self.removed.push(start..start + 1);
        Ok(start + 1)
    }

    /// Reads `export { a, b as c } from "./x.js"`.
    fn export_from(&mut self, start: usize) -> Result<usize, Fault> {
        let line = self.tokens[start].line;
        let (names, from) = self.names_from(start + 1)?;
        let path = self.specifier(from)?;
        for (name, exported) in names {
            self.add_export(exported, Export::Other { path: path.clone(), name, line }, line)?;
        }
        self.imports.push(Import { path, names: Vec::new(), all: None, line });
        self.remove_statement(start, from)
    }

    fn add_export(&mut self, name: &'a str, export: Export<'a>, line: usize) -> Result<(), Fault> {
        match self.exports.insert(name, export) {
            None => Ok(()),
            Some(_) => fault(line, format!("{name} is exported twice")),
        }
    }

    /// Reads `{ a, b as c } from` and returns the names, and the token after `from`.
    fn names_from(&self, brace: usize) -> Result<(Names<'a>, usize), Fault> {
        let line = self.tokens[brace - 1].line;
        let unknown =
            || Fault { line, message: "an import or export of a form that cannot be linked".to_owned() };
        if self.text(brace) != "{" {
            return Err(unknown());
        }
        let (mut names, mut at) = (Vec::new(), brace + 1);
        while self.kind(at) == Some(Kind::Word) {
            let name = self.tokens[at].text;
            at += 1;
            let mut local = name;
            if self.text(at) == "as" && self.kind(at + 1) == Some(Kind::Word) {
                local = self.tokens[at + 1].text;
                at += 2;
            }
            if name == "default" || local == "default" {
                return Err(unknown());
            }
            names.push((name, local));
            if self.text(at) == "," {
                at += 1;
            }
        }
        match self.text(at) == "}" && self.text(at + 1) == "from" && self.kind(at + 2) == Some(Kind::String) {
            true => Ok((names, at + 2)),
            false => Err(unknown()),
        }
    }

    /// Path of the module that a string names, from the folder of the document.
    fn specifier(&self, at: usize) -> Result<String, Fault> {
        let token = &self.tokens[at];
        let text = &token.text[1..token.text.len() - 1];
        match paths::resolve(&self.path, text) {
            Some(path) => Ok(path),
            None => {
                fault(token.line, format!("{text} is no path of a module: write ./name.js or ../name.js"))
            }
        }
    }

    fn remove_statement(&mut self, start: usize, last: usize) -> Result<usize, Fault> {
        let end = last + 1 + usize::from(self.text(last + 1) == ";");
        // An import attribute, for example.
        if self.tokens.get(end).is_some_and(|next| next.gap != Gap::Line) && self.text(end - 1) != ";" {
            return fault(self.tokens[last].line, "an import or export of a form that cannot be linked");
        }
        self.removed.push(start..end);
        Ok(end)
    }

    /// Importers copy each export once, so no export may change after the module was evaluated.
    fn expect_constant_exports(&self) -> Result<(), Fault> {
        for (at, token) in self.tokens.iter().enumerate().skip(1) {
            let before = self.text(at - 1);
            let is_assigned = is_assignment(self.text(at + 1)) || matches!(before, "++" | "--");
            let exported = token.kind == Kind::Word && self.exports.contains_key(token.text);
            if !is_assigned || !exported || self.is_property(at) || !self.declared_by_let(token.text) {
                continue;
            }
            // A statement of the module or of a static block, or the declaration.
            let is_statement = matches!(before, ";" | "{" | "}" | "let");
            if !token.at_evaluation || !is_statement {
                let message =
                    format!("{} changes after other modules have copied it: export a function", token.text);
                return fault(token.line, message);
            }
        }
        Ok(())
    }

    fn declared_by_let(&self, name: &str) -> bool {
        self.tokens.windows(3).any(|three| three.iter().map(|token| token.text).eq(["export", "let", name]))
    }

    /// Whether the token is the name of a property: `a.import`, `import:`, or a method `import()`.
    fn is_property(&self, at: usize) -> bool {
        let after_dot = at > 0 && matches!(self.text(at - 1), "." | "?.");
        after_dot
            || matches!(self.text(at + 1), ":")
                && !matches!(at.checked_sub(1).map(|it| self.text(it)), Some("?"))
    }

    /// Text of a token, empty behind the end.
    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    fn texts(&self, at: usize, count: usize) -> impl Iterator<Item = &'a str> {
        self.tokens[at..].iter().take(count).map(|token| token.text)
    }

    /// Whether a word of the code has this text.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token.kind == Kind::Word && token.text == word)
    }
}

/// Whether a line end between two tokens cannot end a statement, beside a bracket or a comma.
fn continues(left: &Token<'_>, right: &Token<'_>) -> bool {
    let is = |token: &Token<'_>, kinds: &[&str]| token.kind == Kind::Operator && kinds.contains(&token.text);
    is(left, &["{", "(", "[", ","]) || is(right, &["}", ")", "]"])
}

/// Whether two tokens would, or might, read as others without the space between them.
fn separates(left: &Token<'_>, right: &Token<'_>) -> bool {
    let never_joins = |token: &Token<'_>| matches!(token.text, "(" | ")" | "{" | "}" | "[" | "]" | "," | ";");
    match (left.kind, right.kind) {
        (Kind::Regex, _) | (_, Kind::Regex) => true,
        (Kind::Operator, Kind::Operator) => !never_joins(left) && !never_joins(right),
        // `1 .a` and `a ? .5 : b`.
        (Kind::Number, Kind::Operator) | (Kind::Operator, Kind::Number) => right.text.starts_with('.'),
        (Kind::Operator, _) | (_, Kind::Operator) => false,
        _ => true,
    }
}

fn is_assignment(operator: &str) -> bool {
    let compares = matches!(operator, "==" | "===" | "!=" | "!==" | "<=" | ">=" | "=>");
    operator.ends_with('=') && !compares || matches!(operator, "++" | "--")
}

/// A literal without the sequences that end a script, or that change how HTML reads it.
fn escaped(token: &Token<'_>, before: Option<&Token<'_>>) -> Result<String, Fault> {
    let lower = token.text.to_ascii_lowercase();
    let sequences = ["</script", "<script", "<!--"];
    if !sequences.iter().any(|sequence| lower.contains(sequence)) {
        return Ok(token.text.to_owned());
    }
    let is_tagged = token.kind == Kind::Template
        && before.is_some_and(|before| before.kind == Kind::Word || matches!(before.text, ")" | "]"));
    if is_tagged || token.kind == Kind::Template && !token.text.starts_with('`') {
        return fault(token.line, "HTML in a template literal that the linker cannot escape: use a string");
    }
    // `<` as an escape is the same character in every string.
    let mut text = String::new();
    for (index, c) in token.text.char_indices() {
        match c {
            '<' if sequences.iter().any(|sequence| lower[index..].starts_with(sequence)) => {
                if text.ends_with('\\') {
                    return fault(token.line, "a backslash before HTML in a string");
                }
                text.push_str("\\x3C");
            }
            c => text.push(c),
        }
    }
    Ok(text)
}
