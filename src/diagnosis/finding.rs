//! Finding: one thing that was looked at, its state, and its remedy.

use std::fmt;

use serde::Serialize;

use crate::fault::Fault;

/// State of what was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It works.
    Ok,
    /// It could not be looked at. The evidence says why.
    Skipped,
    /// It works today, or for some clients only.
    Warning,
    /// It does not work.
    Failed,
}

impl State {
    /// Returns the name, as in JSON and in text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Result of one look. `Display` is its text for a terminal, of which no part can hold control
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[must_use]
pub struct Finding {
    /// Entry of the documentation, if there is one.
    pub fault: Option<Fault>,
    /// State.
    pub state: State,
    /// Statement of one line, without a full stop.
    pub what: String,
    /// Evidence: values that were seen. It may be empty.
    pub evidence: String,
    /// Remedy in the imperative, with a command where there is one. It is empty if all is well.
    pub remedy: String,
}

impl Finding {
    /// Returns a finding without a fault.
    pub fn ok(what: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::of(State::Ok, None, what, evidence, "")
    }

    /// Returns a finding about something that could not be looked at, with the reason.
    pub fn skipped(what: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::of(State::Skipped, None, what, evidence, "")
    }

    /// Returns a warning.
    pub fn warning(
        fault: impl Into<Option<Fault>>,
        what: impl Into<String>,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::of(State::Warning, fault.into(), what, evidence, remedy)
    }

    /// Returns a failure.
    pub fn failed(
        fault: impl Into<Option<Fault>>,
        what: impl Into<String>,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::of(State::Failed, fault.into(), what, evidence, remedy)
    }

    fn of(
        state: State,
        fault: Option<Fault>,
        what: impl Into<String>,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (what, evidence, remedy) = (what.into(), evidence.into(), remedy.into());
        Self { fault, state, what, evidence, remedy }
    }

    /// Adds a remedy to a finding that was skipped.
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Whether something does not work.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.state == State::Failed
    }

    /// Returns one line for the log: statement, evidence and remedy.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.hint();
        if let Some(fault) = self.fault {
            line += &format!(" (byway explain {fault})");
        }
        line
    }

    /// Returns statement, evidence and remedy as one sentence: `WHAT: REMEDY`, or `WHAT: EVIDENCE;
    /// REMEDY`.
    #[must_use]
    pub fn hint(&self) -> String {
        let before = if self.evidence.is_empty() { ": " } else { "; " };
        let remedy = printable(&self.remedy);
        self.statement() + if remedy.is_empty() { "" } else { before } + &remedy
    }

    fn statement(&self) -> String {
        let what = printable(&self.what);
        if self.evidence.is_empty() { what } else { format!("{what}: {}", printable(&self.evidence)) }
    }
}

/// Writes `failed   WHAT: EVIDENCE`, then a line each for the remedy and the documentation.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8} {}", self.state, self.statement())?;
        if !self.remedy.is_empty() {
            write!(f, "\n{:9}remedy: {}", "", printable(&self.remedy))?;
        }
        if let Some(fault) = self.fault.filter(|_| self.state != State::Ok) {
            write!(f, "\n{:9}more: byway explain {fault}", "")?;
        }
        Ok(())
    }
}

/// Replaces characters that a terminal would obey or that reorder text: other programs and servers
/// choose parts of the evidence.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if is_printable(character) { character } else { REPLACEMENT }).collect()
}

/// Stands for a character that is not printed.
pub const REPLACEMENT: char = '\u{fffd}';

/// Whether a character neither changes a terminal's state nor the order of others, and is seen.
#[must_use]
pub fn is_printable(character: char) -> bool {
    let is_hidden = matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}');
    !character.is_control() && !is_hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_its_remedy_and_its_entry_once() {
        let finding = Finding::failed(
            Fault::KeyUnreadable,
            "the private key cannot be read",
            "/etc/byway/key.pem: Permission denied",
            "chown byway /etc/byway/key.pem",
        );
        assert_eq!(
            finding.to_string(),
            "failed   the private key cannot be read: /etc/byway/key.pem: Permission denied\n         \
             remedy: chown byway /etc/byway/key.pem\n         more: byway explain key-unreadable"
        );
        assert_eq!(
            finding.line(),
            "the private key cannot be read: /etc/byway/key.pem: Permission denied; chown byway /etc/byway/key.pem \
             (byway explain key-unreadable)"
        );
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            "{\"fault\":\"key-unreadable\",\"state\":\"failed\",\"what\":\"the private key cannot be read\",\
             \"evidence\":\"/etc/byway/key.pem: Permission denied\",\"remedy\":\"chown byway /etc/byway/key.pem\"}"
        );
    }

    #[test]
    fn what_works_is_one_line() {
        assert_eq!(Finding::ok("clock", "0.2 s off").to_string(), "ok       clock: 0.2 s off");
        assert_eq!(Finding::skipped("IPv6", "").to_string(), "skipped  IPv6");
        assert_eq!(
            serde_json::to_string(&Finding::ok("clock", "")).unwrap(),
            "{\"fault\":null,\"state\":\"ok\",\"what\":\"clock\",\"evidence\":\"\",\"remedy\":\"\"}"
        );
    }

    #[test]
    fn threat_59_a_terminal_obeys_no_finding() {
        let finding = Finding::failed(None, "answer", "\u{1b}]0;owned\u{7}\r\n\u{202e}ok", "\u{9b}2J");
        assert_eq!(
            finding.to_string(),
            "failed   answer: \u{fffd}]0;owned\u{fffd}\u{fffd}\u{fffd}\u{fffd}ok\n         remedy: \u{fffd}2J"
        );
    }
}
