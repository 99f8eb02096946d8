//! Other machines than this one, and NATs between them, each in a network namespace.
//!
//! Namespaces need root, and the tools that `tests/run nat` installs: `cargo test` names these tests and leaves them out.

mod addresses;
mod kinds;
mod namespace;
#[path = "../support/mod.rs"]
mod support;
