//! Tokens of a JavaScript module: as many details as a linker needs, and no syntax tree.

use crate::{Fault, fault};

/// Kind of a [`Token`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Identifier, keyword or private name.
    Word,
    Number,
    String,
    /// Piece of a template literal, with the delimiters at its ends.
    Template,
    Regex,
    Operator,
}

/// One token. Comments are no tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    /// Line number, from 1.
    pub(crate) line: usize,
    /// Count of enclosing brackets of any kind.
    pub(crate) depth: usize,
    /// Whether the token runs once, when the module is evaluated: it stands in no function.
    pub(crate) at_evaluation: bool,
    /// Separation from the token before.
    pub(crate) gap: Gap,
}

/// White space and comments between two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    None,
    Space,
    /// Contains a line terminator, which may end a statement.
    Line,
}

/// Opened bracket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Round,
    Square,
    Class,
    StaticBlock,
    /// Block, function body or object.
    Curly,
    /// `${` of a template literal.
    Substitution,
}

/// Operators of several characters, longest first.
const OPERATORS: [&str; 33] = [
    ">>>=", "...", "===", "!==", "**=", "<<=", ">>=", ">>>", "&&=", "||=", "??=", "=>", "==", "!=", "<=",
    ">=", "&&", "||", "??", "?.", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", ">>",
    "**",
];

/// Keywords before which an expression cannot end, so that `/` after them begins a regex.
const PREFIXES: [&str; 14] = [
    "return",
    "typeof",
    "case",
    "in",
    "of",
    "delete",
    "void",
    "instanceof",
    "new",
    "throw",
    "do",
    "else",
    "await",
    "yield",
];

