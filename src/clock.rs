//! The one place that reads a clock.
//!
//! Everything else is handed a [`Now`], so that the protocol can be tested in virtual time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment, as the protocol sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since an arbitrary start, for lifetimes and deadlines.
    pub mono: Duration,
    /// Seconds since 1970-01-01 UTC, for nonces and the expiry of credentials.
    pub unix: u64,
}

impl Now {
    /// The same moment, `by` later. Whole seconds advance both clocks alike.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self { mono: self.mono + by, unix: self.unix + by.as_secs() }
    }
}

/// Reads the system's clocks. Copies agree on the start of monotonic time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The present moment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Now {
        // A system clock before 1970 reads as 0: every credential then looks valid for too long and is refused.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Now { mono: self.start.elapsed(), unix }
    }
}
