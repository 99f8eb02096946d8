//! Message rate of one connection. Pure: the time is handed in.

use std::time::Duration;

use byway_turn::rate_limit::Gcra;

/// Rate of messages on a connection: a steady one, and a burst on top for the candidates of a call
/// that begins.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Time that one message costs.
    pub interval: Duration,
    /// Messages that may come at once.
    pub burst: u32,
    /// Refusals without a pause after which a connection is not merely eager.
    pub patience: u32,
}

/// Verdict on a message.
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

/// Rate limit of one connection, which distinguishes a busy client from a flood.
#[derive(Debug)]
pub struct FloodGuard {
    rate: Rate,
    account: Gcra,
    /// Refusals since the account was last settled.
    refusals: u32,
    last_refused: bool,
}

impl FloodGuard {
    /// A guard that has charged nothing yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, account: Gcra::default(), refusals: 0, last_refused: false }
    }

    /// Judges a message that arrives at monotonic time `now`.
    pub fn judge(&mut self, now: Duration) -> Verdict {
        if self.account.is_full(now) {
            self.refusals = 0;
        }
        let Rate { interval, burst, patience } = self.rate;
        if self.account.take(now, interval, interval * burst).is_ok() {
            self.last_refused = false;
            return Verdict::Accept;
        }
        self.refusals += 1;
        let again = std::mem::replace(&mut self.last_refused, true);
        match (self.refusals > patience, again) {
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

    fn guard() -> FloodGuard {
        FloodGuard::new(Rate { interval: Duration::from_millis(20), burst: 3, patience: 4 })
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(1_000 + millis)
    }

    #[test]
    fn a_burst_then_a_steady_rate() {
        let mut guard = guard();
        let verdicts: Vec<_> =
            [0, 0, 0, 0, 19, 20, 20, 39, 40].into_iter().map(|t| guard.judge(at(t))).collect();
        assert_eq!(verdicts, [Accept, Accept, Accept, Refuse, Ignore, Accept, Refuse, Ignore, Accept]);
    }

    #[test]
    fn refusals_without_a_pause_are_a_flood() {
        let mut guard = guard();
        let verdicts: Vec<_> = (0..8).map(|_| guard.judge(at(0))).collect();
        assert_eq!(verdicts, [Accept, Accept, Accept, Refuse, Ignore, Ignore, Ignore, Flood]);
    }

    #[test]
    fn a_pause_settles_the_account() {
        let mut guard = guard();
        for _ in 0..6 {
            guard.judge(at(0));
        }
        let verdicts: Vec<_> = (0..5).map(|_| guard.judge(at(60))).collect();
        assert_eq!(verdicts, [Accept, Accept, Accept, Refuse, Ignore]);
    }
}
