//! The only code that reads a clock.
//!
//! All other code takes a [`Now`], so that tests run the protocol in virtual time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Now {
        // A system clock before 1970 reads as 0. Every credential then seems valid for too long and
        // is rejected.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Now { mono: self.start.elapsed(), unix }
    }
}
