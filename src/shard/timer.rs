//! Timer of a shard.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use byway_turn::time::Now;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::poll_token::PollToken;

/// Wakes a poll at a deadline. A poll timeout would work, too, but makes the kernel program its
/// clock for every poll. That is expensive if a shard waits for each datagram.
pub(super) struct Timer {
    timer: TimerFd,
    /// Time at which the timer expires.
    at: Option<Duration>,
}

impl Timer {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let descriptor = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), PollToken::Timer.into(), Interest::READABLE)?;
        Ok(Self { timer, at: None })
    }

    /// Sets the timer to `deadline`, unless it expires earlier anyway.
    ///
    /// # Errors
    /// The kernel refuses to set the timer.
    pub(super) fn set(&mut self, now: Now, deadline: Option<Duration>) -> io::Result<()> {
        let Some(deadline) = deadline else { return Ok(()) };
        if self.at.is_some_and(|at| now.mono < at && at <= deadline) {
            return Ok(());
        }
        // Zero would disarm the timer.
        let wait = deadline.saturating_sub(now.mono).max(Duration::from_nanos(1));
        self.timer.set(Expiration::OneShot(wait.into()), TimerSetTimeFlags::empty())?;
        self.at = Some(now.mono + wait);
        Ok(())
    }
}
