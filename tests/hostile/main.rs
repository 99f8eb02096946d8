//! What strangers and clients do to a server, black box: through the binary, over real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

#[path = "../tls/certificates.rs"]
#[allow(dead_code, reason = "shared with the tests of TLS, which use more of it")]
mod certificates;
#[path = "../ip_header/client.rs"]
#[allow(dead_code, reason = "shared with the tests of IP headers, which use more of it")]
mod client;
mod malformed;
mod own_listeners;
mod reserved_ports;
#[path = "../support/mod.rs"]
mod support;
#[path = "../core/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the scenarios, which use more of it")]
mod turn;
mod wrong_credentials;
