//! STUN and TURN server core without I/O: datagrams in, [`server::Action`]s and [`server::Effect`]s
//! out.
//!
//! Time, seeds and addresses are handed in, and nothing here opens a socket, reads a clock, spawns
//! a thread or logs, so that a run replays from its inputs. The driver owns the sockets: it hands
//! each datagram to a [`server::Relay`], does what the returned action says, and binds or closes
//! relay sockets as the effects ask.
//!
//! | module | holds |
//! |---|---|
//! | [`wire`] | the one parser of STUN messages and ChannelData, and the writers (RFC 8489, RFC 8656) |
//! | [`server`] | allocations, permissions, channels, quotas and the peer address policy of one shard (RFC 8656) |
//! | [`auth`] | time-limited credentials compatible with coturn's `use-auth-secret`, and revocation |
//! | [`rate_limit`], [`shares`] | rate per client network, and shares of bounded resources |
//! | [`client_network`], [`address_set`] | the unit that limits count by, and sets of addresses |
//! | [`time`], [`prng`] | the moment and the seed that are handed in |
//! | [`lock`] | locking of data that a panic cannot break |
//! | [`closed_set`](mod@closed_set) | enums with a label for each value, for metrics |

#![forbid(unsafe_code)]

pub mod address_set;
pub mod auth;
pub mod client_network;
pub mod closed_set;
pub mod lock;
pub mod prng;
pub mod rate_limit;
pub mod server;
pub mod shares;
pub mod time;
pub mod wire;
