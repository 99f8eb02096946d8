//! The TLS port, black box: through the binary, over real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

mod certificates;
mod client;
mod floods;
mod frames;
mod http2;
mod memory;
mod pages;
mod protocols;
mod renewal;
mod start;
#[path = "../support/mod.rs"]
mod support;
