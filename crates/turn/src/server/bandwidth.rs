//! Bandwidth cap of an allocation.

use std::time::Duration;

use crate::rate_limit::Gcra;

/// Burst of the rate limiters: one second's worth.
pub(super) const DEPTH: Duration = Duration::from_secs(1);

/// Bandwidth cap of one allocation, separate for each direction.
#[derive(Debug)]
pub(super) struct Bandwidth {
    bytes_per_second: u64,
    to_peers: Gcra,
    to_client: Gcra,
}

impl Bandwidth {
    /// Creates a cap in bytes of payload per second; `None` for 0, which means no cap.
    pub(super) fn new(bytes_per_second: u64) -> Option<Self> {
        (bytes_per_second > 0).then(|| Self {
            bytes_per_second,
            to_peers: Gcra::default(),
            to_client: Gcra::default(),
        })
    }

    /// Returns the cap.
    pub(super) fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second
    }

    /// Charges bytes towards peers; false if they exceed the cap.
    pub(super) fn to_peers(&self, now: Duration, bytes: usize) -> bool {
        self.to_peers.take(now, self.cost(bytes), DEPTH).is_ok()
    }

    /// Charges bytes towards the client; false if they exceed the cap.
    pub(super) fn to_client(&self, now: Duration, bytes: usize) -> bool {
        self.to_client.take(now, self.cost(bytes), DEPTH).is_ok()
    }

    fn cost(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.bytes_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_bandwidth_goes_at_once_and_the_rest_as_time_passes() {
        let bandwidth = Bandwidth::new(10_000).unwrap();
        let sent = |at: Duration| (0..100).filter(|_| bandwidth.to_peers(at, 1000)).count();
        let start = Duration::from_secs(1000);
        assert_eq!(sent(start), 10);
        assert_eq!(sent(start + Duration::from_millis(99)), 0);
        assert_eq!(sent(start + Duration::from_millis(100)), 1);
        assert_eq!(sent(start + Duration::from_secs(60)), 10);
        assert!(bandwidth.to_client(start, 1000), "each way has its own");
    }

    #[test]
    fn zero_is_no_cap() {
        assert!(Bandwidth::new(0).is_none());
    }
}
