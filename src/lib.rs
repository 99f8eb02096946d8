//! Byway: STUN, a TURN relay, signaling and ICE configuration in one process, so that browser calls connect.
//!
//! # Architecture
//!
//! Three rings; each knows only the ones within.
//!
//! | ring | rooms | may know |
//! |---|---|---|
//! | protocol, pure | [`wire`], [`relay`], [`credentials`], `signaling::{protocol, room}` | bytes, values, and a [`clock::Now`] that is handed in: no socket, no tokio, no clock, no global randomness |
//! | drivers | [`dataplane`], `signaling::session`, [`http`] | sockets, threads, tokio |
//! | composition | [`server`], [`config`], [`cli`], `main.rs` | everything |

pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod http;
pub mod ice;
pub mod metrics;
pub mod relay;
pub mod server;
pub mod signaling;
