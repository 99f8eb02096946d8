//! The real binary on other machines than this one, each a network namespace.
//!
//! Namespaces need root, so that `cargo test` names these tests and leaves them out. `tests/run nat` runs them, and installs
//! what they need: coturn's clients, iproute2, libfaketime, nftables.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "../support/mod.rs"]
mod support;

mod address_changes;

#[path = "../ip_header/client.rs"]
#[allow(dead_code, reason = "shared with the tests of IP headers, which use more of it")]
mod client;
mod clock;
mod discovery;
mod local_ports;
#[path = "../support/member.rs"]
#[allow(dead_code, reason = "shared with the tests of who leaves, which use more of it")]
mod member;
mod namespace;
mod own_address;
mod segments;
mod send_errors;
#[path = "../support/train.rs"]
mod train;
#[path = "../core/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the scenarios, which use more of it")]
mod turn;
mod unlisted_proxy;
