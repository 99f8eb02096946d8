//! TURN over connections, black box: through the binary, over real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

#[path = "../tls/certificates.rs"]
#[allow(dead_code, reason = "shared with the tests of TLS, which use more of it")]
mod certificates;
mod client;
mod ends;
mod floods;
mod framing;
mod slow;
#[path = "../support/mod.rs"]
mod support;
#[path = "../tls/client.rs"]
#[allow(dead_code, reason = "shared with the tests of TLS, which use more of it")]
mod tls;
#[path = "../core/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the scenarios, which use more of it")]
mod turn;
