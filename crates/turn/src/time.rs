//! Time that the caller passes in. Nothing in this crate reads a clock, so tests run in virtual
//! time.

use std::time::Duration;

/// Current time on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since an arbitrary start, for lifetimes and deadlines.
    pub mono: Duration,
    /// Seconds since 1970-01-01 UTC, for nonces and the expiry of credentials.
    pub unix: u64,
}

impl Now {
    /// Returns the time `by` later. Only whole seconds of `by` advance the wall clock.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self { mono: self.mono + by, unix: self.unix + by.as_secs() }
    }
}

/// Detects steps of the wall clock: set by hand, by NTP at boot, or after the machine slept.
///
/// Slewing affects both clocks alike, so only a step changes their difference. After a step, every
/// promise that ends at a time of day is due at another moment than intended.
#[derive(Clone, Copy, Debug)]
pub struct StepDetector {
    /// Wall clock minus monotonic clock, in seconds.
    offset: i64,
}

impl StepDetector {
    /// Smallest step, in seconds, that is reported. Credentials outlast smaller ones.
    const TOLERANCE: u64 = 5;

    /// Creates a detector of steps after `now`.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self { offset: Self::offset(now) }
    }

    /// Returns the seconds by which the wall clock was set forward since the last reported step.
    ///
    /// Negative values mean back; `None` means a step of less than 5 seconds.
    pub fn step(&mut self, now: Now) -> Option<i64> {
        let step = Self::offset(now).saturating_sub(self.offset);
        (step.unsigned_abs() >= Self::TOLERANCE).then(|| {
            self.offset = Self::offset(now);
            step
        })
    }

    fn offset(now: Now) -> i64 {
        let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        seconds(now.unix).saturating_sub(seconds(now.mono.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_44_a_step_of_the_wall_clock_is_told_once() {
        let start = Now { mono: Duration::from_millis(7900), unix: 1_763_640_000 };
        let set = |now: Now, by: i64| Now { unix: now.unix.checked_add_signed(by).unwrap(), ..now };
        let mut detector = StepDetector::new(start);
        // A second that one clock has begun and the other has not is not a step.
        let later = Now { mono: Duration::from_millis(1_007_950), unix: start.unix + 999 };
        for by in [0, 1, -1, 3, -3] {
            assert_eq!(detector.step(set(later, by)), None, "{by}");
        }
        assert_eq!(detector.step(set(later, 3601)), Some(3600));
        assert_eq!(detector.step(set(later, 3601).after(Duration::from_secs(600))), None);
        assert_eq!(detector.step(set(later, -7199)), Some(-10_800));
        assert_eq!(detector.step(set(later, -7199)), None);
        // NTP at boot of a machine without a battery.
        let mut detector = StepDetector::new(Now { unix: 0, ..start });
        assert_eq!(detector.step(start), Some(1_763_640_000));
        assert_eq!(detector.step(Now { unix: u64::MAX, ..start }), Some(i64::MAX - 1_763_640_000));
    }

    #[test]
    fn small_steps_add_up() {
        let start = Now { mono: Duration::ZERO, unix: 1000 };
        let mut detector = StepDetector::new(start);
        let told: Vec<_> = (1..=6).filter_map(|by| detector.step(Now { unix: 1000 + by, ..start })).collect();
        assert_eq!(told, [5]);
    }
}
