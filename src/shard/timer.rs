//! The one timer of a shard.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use byway_turn::time::Now;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::poll_token::Source;

/// Wakes a poll at a deadline. A timeout of the poll would do as well, but the kernel sets its clock anew for each, and
/// that is dear where a shard waits for every single datagram.
pub(super) struct Alarm {
    timer: TimerFd,
    /// When it goes off.
    at: Option<Duration>,
}

impl Alarm {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let descriptor = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), Source::Alarm.into(), Interest::READABLE)?;
        Ok(Self { timer, at: None })
    }

    /// Sets it for `deadline`, unless it goes off before that anyway.
    ///
    /// # Errors
    /// What the kernel says.
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
