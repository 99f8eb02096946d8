//! The part of a line that an error may show: keys, and the values of keys that are not secret.
//!
//! Everything else is hidden, including the values of unknown keys: `secrets` may be misspelt. A
//! string with an `@` is hidden, because in URLs a password precedes it. If a file parses, the
//! spans of its values tell its parts apart. If it does not, a line is shown only if it is one
//! known key with its value and nothing else.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Excerpt;
use super::reader::{Names, shows_key};

/// Bytes of the longest line that is shown.
const LONGEST: usize = 400;

/// The parts of a file that may be shown.
#[derive(Debug)]
pub(super) enum Shown {
    /// For a file that parses: the open spans, and the punctuation around them.
    Parsed { open: Vec<Range<usize>>, hidden: Vec<Range<usize>> },
    /// For any other file: lines with these keys and sections.
    Broken { keys: BTreeSet<String>, sections: BTreeSet<String> },
}

impl Shown {
    /// For a file that parses, with the known keys.
    pub(super) fn of_parsed(file: &DeTable<'_>, names: &Names) -> Self {
        let mut spans = Spans { names, open: Vec::new(), hidden: Vec::new() };
        spans.table(file, "");
        Self::Parsed { open: spans.open, hidden: spans.hidden }
    }

    /// For a file that does not parse, with the known keys.
    pub(super) fn of_broken(names: &Names) -> Self {
        let leaf = |path: &String| path.rsplit('.').next().unwrap_or_default().to_owned();
        let secret: BTreeSet<_> = names.secret.iter().map(leaf).collect();
        let keys = names.open.iter().map(leaf).filter(|leaf| !secret.contains(leaf)).collect();
        Self::Broken { keys, sections: sections(names).map(str::to_owned).collect() }
    }

    /// The whole text, for tests of excerpts.
    #[cfg(test)]
    pub(super) fn all_of(text: &str) -> Self {
        Self::Parsed { open: std::iter::once(0..text.len()).collect(), hidden: Vec::new() }
    }

    /// Excerpt of the line at `line` in `text`, with the position of the faulty part `meant`.
    pub(super) fn excerpt(&self, text: &str, line: Range<usize>, meant: Range<usize>) -> Option<Excerpt> {
        let source = &text[line.clone()];
        if source.len() > LONGEST {
            return None;
        }
        match self {
            Self::Parsed { open, hidden } => Some(masked(source, &line, &meant, open, hidden)),
            Self::Broken { keys, sections } => {
                // A line within a multi-line string belongs to an unknown value.
                let above = &text[..line.start];
                // A password may precede an @, and a private key may be in the place of its file's
                // name.
                if source.contains("-----BEGIN")
                    || above.contains("\"\"\"")
                    || above.contains("'''")
                    || source.contains('@')
                {
                    return None;
                }
                let open = &source[..open_part(source, meant.start - line.start, keys, sections)?];
                let is_cut = !source[open.len()..].trim().is_empty();
                let lead = text[line.start..meant.start].chars().count().min(open.chars().count());
                let width = text[meant].chars().count().clamp(1, (open.chars().count() - lead).max(1));
                let open = open.trim_end();
                Some(Excerpt {
                    line: if is_cut { format!("{open} …") } else { open.to_owned() },
                    lead,
                    width,
                })
            }
        }
    }
}

/// Length of the part that may be shown, for a line of a file that does not parse. That is the
/// header of a known section, or one known key with its value. A list is shown up to the mistake at
/// byte `at`. `None` for any other line.
fn open_part(line: &str, at: usize, keys: &BTreeSet<String>, sections: &BTreeSet<String>) -> Option<usize> {
    let trimmed = line.trim();
    if trimmed.is_empty() || (trimmed.starts_with('[') && sections.contains(trimmed.trim_matches(['[', ']'])))
    {
        return Some(line.len());
    }
    let equals = line.find('=')?;
    if !keys.contains(line[..equals].trim().rsplit('.').next()?) {
        return None;
    }
    let start = equals + 1 + line[equals + 1..].find(|c: char| !c.is_whitespace()).unwrap_or(0);
    let value = &line[start..];
    let length = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map_or(value.len(), |end| end + 2),
        Some('[' | '{') => at.saturating_sub(start),
        _ => value.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(value.len()),
    };
    Some(start + length)
}

/// A line with an ellipsis for each hidden run, and without its comment.
fn masked(
    source: &str,
    line: &Range<usize>,
    meant: &Range<usize>,
    open: &[Range<usize>],
    hidden: &[Range<usize>],
) -> Excerpt {
    let here = |spans: &[Range<usize>]| -> Vec<Range<usize>> {
        spans.iter().filter(|span| span.start < line.end && span.end > line.start).cloned().collect()
    };
    let (open, hidden) = (here(open), here(hidden));
    let is_in = |spans: &[Range<usize>], at: usize| spans.iter().any(|span| span.contains(&at));
    let (mut shown, mut lead, mut end, mut in_run) = (String::new(), None, 0, false);
    for (offset, c) in source.char_indices() {
        let at = line.start + offset;
        let is_hidden = is_in(&hidden, at);
        let shows = !is_hidden && (is_in(&open, at) || c.is_whitespace() || "=[]{},.".contains(c));
        if c == '#' && !shows && !is_hidden {
            break;
        }
        if at >= meant.start && lead.is_none() {
            // Within a hidden run, the caret points at the ellipsis.
            lead = Some(shown.chars().count() - usize::from(in_run && !shows));
        }
        if shows {
            shown.push(c);
        } else if !in_run {
            shown.push('…');
        }
        in_run = !shows;
        if at < meant.end {
            end = shown.chars().count();
        }
    }
    let lead = lead.unwrap_or_else(|| shown.chars().count());
    Excerpt { line: shown.trim_end().to_owned(), lead, width: end.saturating_sub(lead).max(1) }
}

