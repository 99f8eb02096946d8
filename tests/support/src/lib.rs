//! Helpers of Byway's tests and benches.
//!
//! - [`turn`]: the relay core in virtual time, with clients and their messages. No socket is
//!   opened, and no test waits.
//! - `process`, a module and a feature: runs the binary, and talks to it over HTTP, WebSocket, TLS,
//!   TURN and plain sockets.
//! - [`sources`]: the project's own files, for `tests/tidy/main.rs`.
//!
//! Without the feature, the package compiles in seconds. Tests and benches of the core need no
//! more.
//!
//! # Example
//!
//! An allocation without a Refresh ends after 600 seconds (RFC 8656 section 7.2):
//!
//! ```
//! use byway_test_support::turn::{Client, Server, seconds};
//!
//! let mut server = Server::new();
//! let (_client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
//! assert_eq!(server.sockets(), [relayed]);
//!
//! server.advance(seconds(599));
//! assert_eq!(server.allocations(), 1);
//! server.advance(seconds(1));
//! assert_eq!(server.allocations(), 0);
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::new_without_default, reason = "tests call `new`, and no code is generic over Default")]

#[cfg(feature = "process")]
pub mod process;
pub mod sources;
pub mod turn;
