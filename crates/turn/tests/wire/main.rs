//! `byway_turn::wire` proven from outside: by properties, by test vectors, and against two other
//! implementations.
//!
//! | module | proves |
//! |---|---|
//! | [`totality`] | nothing that is received panics, and nothing that is named lies outside of its datagram |
//! | [`rfc5769`], [`rfc8489`] | the published test vectors are read and verified |
//! | [`integrity`] | of two signatures the better one counts, and nothing behind it |
//! | [`against_stun`], [`against_stun_types`] | both crates read what we read, but for named differences |
//! | [`writers`] | both crates read what we write |
//! | [`ledger`] | an answer to a stranger is no byte longer than it must be |
//!
//! [`plan`] draws well-formed messages, [`build`] writes them, [`hostile`] spoils them, and
//! [`seeds`] tells how to replay a failure. More cases than the default:
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
