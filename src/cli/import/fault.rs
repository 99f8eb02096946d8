//! Faults of a coturn configuration, by file and line.

use std::fmt;

/// Faults that are reported of one file.
const MOST: usize = 20;

/// One fault. Its text never has a secret, a password or the name of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Line, from 1; `None` if the whole file is at fault.
    pub(super) line: Option<usize>,
    pub(super) reason: String,
    pub(super) remedy: String,
}

impl Fault {
    /// Fault of one line.
    pub(super) fn at(line: usize, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line: Some(line), reason: reason.into(), remedy: remedy.into() }
    }

    /// Fault of the whole file.
    pub(super) fn of_file(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line: None, reason: reason.into(), remedy: remedy.into() }
    }
}

/// All faults of a file. Nothing is written if there is one.
#[derive(Debug)]
pub struct ImportFaults {
    /// Name of the file.
    pub(super) file: String,
    /// At least one.
    pub(super) faults: Vec<Fault>,
}

impl fmt::Display for ImportFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Fault { line, reason, remedy }) in self.faults.iter().take(MOST).enumerate() {
            let gap = if number == 0 { "" } else { "\n\n" };
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            write!(f, "{gap}{}{line}: {reason}\n  remedy: {remedy}", self.file)?;
        }
        match self.faults.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}
