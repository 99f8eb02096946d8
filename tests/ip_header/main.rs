//! What IP headers say, black box: through the binary, over real sockets on loopback (RFC 8656 sections 11.5, 13 to 15).
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

#[allow(dead_code, reason = "shared with other tests, which use more of it")]
mod client;
mod fragments;
mod icmp;
#[path = "../support/mod.rs"]
mod support;
mod traffic_class;
#[path = "../core/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the scenarios, which use more of it")]
mod turn;
mod wildcard;
