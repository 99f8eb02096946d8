//! External tests of `byway_turn::wire`: properties, test vectors, and comparisons with two other
//! implementations.
//!
//! - [`totality`]: no received bytes cause a panic, and every returned range lies within its
//!   datagram.
//! - [`rfc5769`], [`rfc8489`]: the published test vectors are parsed and verified.
//! - [`integrity`]: of two integrity attributes the stronger one counts, and nothing after it.
//! - [`against_stun`], [`against_stun_types`]: both crates read the same as Byway, except for
//!   listed differences.
//! - [`writers`]: both crates read the messages that Byway writes.
//! - [`ledger`]: a response to an unauthenticated client has no unnecessary byte.
//!
//! [`plan`] generates well-formed messages, [`build`] writes them, [`hostile`] corrupts them, and
//! [`seeds`] prints how to replay a failure. To run more cases than the default:
//! `PROPTEST_CASES=100000 cargo test --test wire`.
#![cfg(test)]

mod against_stun;
mod against_stun_types;
mod build;
mod hostile;
mod integrity;
mod ledger;
mod plan;
mod rfc5769;
mod rfc8489;
mod seeds;
mod totality;
mod writers;
