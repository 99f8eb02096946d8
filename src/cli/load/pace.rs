//! Pacing of datagrams: evenly or in trains, without a burst after a delay.

use std::time::Duration;

/// Time for which missed datagrams are sent late after this program was delayed. More would be an
/// unintended burst.
const CATCH_UP: Duration = Duration::from_micros(500);
/// Minimum of that in datagrams.
const CATCH_UP_MIN: u64 = 64;

/// Scheduler of datagrams.
pub(super) struct Pace {
    /// Datagrams per second.
    rate: f64,
    /// Datagrams sent back to back.
    train: u64,
    /// Datagrams that were due so far, sent or not.
    passed: u64,
    /// Datagrams that were due but not sent because it was too late.
    pub(super) missed: u64,
}

impl Pace {
    pub(super) fn new(rate: f64, train: u64) -> Self {
        Self { rate, train, passed: 0, missed: 0 }
    }

    /// Returns the number of datagrams to send at `elapsed` since the start. They are complete
    /// trains, at most `most` datagrams, but at least one train once it is due.
    pub(super) fn due(&mut self, elapsed: Duration, most: u64) -> u64 {
        let due = whole(self.rate * elapsed.as_secs_f64()).saturating_sub(self.passed);
        let cap = whole(self.rate * CATCH_UP.as_secs_f64()).max(CATCH_UP_MIN).max(2 * self.train);
        let missed = due.saturating_sub(cap);
        let now = (due - missed).min(most.max(self.train));
        let now = now - now % self.train;
        self.missed += missed;
        self.passed += missed + now;
        now
    }

    /// Returns the time at which the next train is due, since the start.
    pub(super) fn next(&self) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let seconds = (self.passed + self.train) as f64 / self.rate;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "a rate is positive, and a run is short"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_rate_is_kept_and_nothing_is_sent_early() {
        let mut pace = Pace::new(1000.0, 1);
        assert_eq!(pace.due(Duration::ZERO, 64), 0);
        assert_eq!(pace.next(), milliseconds(1));
        let sent: u64 = (1..=1000).map(|ms| pace.due(milliseconds(ms), 64)).sum();
        assert_eq!((sent, pace.missed), (1000, 0));
    }

    #[test]
    fn trains_are_whole() {
        let mut pace = Pace::new(1000.0, 8);
        assert_eq!(pace.due(milliseconds(7), 64), 0);
        assert_eq!(pace.next(), milliseconds(8));
        assert_eq!(pace.due(milliseconds(25), 64), 24);
        assert_eq!(pace.due(milliseconds(40), 4), 8, "a train longer than a batch is not cut");
    }

    #[test]
    fn what_was_missed_for_long_is_not_made_up_for() {
        let mut pace = Pace::new(1_000_000.0, 1);
        assert_eq!(pace.due(milliseconds(1000), 1000), 500);
        assert_eq!(pace.missed, 999_500);
        assert_eq!(pace.due(milliseconds(1000), 1000), 0);
    }
}