/// The sections with known keys.
fn sections(names: &Names) -> impl Iterator<Item = &str> {
    names.all().filter_map(|path| Some(path.rsplit_once('.')?.0))
}

/// Whether a string in the place of a file's name looks like one. Secrets have capital letters, or
/// lack a folder or an extension.
pub(super) fn names_a_file(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let is_lower = !text.contains(|c: char| c.is_ascii_uppercase());
    let has_folder = ["/", "./", "../"].iter().any(|start| text.starts_with(start));
    let has_ending = text.rsplit_once('.').is_some_and(|(_, ending)| (1..=6).contains(&ending.len()));
    text.chars().all(is_plain) && (has_folder && has_ending || is_lower && (has_folder || has_ending))
}

/// Collects the spans of a file.
struct Spans<'n> {
    names: &'n Names,
    open: Vec<Range<usize>>,
    hidden: Vec<Range<usize>>,
}

impl Spans<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) {
        // A key in the place of a value may be a secret value.
        let is_section = path.is_empty() || sections(self.names).any(|section| section == path);
        for (key, value) in table {
            let name = key.get_ref();
            let leaves = || self.names.all().flat_map(|path| path.split('.'));
            let is_shown = is_section && shows_key(name, self.names.has_secrets(path), leaves());
            if is_shown { &mut self.open } else { &mut self.hidden }.push(key.span());
            let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            self.value(value, &path);
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, path),
            DeValue::Array(items) => items.iter().for_each(|item| self.value(item, path)),
            // This may be a misplaced URL with a password, or a private key in the place of its
            // file's name.
            DeValue::String(text) if text.contains('@') || text.contains(char::is_control) => {
                self.hidden.push(value.span());
            }
            DeValue::String(text) if self.names.files.contains(path) && names_a_file(text) => {
                self.open.push(value.span());
            }
            _ if self.names.open.contains(path) => self.open.push(value.span()),
            _ => self.hidden.push(value.span()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Excerpt of the line with `marked`, in a file that is otherwise valid.
    fn shown(text: &str, marked: &str) -> String {
        let names = Names {
            open: ["realm", "listen.udp"].map(str::to_owned).into(),
            secret: ["credentials.secrets".to_owned()].into(),
            files: ["credentials.secret_files".to_owned()].into(),
        };
        let table = DeTable::parse(text).unwrap();
        let start = text.find(marked).unwrap();
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let spans = Shown::of_parsed(table.get_ref(), &names);
        let excerpt = spans.excerpt(text, line_start..line_end, start..start + marked.len()).unwrap();
        format!("{}\n{}{}", excerpt.line, " ".repeat(excerpt.lead), "^".repeat(excerpt.width))
    }

    #[test]
    fn threat_40_secret_values_values_of_unknown_keys_and_comments_are_hidden() {
        for (text, marked, expected) in [
            ("realm = \"a # b\" # geheim", "\"a # b\"", "realm = \"a # b\"\n        ^^^^^^^"),
            (
                "credentials.secrets = [\"a\", \"b\"]",
                "\"b\"",
                "credentials.secrets = […, …]\n                          ^",
            ),
            ("[credentials]\nsecrets = [ # x\n \"a\",\n 5 ]", "5", " … ]\n ^"),
            (
                "credentials = { secret = \"a=b\", realm = 7 }",
                "realm",
                "credentials = { secret = …, realm = … }\n                            ^^^^^",
            ),
            (
                "credentials = { secrets = { geheim = 1 } }",
                "secrets",
                "credentials = { secrets = { … = … } }\n                ^^^^^^^",
            ),
            ("[credentials]\n\"geheim\" = 5", "5", "… = …\n    ^"),
            ("[credentials]\nsecret_file = 5", "5", "secret_file = …\n              ^"),
            (
                "credentials.secret_files = [\"a/b\", \"./a\", \"a.pem\", \"Ab.c\"]",
                "\"./a\"",
                "credentials.secret_files = […, \"./a\", \"a.pem\", …]\n                               ^^^^^",
            ),
            ("users = [{ password = \"a\" }]", "users", "users = [{ … = … }]\n^^^^^"),
            ("credentials.secrets = \"\"\"\ngeheim\n\"\"\"", "geheim", "…\n^"),
        ] {
            assert_eq!(shown(text, marked), expected, "{text}");
        }
    }
}
