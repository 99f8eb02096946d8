//! Tuning of a shard: trade-offs between CPU, memory and latency that change no datagram.

use std::time::Duration;

/// Settings that depend on the machine and the operator's priorities. `[relay]` of
/// `turnserver.toml` has their defaults and reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Whether datagrams of one flow go through the kernel together (GRO, GSO), if the kernel and
    /// the device support that.
    pub offload: bool,
    /// Receive buffer of each listening UDP socket, in bytes. The kernel caps it at
    /// `net.core.rmem_max`.
    pub receive_buffer: usize,
    /// Send buffer of each listening UDP socket, in bytes. The kernel caps it at
    /// `net.core.wmem_max`.
    pub send_buffer: usize,
    /// Receive and send buffer of a relay socket, in bytes each, with the same caps. 0 keeps the
    /// system's default.
    pub relay_buffer: usize,
    /// Time that a shard lets datagrams gather before it polls again, if every poll finds several.
    /// It is the maximum latency added to a datagram. Zero disables naps.
    pub nap: Duration,
    /// Time that a shard keeps polling after the last datagram before it sleeps. Zero makes it
    /// sleep at once. Mutually exclusive with [`Self::nap`].
    pub busy_poll: Duration,
    /// Whether each shard is pinned to a core, and the kernel prefers its listeners for datagrams
    /// that arrive on that core.
    pub incoming_cpu: bool,
}
