//! How fast one connection may talk. Pure: the time is handed in.

use std::time::Duration;

/// What a connection may send: a steady rate, and a burst on top for the candidates of a call that begins.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Time that one message costs.
    pub interval: Duration,
    /// Messages that may come at once.
    pub burst: u32,
    /// Refusals without a pause after which a connection is not merely eager.
    pub patience: u32,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the rate.
    Accept,
    /// Too fast, and the first after an accepted one: worth an answer.
    Refuse,
    /// Too fast again: an answer to each would only feed the flood.
    Ignore,
    /// Out of patience.
    Flood,
}

/// One connection's account, by the generic cell rate algorithm: one time stamp instead of a count that needs a timer.
#[derive(Debug)]
pub struct Meter {
    rate: Rate,
    /// When every message accepted so far will be paid for.
    paid_at: Duration,
    /// Refusals since the account was last empty.
    refusals: u32,
    last_refused: bool,
}

impl Meter {
    /// An account with nothing on it.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, paid_at: Duration::ZERO, refusals: 0, last_refused: false }
    }

    /// Judges a message that arrives at monotonic time `now`.
    pub fn judge(&mut self, now: Duration) -> Verdict {
        if self.paid_at <= now {
            self.paid_at = now;
            self.refusals = 0;
        }
        if self.paid_at + self.rate.interval - now <= self.rate.interval * self.rate.burst {
            self.paid_at += self.rate.interval;
            self.last_refused = false;
            return Verdict::Accept;
        }
        self.refusals += 1;
        let again = std::mem::replace(&mut self.last_refused, true);
        match (self.refusals > self.rate.patience, again) {
            (true, _) => Verdict::Flood,
            (false, true) => Verdict::Ignore,
            (false, false) => Verdict::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Accept, Flood, Ignore, Refuse};

    fn meter() -> Meter {
        Meter::new(Rate { interval: Duration::from_millis(20), burst: 3, patience: 4 })
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(1_000 + millis)
    }

    #[test]
    fn a_burst_then_a_steady_rate() {
        let mut meter = meter();
        let verdicts: Vec<_> =
            [0, 0, 0, 0, 19, 20, 20, 39, 40].into_iter().map(|t| meter.judge(at(t))).collect();
        assert_eq!(verdicts, [Accept, Accept, Accept, Refuse, Ignore, Accept, Refuse, Ignore, Accept]);
    }

    #[test]
    fn refusals_without_a_pause_are_a_flood() {
        let mut meter = meter();
        let verdicts: Vec<_> = (0..8).map(|_| meter.judge(at(0))).collect();
        assert_eq!(verdicts, [Accept, Accept, Accept, Refuse, Ignore, Ignore, Ignore, Flood]);
    }

    #[test]
    fn a_pause_settles_the_account() {
        let mut meter = meter();
        for _ in 0..6 {
            meter.judge(at(0));
        }
        let verdicts: Vec<_> = (0..5).map(|_| meter.judge(at(60))).collect();
        assert_eq!(verdicts, [Accept, Accept, Accept, Refuse, Ignore]);
    }
}