/// Splits a module into tokens.
///
/// # Errors
///
/// Returns the line of an unterminated literal, an unbalanced bracket, or a `/` that could begin a
/// regex as well as divide.
pub(crate) fn tokens(source: &str) -> Result<Vec<Token<'_>>, Fault> {
    let mut lexer =
        Lexer { source, at: 0, line: 1, gap: Gap::None, open: Vec::new(), class: None, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    gap: Gap,
    open: Vec<Open>,
    /// Depth at which `class` stands, until its body opens.
    class: Option<usize>,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) -> Result<(), Fault> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\n' => self.skip(1),
                c if c.is_whitespace() || c == '\u{feff}' => self.skip(c.len_utf8()),
                '/' if self.rest().starts_with("//") => {
                    let length = self.rest().find('\n').unwrap_or(self.rest().len());
                    self.skip(length);
                }
                '/' if self.rest().starts_with("/*") => {
                    let Some(end) = self.rest().find("*/") else {
                        return fault(self.line, "unterminated comment");
                    };
                    self.skip(end + 2);
                }
                '\'' | '"' => self.string(c)?,
                '`' => self.template(1)?,
                '/' if self.regex_may_begin()? => self.regex()?,
                '0'..='9' => self.push_while(Kind::Number, |c| is_word(c) || c == '.'),
                '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    self.push_while(Kind::Number, |c| is_word(c) || c == '.');
                }
                '#' => self.push_while(Kind::Word, |c| is_word(c) || c == '#'),
                c if is_word(c) => self.word(),
                _ => self.operator()?,
            }
        }
        match self.open.is_empty() {
            true => Ok(()),
            false => fault(self.line, "a bracket is never closed"),
        }
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Passes white space or a comment.
    fn skip(&mut self, length: usize) {
        let skipped = &self.rest()[..length];
        let lines = skipped.matches('\n').count();
        let gap = if lines > 0 || self.gap == Gap::Line { Gap::Line } else { Gap::Space };
        self.gap = gap;
        self.line += lines;
        self.at += length;
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let text = &self.rest()[..length];
        let at_evaluation = self.open.iter().all(|open| matches!(open, Open::Class | Open::StaticBlock));
        let (line, depth) = (self.line, self.open.len());
        self.tokens.push(Token { kind, text, line, depth, at_evaluation, gap: self.gap });
        self.gap = Gap::None;
        self.line += text.matches('\n').count();
        self.at += length;
    }

    fn push_while(&mut self, kind: Kind, belongs: impl Fn(char) -> bool) {
        let length = self.rest().find(|c| !belongs(c)).unwrap_or(self.rest().len());
        self.push(kind, length);
    }

    fn word(&mut self) {
        let is_property = self.tokens.last().is_some_and(|last| matches!(last.text, "." | "?."));
        self.push_while(Kind::Word, is_word);
        if self.tokens.last().is_some_and(|word| word.text == "class") && !is_property {
            self.class = Some(self.open.len());
        }
    }

    fn string(&mut self, quote: char) -> Result<(), Fault> {
        let mut escaped = false;
        for (index, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => {
                    self.push(Kind::String, index + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        fault(self.line, "unterminated string, or a string of several lines")
    }

    /// Reads the template up to its end or to the next substitution. `start` passes the delimiter.
    fn template(&mut self, start: usize) -> Result<(), Fault> {
        let mut escaped = false;
        for (index, c) in self.rest().char_indices().skip(start) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '`' => {
                    self.push(Kind::Template, index + 1);
                    return Ok(());
                }
                '$' if self.rest()[index..].starts_with("${") => {
                    self.push(Kind::Template, index + 2);
                    self.open.push(Open::Substitution);
                    return Ok(());
                }
                _ => {}
            }
        }
        fault(self.line, "unterminated template literal")
    }

    fn regex(&mut self) -> Result<(), Fault> {
        let (mut escaped, mut in_class) = (false, false);
        for (index, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => in_class = true,
                ']' => in_class = false,
                '/' if !in_class => {
                    let flags = self.rest()[index + 1..].find(|c| !is_word(c));
                    self.push(Kind::Regex, index + 1 + flags.unwrap_or(self.rest().len() - index - 1));
                    return Ok(());
                }
                _ => {}
            }
        }
        fault(self.line, "unterminated regular expression")
    }

    /// Whether a `/` here begins a regex rather than divides.
    fn regex_may_begin(&self) -> Result<bool, Fault> {
        let Some(last) = self.tokens.last() else { return Ok(true) };
        Ok(match (last.kind, last.text) {
            (Kind::Word, word) => PREFIXES.contains(&word),
            (Kind::Number | Kind::String | Kind::Regex, _) | (Kind::Operator, "]" | "++" | "--") => false,
            (Kind::Template, text) => text.ends_with("${"),
            (Kind::Operator, ")") => self.closed_header(),
            (Kind::Operator, "}") => {
                return fault(self.line, "a / after } divides or begins a regex: use brackets");
            }
            (Kind::Operator, _) => true,
        })
    }

    /// Whether the last `)` ends the header of a statement, as of `if (...)`.
    fn closed_header(&self) -> bool {
        let depth = self.tokens.last().map_or(0, |last| last.depth);
        let opening = self.tokens.iter().rposition(|token| token.depth == depth && token.text == "(");
        let keyword = opening.and_then(|index| index.checked_sub(1)).map(|index| self.tokens[index].text);
        keyword.is_some_and(|word| matches!(word, "if" | "for" | "while" | "with"))
    }

    fn operator(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let known = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
        let length = match known {
            Some(&"?.") if rest[2..].starts_with(|c: char| c.is_ascii_digit()) => 1,
            Some(operator) => operator.len(),
            None => 1,
        };
        match &rest[..length] {
            "{" | "(" | "[" => {
                let opened = self.opened(&rest[..1]);
                self.push(Kind::Operator, 1);
                self.open.push(opened);
            }
            closing @ ("}" | ")" | "]") => {
                let fits = match self.open.pop() {
                    Some(Open::Round) => closing == ")",
                    Some(Open::Square) => closing == "]",
                    Some(Open::Class | Open::StaticBlock | Open::Curly) => closing == "}",
                    Some(Open::Substitution) if closing == "}" => return self.template(1),
                    Some(Open::Substitution) | None => false,
                };
                if !fits {
                    return fault(self.line, format!("{closing} closes another bracket, or none"));
                }
                self.push(Kind::Operator, 1);
            }
            operator if operator.starts_with(|c: char| c.is_ascii_punctuation() && !"@\\".contains(c)) => {
                // A property called `class`, or a class without a body.
                if matches!(operator, ":" | "," | ";" | "=") && self.class == Some(self.open.len()) {
                    self.class = None;
                }
                self.push(Kind::Operator, length);
            }
            other => return fault(self.line, format!("{other} is nothing that the linker knows")),
        }
        Ok(())
    }

    fn opened(&mut self, bracket: &str) -> Open {
        let last = self.tokens.last().map(|token| token.text);
        match bracket {
            "(" => Open::Round,
            "[" => Open::Square,
            _ if self.class == Some(self.open.len()) => {
                self.class = None;
                Open::Class
            }
            _ if last == Some("static") && self.open.last() == Some(&Open::Class) => Open::StaticBlock,
            _ => Open::Curly,
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '\u{200c}' | '\u{200d}')
}
