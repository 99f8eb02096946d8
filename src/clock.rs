//! The only code that reads a clock.
//!
//! All other code takes a [`Now`], so that tests run the protocol in virtual time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use byway_turn::time::Now;

/// Reads the system's clocks. Copies agree on the start of monotonic time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Returns a clock whose monotonic time begins now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { mono: self.start.elapsed(), unix: wall_clock().as_secs() }
    }

    /// Returns the milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        u64::try_from(wall_clock().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Returns the time since 1970-01-01 UTC.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall_clock() -> Duration {
    // A system clock before 1970 reads as 0. Every credential then seems valid for too long and is
    // rejected.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
