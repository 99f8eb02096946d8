//! The binary against what a machine may lack: coturn's clients, an ACME authority, and namespaces,
//! which need root.
//!
//! Each module is a stage of `tests/run`, which installs its tools.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod acme;
mod interop;
mod nat;
