//! The server, black box: mostly the binary over real sockets on loopback, each test with a server
//! of its own.
//!
//! `http_signaling` starts its pages within the test's process instead, where it can hand in limits
//! and addresses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

mod cli;
mod discovery;
mod doctor;
mod file_descriptors;
mod hostile;
mod http_signaling;
mod ice;
mod import;
mod init;
mod ip_header;
mod load;
mod log;
mod log_lines;
mod metrics;
mod operator_view;
mod probe;
mod proxy_protocol;
mod reload;
mod revocation;
mod sessions;
mod shutdown;
mod startup;
mod static_users;
mod streams;
mod tls;
mod trains;
mod webhooks;
