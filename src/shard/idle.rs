//! Waiting between two rounds: poll again at once, sleep until the kernel wakes the shard, or nap
//! to gather datagrams.

use std::time::Duration;

use byway_turn::time::Now;

/// Window over which the arrival rate is measured.
const WINDOW: Duration = Duration::from_millis(2);

/// Minimum arrivals that a nap is expected to gather. Without the nap each would wake the shard.
/// With fewer, the saved wake-ups do not justify the latency.
const WORTH: u32 = 6;

/// Decides after each round whether a shard sleeps, naps or polls again.
pub(super) struct IdleStrategy {
    nap: Duration,
    busy_poll: Duration,
    /// Beginning of the window in which `arrivals` are counted.
    since: Duration,
    arrivals: u32,
    is_dense: bool,
    /// Time of the latest arrival.
    last: Duration,
}

impl IdleStrategy {
    /// Creates a strategy. A zero duration disables its feature.
    pub(super) fn new(nap: Duration, busy_poll: Duration) -> Self {
        let zero = Duration::ZERO;
        Self { nap, busy_poll, since: zero, arrivals: 0, is_dense: false, last: zero }
    }

    /// Whether to keep polling instead of sleeping.
    pub(super) fn is_busy_polling(&self, now: Now) -> bool {
        now.mono < self.last + self.busy_poll
    }

    /// Records the number of batches that a round has served. Returns the nap to take before the
    /// next round.
    pub(super) fn after_round(&mut self, now: Now, batches: usize) -> Option<Duration> {
        if batches > 0 {
            self.last = now.mono;
        }
        if self.nap.is_zero() {
            return None;
        }
        self.arrivals += u32::try_from(batches).unwrap_or(u32::MAX);
        let window = now.mono.saturating_sub(self.since);
        if window >= WINDOW {
            self.is_dense = self.nap * self.arrivals >= window * WORTH;
            (self.since, self.arrivals) = (now.mono, 0);
        }
        self.is_dense.then_some(self.nap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAP: Duration = Duration::from_micros(200);

    fn at(micros: u64) -> Now {
        Now { mono: Duration::from_micros(micros), unix: 0 }
    }

    #[test]
    fn naps_begin_where_each_gathers_enough_and_end_where_it_does_not() {
        let mut idle = IdleStrategy::new(NAP, Duration::ZERO);
        // One arrival every 50 microseconds: four in a nap.
        assert!((0..200).all(|i| idle.after_round(at(50 * i), 1).is_none()));
        // One arrival every 20 microseconds: ten in a nap.
        let naps = (0..1000).filter(|i| idle.after_round(at(10_000 + 20 * i), 1) == Some(NAP)).count();
        assert!((800..950).contains(&naps), "{naps}");
        // While the shard naps, arrivals come in batches.
        assert!((0..100).all(|i| idle.after_round(at(30_000 + 200 * i), 10) == Some(NAP)));
        assert!((50..100).all(|i| idle.after_round(at(50_000 + 200 * i), 2).is_none() || i < 62));
    }

    #[test]
    fn a_busy_shard_sleeps_once_nothing_has_come_for_long_enough() {
        let mut idle = IdleStrategy::new(Duration::ZERO, Duration::from_millis(1));
        assert_eq!(idle.after_round(at(5000), 1), None);
        assert_eq!(idle.after_round(at(5500), 0), None);
        assert!(idle.is_busy_polling(at(5999)));
        assert!(!idle.is_busy_polling(at(6000)));
    }
}
