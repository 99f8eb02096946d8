//! Helpers of the tests and benches, each there once.
//!
//! | module | provides |
//! |---|---|
//! | [`turn`] | clients' messages, and a server and its clients in virtual time |
//! | `process` (feature of its name) | the binary, started and spoken to over HTTP, WebSocket, TLS, TURN and plain sockets |
//! | [`sources`] | the project's own files, for `tests/tidy/main.rs` |
//!
//! Without that feature the package builds in seconds: it is for benches and tests of the core
//! alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::new_without_default, reason = "tests call `new`, nothing is generic over it")]

#[cfg(feature = "process")]
pub mod process;
pub mod sources;
pub mod turn;
