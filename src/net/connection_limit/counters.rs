//! Counters of connections.

use crate::metrics::SharedCount;

/// Connections as they are admitted.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Open now.
    pub open: SharedCount,
    /// Ended for whatever reason.
    pub ended: SharedCount,
    /// Refused because there were too many.
    pub refused_total: SharedCount,
    /// Refused because there were too many from their address.
    pub refused_address: SharedCount,
    /// Ended for more frames than the rate limit allows.
    pub ended_flood: SharedCount,
    /// Ended to give their memory to others.
    pub ended_memory: SharedCount,
    /// Ended for a request, a message or the reading of a response that took too long.
    pub ended_slow: SharedCount,
}

impl ConnectionCounters {
    /// Refused connections, by the limit reached.
    #[must_use]
    pub fn refused(&self) -> [(&'static str, u64); 2] {
        [("total", self.refused_total.get()), ("address", self.refused_address.get())]
    }

    /// Connections that a limit has ended, by reason.
    #[must_use]
    pub fn ended_by(&self) -> [(&'static str, u64); 3] {
        let Self { ended_flood, ended_memory, ended_slow, .. } = self;
        [("flood", ended_flood.get()), ("memory", ended_memory.get()), ("slow", ended_slow.get())]
    }
}
