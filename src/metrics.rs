//! Counters, written where things happen and read at scrape time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::relay::Reason;

/// Which way a payload was relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client out through its relay socket.
    ToPeer,
    /// From a relay socket to its client.
    ToClient,
    /// From one client of this server to another, in memory.
    BetweenClients,
}

impl Direction {
    /// Every direction with its label.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::ToPeer, "to_peer"), (Self::ToClient, "to_client"), (Self::BetweenClients, "between_clients")];
}

/// A count that one thread writes and others read: a load and a store, no locked instruction.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. Only the owning thread may call this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Sets the count. Only the owning thread may call this.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The count, as another thread sees it.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one shard of the data plane counts. Aligned, so that two shards never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardCounters {
    /// Live allocations.
    pub allocations: Count,
    /// Allocations ever granted.
    pub allocations_granted: Count,
    /// Binding responses sent.
    pub bindings: Count,
    /// TURN success responses sent.
    pub successes: Count,
    /// TURN and STUN error responses sent.
    pub errors: Count,
    /// 401 and 438 among the errors.
    pub challenges: Count,
    packets: [Count; Direction::ALL.len()],
    bytes: [Count; Direction::ALL.len()],
    drops: [Count; Reason::ALL.len()],
}

impl ShardCounters {
    /// Counts one relayed payload of `bytes` bytes.
    pub fn relayed(&self, direction: Direction, bytes: usize) {
        self.packets[direction as usize].add(1);
        self.bytes[direction as usize].add(bytes as u64);
    }

    /// Counts one dropped datagram.
    pub fn dropped(&self, reason: Reason) {
        self.drops[reason as usize].add(1);
    }

    /// Payloads and their bytes relayed in one direction.
    #[must_use]
    pub fn relayed_so_far(&self, direction: Direction) -> (u64, u64) {
        (self.packets[direction as usize].get(), self.bytes[direction as usize].get())
    }

    /// Datagrams dropped for one reason.
    #[must_use]
    pub fn dropped_so_far(&self, reason: Reason) -> u64 {
        self.drops[reason as usize].get()
    }
}
