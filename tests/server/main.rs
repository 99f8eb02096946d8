//! The server, black box: mostly the binary over real sockets on loopback, each test with a server
//! of its own.
//!
//! `http_signaling` starts its pages within the test's process instead, where it can hand in limits
//! and addresses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

mod cli;
mod discovery;
mod file_descriptors;
mod hostile;
mod http_signaling;
mod ice;
mod ip_header;
mod load;
mod log;
mod probe;
mod revocation;
mod shutdown;
mod startup;
mod streams;
mod tls;
mod trains;
