//! The real binary on other machines than this one, each a network namespace.
//!
//! Namespaces need root, so that `cargo test` names these tests and leaves them out.
//! `tests/run nat` runs them, and installs what they need: coturn's clients, iproute2, libfaketime,
//! nftables.

mod address_changes;
mod clock;
mod discovery;
mod init;
mod local_ports;
mod namespace;
mod own_address;
mod segments;
mod send_errors;
mod unlisted_proxy;
