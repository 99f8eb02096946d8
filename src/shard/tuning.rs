//! Tuning of a shard: choices that cost or save CPU, memory and latency, and change no datagram.

use std::time::Duration;

/// The choices that depend on the machine and on what its owner would rather spend: `[relay]` of
/// `turnserver.toml` has their defaults and reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Whether datagrams of one flow go through the kernel together, where it and the device can do
    /// that (GRO, GSO).
    pub offload: bool,
    /// Bytes asked for the receive buffer of each listening UDP socket; the kernel cuts them at
    /// `net.core.rmem_max`.
    pub receive_buffer: usize,
    /// Bytes asked for the send buffer of each listening UDP socket; the kernel cuts them at
    /// `net.core.wmem_max`.
    pub send_buffer: usize,
    /// Bytes asked for each of the two buffers of a relay socket, cut likewise; 0 leaves the
    /// system's default.
    pub relay_buffer: usize,
    /// Time that a shard lets datagrams gather before it polls again, when every poll finds
    /// several; zero: none. It is the most that this adds to a datagram's latency.
    pub nap: Duration,
    /// Time that a shard keeps polling after the last datagram before it sleeps; zero: it sleeps at
    /// once. Never together with [`Self::nap`].
    pub busy_poll: Duration,
    /// Whether each shard is pinned to a core, and its listeners are preferred for what comes in on
    /// that core.
    pub incoming_cpu: bool,
}
