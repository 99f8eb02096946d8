//! Diagnostics of a configuration: the file, the line, a caret, the reason, the remedy.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::shown::Shown;
use crate::operator_file::{SHORTAGE, is_shortage};

/// Mistakes that are reported of one file. A file with more is of another kind.
const MOST: usize = 20;

/// Reason for which the configuration cannot be used. Its `Display` addresses the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}\n  remedy: {}", path.display(), readable(error))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file can be read but is invalid. Its mistakes are in file order.
    #[error("{}{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"), and_more(*more))]
    Invalid {
        /// The first mistakes.
        problems: Vec<ConfigProblem>,
        /// Number of the others.
        more: usize,
    },
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!("\n\nand {more} more") }
}

/// Remedy for a file that cannot be read.
fn readable(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_shortage(error) => SHORTAGE,
        io::ErrorKind::InvalidData => "save it as text in UTF-8",
        io::ErrorKind::PermissionDenied => "let this user read it, or run the command with sudo",
        _ => "name a configuration file: --config FILE, or BYWAY_CONFIG in the environment",
    }
}

/// One mistake in a file, as reported to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The cause.
    pub reason: String,
    /// The remedy.
    pub remedy: String,
    /// The line; `None` if its secret parts cannot be determined. Errors end up in logs.
    pub source: Option<Excerpt>,
}

/// A line of a file, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, with an ellipsis for each value that is or may be secret.
    pub line: String,
    /// Characters before the faulty part.
    pub lead: usize,
    /// Characters of that part.
    pub width: usize,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, reason, remedy, .. } = self;
        writeln!(f, "{file}:{line}:{column}: {reason}")?;
        if let Some(Excerpt { line: source, lead, width }) = &self.source {
            // Tabs stay tabs, so that the caret is below its character for every tab width.
            let lead: String =
                source.chars().take(*lead).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let gutter = line.to_string().len();
            writeln!(f, "  {line} | {source}")?;
            writeln!(f, "  {:gutter$} | {lead}{}", "", "^".repeat(*width))?;
        }
        write!(f, "  remedy: {remedy}")
    }
}

/// One mistake, by its bytes in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Diagnostic {
    pub(super) span: Range<usize>,
    pub(super) reason: String,
    pub(super) remedy: String,
    /// Set if the cause is the machine, not the file.
    pub(super) shortage: Option<Shortage>,
}

/// A file that cannot be read because the machine lacks something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) path: PathBuf,
    /// errno.
    pub(super) code: i32,
}

/// All mistakes in a file, and the parts of it that errors may show.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) mistakes: Vec<Diagnostic>,
    pub(super) shown: Shown,
}

impl Refusal {
    /// The error for the operator, with excerpts of `text` under the name `file`.
    pub(super) fn error(&self, file: &str, text: &str) -> ConfigError {
        let Self { mistakes, shown } = self;
        // The other mistakes may be consequences of the shortage.
        if let Some(Shortage { path, code }) = mistakes.iter().find_map(|mistake| mistake.shortage.clone()) {
            return ConfigError::Unreadable { path, error: io::Error::from_raw_os_error(code) };
        }
        ConfigError::Invalid {
            problems: mistakes.iter().take(MOST).map(|mistake| mistake.problem(file, text, shown)).collect(),
            more: mistakes.len().saturating_sub(MOST),
        }
    }
}

impl Diagnostic {
    /// The mistake with its position in `text`.
    pub(super) fn problem(&self, file: &str, text: &str, shown: &Shown) -> ConfigProblem {
        // A parser's span may end within a character.
        let start = text.floor_char_boundary(self.span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = text.floor_char_boundary(self.span.end).clamp(start, line_end);
        ConfigProblem {
            file: file.to_owned(),
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            reason: self.reason.clone(),
            remedy: self.remedy.clone(),
            source: shown.excerpt(text, line_start..line_end, start..end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>) -> String {
        let mistake = Diagnostic { span, reason: "wrong".into(), remedy: "right it".into(), shortage: None };
        mistake.problem("f.toml", text, &Shown::all_of(text)).to_string()
    }

    #[test]
    fn threat_35_a_shortage_of_the_machine_is_no_mistake_of_the_file() {
        let wrong = Diagnostic { span: 0..1, reason: "wrong".into(), remedy: String::new(), shortage: None };
        let short = Shortage { path: "secret".into(), code: libc::EMFILE };
        let mistakes = vec![wrong.clone(), Diagnostic { shortage: Some(short), ..wrong }];
        let error = Refusal { mistakes, shown: Shown::all_of("a = 1") }.error("f.toml", "a = 1");
        assert!(matches!(&error, ConfigError::Unreadable { error, .. } if is_shortage(error)), "{error}");
        assert_eq!(
            error.to_string(),
            format!("secret: Too many open files (os error 24)\n  remedy: {SHORTAGE}")
        );
    }

    #[test]
    fn the_caret_stands_under_its_characters() {
        assert_eq!(
            shown("a = 1\n\u{fc} = \"\u{e4}\u{f6}\"\n", 11..17),
            "f.toml:2:5: wrong\n  2 | \u{fc} = \"\u{e4}\u{f6}\"\n    |     ^^^^\n  remedy: right it"
        );
        assert_eq!(
            shown("\tx = 1", 5..6),
            "f.toml:1:6: wrong\n  1 | \tx = 1\n    | \t    ^\n  remedy: right it"
        );
    }

    #[test]
    fn a_span_at_the_end_of_the_text_and_over_several_lines_is_shown_where_it_starts() {
        assert_eq!(shown("a = [", 5..5), "f.toml:1:6: wrong\n  1 | a = [\n    |      ^\n  remedy: right it");
        assert_eq!(
            shown("a = [\n1\n]", 4..9),
            "f.toml:1:5: wrong\n  1 | a = [\n    |     ^\n  remedy: right it"
        );
        assert_eq!(shown("", 7..99), "f.toml:1:1: wrong\n  1 | \n    | ^\n  remedy: right it");
    }
}
