//! Timer of a shard.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use byway_turn::time::Now;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::poll_token::PollToken;

/// Wakes a poll at a deadline. A timeout of the poll would do as well, but the kernel programs its
/// clock for each, which is expensive where a shard waits for every single datagram.
pub(super) struct Timer {
    timer: TimerFd,
    /// Time at which it expires.
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

    /// Sets it for `deadline`, unless it expires before that anyway.
    ///
    /// # Errors
    /// The kernel refuses to set the timer.
    pub(super) fn set(&mut self, now: Now, deadline: Option<Duration>) -> io::Result<()> {
        let Some(deadline) = deadline else { return Ok(()) };
        if self.at.is_some_and(|at| now.mono < at && at <= deadline) {
            return Ok(());
        }
        // Zero would switch it off.
        let wait = deadline.saturating_sub(now.mono).max(Duration::from_nanos(1));
        self.timer.set(Expiration::OneShot(wait.into()), TimerSetTimeFlags::empty())?;
        self.at = Some(now.mono + wait);
        Ok(())
    }
}
