//! When a shard looks again: at once, when the kernel wakes it, or after a nap that gathers more.

use std::time::Duration;

use byway_turn::time::Now;

/// How long arrivals are counted before their rate is taken anew.
const WINDOW: Duration = Duration::from_millis(2);

/// Arrivals that a nap must be expected to gather. Each would wake the shard by itself; with fewer, the wait costs more
/// patience than it saves.
const WORTH: u32 = 6;

/// How a shard waits.
pub(super) struct Pace {
    nap: Duration,
    busy_poll: Duration,
    /// When arrivals were last counted from zero.
    since: Duration,
    arrivals: u32,
    is_dense: bool,
    /// When something came last.
    last: Duration,
}

impl Pace {
    /// Zero switches either off.
    pub(super) fn new(nap: Duration, busy_poll: Duration) -> Self {
        let zero = Duration::ZERO;
        Self { nap, busy_poll, since: zero, arrivals: 0, is_dense: false, last: zero }
    }

    /// Whether to keep asking the kernel instead of sleeping.
    pub(super) fn is_busy(&self, now: Now) -> bool {
        now.mono < self.last + self.busy_poll
    }

    /// Takes in how many batches a round has served; yields how long to wait before the next one.
    pub(super) fn after(&mut self, now: Now, batches: usize) -> Option<Duration> {
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
        let mut pace = Pace::new(NAP, Duration::ZERO);
        // One every 50 microseconds: four in a nap.
        assert!((0..200).all(|i| pace.after(at(50 * i), 1).is_none()));
        // One every 20: ten in a nap.
        let naps = (0..1000).filter(|i| pace.after(at(10_000 + 20 * i), 1) == Some(NAP)).count();
        assert!((800..950).contains(&naps), "{naps}");
        // While it naps, they come in batches.
        assert!((0..100).all(|i| pace.after(at(30_000 + 200 * i), 10) == Some(NAP)));
        assert!((50..100).all(|i| pace.after(at(50_000 + 200 * i), 2).is_none() || i < 62));
    }

    #[test]
    fn a_busy_shard_sleeps_once_nothing_has_come_for_long_enough() {
        let mut pace = Pace::new(Duration::ZERO, Duration::from_millis(1));
        assert_eq!(pace.after(at(5000), 1), None);
        assert_eq!(pace.after(at(5500), 0), None);
        assert!(pace.is_busy(at(5999)));
        assert!(!pace.is_busy(at(6000)));
    }
}
