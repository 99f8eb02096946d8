//! The one place that reads a clock.
//!
//! Everything else is handed a [`Now`], so that the protocol can be tested in virtual time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use byway_turn::time::Now;

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
        // A system clock before 1970 reads as 0: every credential then looks valid for too long and
        // is refused.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Now { mono: self.start.elapsed(), unix }
    }
}
