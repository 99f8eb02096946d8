//! Links a page: its modules and style sheets become part of one HTML document.
//!
//! A browser that opens the page over a slow network waits for one response instead of a chain of
//! them: document, then `app.js`, then what it imports, and so on. The files work without this
//! step, from any static file server; the linked document does the same, sooner.
//!
//! | module | holds |
//! |---|---|
//! | `document` | the HTML: which files it names, and their text in place |
//! | `graph` | modules in the order of their evaluation |
//! | `module` | imports and exports of one module |
//! | `lexer` | tokens |
//! | `style` | style sheets |
//!
//! The linker knows the forms of JavaScript that the page uses. It refuses any other form, with
//! file and line, rather than guess. It reads no files: the caller hands them in.
//!
//! Invariants:
//!
//! - A module in the document is nowhere loaded a second time.
//! - `import()` and `import.meta.url` give the URL that they give in the unlinked file.
//! - No text of a script or a style ends its element early.

mod document;
mod graph;
mod lexer;
mod module;
mod paths;
mod style;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use document::{Document, link};

/// Text files of the page by their paths from its folder, such as `byway/call.js`.
pub type Files = BTreeMap<String, String>;

/// Set of paths.
pub type Paths = BTreeSet<String>;

/// Reason why a page cannot be linked.
#[derive(Debug, PartialEq, Eq)]
pub struct LinkError {
    /// Path of the file from the folder of the page.
    pub path: String,
    /// Line number, from 1.
    pub line: usize,
    /// Cause, and the remedy where there is one.
    pub message: String,
}

impl LinkError {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

impl std::error::Error for LinkError {}

/// Error within one file.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    line: usize,
    message: String,
}

fn fault<T>(line: usize, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { line, message: message.into() })
}
