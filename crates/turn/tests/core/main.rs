//! The relay core in virtual time: exact inputs, exact outputs, one scenario per file.
//!
//! The tests open no socket and never sleep. Random values are seeded; the simulation prints its
//! seed and takes one from `BYWAY_SEED`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

mod accounting;
mod allocate;
mod allocate_errors;
mod allocation_expiry;
mod bandwidth;
mod behind_nat;
mod bid_down;
mod bind_failure;
mod binding;
mod byte_ledger;
mod capacity;
mod channel_bind;
mod channel_data;
mod channel_lifetime;
mod create_permission;
mod credentials;
mod discovery;
mod dont_fragment;
mod draining;
mod drops;
mod dual_allocation;
mod dual_allocation_ends;
mod even_port;
mod expired_credential;
mod icmp;
mod no_state;
mod nonce;
mod own_addresses;
mod password_algorithms;
mod peer_datagram;
mod peer_policy;
mod pending;
mod permission_lifetime;
mod quota;
mod refresh;
mod relay_addresses;
mod relay_to_relay;
mod relay_to_relay_end;
mod retransmission;
mod revocation;
mod rules;
mod send;
mod simulation;
mod static_users;
mod stranger_budget;
mod unknown_attributes;
mod userhash;
mod wrong_user;
