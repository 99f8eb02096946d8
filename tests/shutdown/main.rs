//! The end of the server, black box: through the binary, over real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

#[path = "../ip_header/client.rs"]
#[allow(dead_code, reason = "shared with the tests of IP headers, which use more of it")]
mod client;
mod drain;
mod flood;
#[path = "../support/member.rs"]
#[allow(dead_code, reason = "shared with the tests of revocation, which use more of it")]
mod member;
#[path = "../support/mod.rs"]
mod support;
#[path = "../core/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the scenarios, which use more of it")]
mod turn;
