//! Lines of the log about what clients send: each once in a period, and few of them, because
//! clients make it up.

use std::sync::Mutex;
use std::time::Duration;

use byway_turn::lock::lock;

/// Remarks that have been made in the current period.
#[derive(Debug)]
pub(super) struct Remarks<T> {
    most: usize,
    period: Duration,
    /// Start of the period, and what was remarked on since. A `std` mutex: held for a look-up,
    /// never across an await.
    made: Mutex<(Duration, Vec<T>)>,
}

impl<T: Clone + PartialEq> Remarks<T> {
    /// Allows at most `most` remarks per period.
    pub(super) const fn new(most: usize, period: Duration) -> Self {
        Self { most, period, made: Mutex::new((Duration::ZERO, Vec::new())) }
    }

    /// Whether to remark on this now; it is remembered.
    pub(super) fn is_new(&self, now: Duration, what: &T) -> bool {
        // A list is whole between any two statements.
        let mut made = lock(&self.made);
        let (since, seen) = &mut *made;
        if now.saturating_sub(*since) >= self.period {
            (*since, *seen) = (now, Vec::new());
        }
        let is_new = seen.len() < self.most && !seen.contains(what);
        if is_new {
            seen.push(what.clone());
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_33_the_log_takes_few_of_the_names_that_clients_invent() {
        let remarks = Remarks::new(4, Duration::from_secs(3_600));
        let made =
            |at: u64| (0..1_000).filter(|n| remarks.is_new(Duration::from_secs(at), &(n % 10))).count();
        assert_eq!(made(0), 4);
        assert_eq!(made(3_599), 0);
        assert_eq!(made(3_600), 4);
    }
}
