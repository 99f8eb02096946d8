//! The real binary on other machines than this one, each a network namespace.
//!
//! Namespaces need root, so that `cargo test` names these tests and leaves them out. `tests/run nat` runs them, and installs
//! what they need: coturn's clients, iproute2, nftables.
#![allow(clippy::panic, reason = "a panic is how a test fails")]

#[path = "../support/mod.rs"]
mod support;

mod discovery;
mod namespace;
mod own_address;
