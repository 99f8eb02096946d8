//! Byway: STUN, a TURN relay, signaling and ICE configuration in one process, so that browser calls connect.
//!
//! # Architecture
//!
//! Three rings; each knows only the ones within.
//!
//! | ring | rooms | may know |
//! |---|---|---|
//! | protocol, pure | [`wire`], [`relay`], [`credentials`], [`ice`], `signaling::{protocol, room, ids, rate}` | bytes, values, and a [`clock::Now`] that is handed in: no socket, no tokio, no clock, no global randomness |
//! | drivers | [`dataplane`], `signaling::{session, outbox}`, [`http`] | sockets, threads, tokio |
//! | composition | [`server`], [`config`], [`cli`], `main.rs` | everything |

pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod dataplane;
pub mod http;
pub mod ice;
pub mod interfaces;
pub mod metrics;
pub mod relay;
pub mod server;
pub mod signaling;
pub mod wire;
