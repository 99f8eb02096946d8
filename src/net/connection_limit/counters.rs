//! Counters of connections.

use crate::metrics::SharedCount;

/// Counters of admitted and refused connections.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Currently open.
    pub open: SharedCount,
    /// Ended for any reason.
    pub ended: SharedCount,
    /// Refused because there were too many.
    pub refused_total: SharedCount,
    /// Refused because there were too many from their address.
    pub refused_address: SharedCount,
    /// Ended for more frames than the rate limit allows.
    pub ended_flood: SharedCount,
    /// Evicted to give their memory to others.
    pub ended_memory: SharedCount,
    /// Ended because a request, a message or the reading of a response took too long.
    pub ended_slow: SharedCount,
}

impl ConnectionCounters {
    /// Refused connections, by the limit reached.
    #[must_use]
    pub fn refused(&self) -> [(&'static str, u64); 2] {
        [("total", self.refused_total.get()), ("address", self.refused_address.get())]
    }

    /// Connections that a limit ended, by reason.
    #[must_use]
    pub fn ended_by(&self) -> [(&'static str, u64); 3] {
        let Self { ended_flood, ended_memory, ended_slow, .. } = self;
        [("flood", ended_flood.get()), ("memory", ended_memory.get()), ("slow", ended_slow.get())]
    }
}
