//! Reload of the certificate on SIGHUP and when its files have changed.
//!
//! The files are checked every few seconds rather than watched by inotify. ACME clients replace
//! symbolic links, folders are mounted, renamed and recreated, and a container may see another
//! kernel's file system. A watch would then follow a file that no longer exists, unnoticed for 90
//! days. Resolving the paths each time costs two calls.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::time::Now;
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::TlsCounters;
use super::certificate::Validity;
use super::{Certificate, CertificateFiles, Identity, Unusable};
use crate::clock::Clock;

/// Interval between checks of the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Remaining seconds at which renewal is overdue. Let's Encrypt's clients renew 30 days before the
/// expiry.
const ENDS_SOON: u64 = 14 * 24 * 3_600;

/// Keeps an [`Identity`] up to date with its files.
#[derive(Clone, Debug)]
pub struct Renewal {
    identity: Arc<Identity>,
    watch: Watch,
}

impl Renewal {
    /// Loads the first certificate.
    ///
    /// # Errors
    /// [`Unusable`] with the file, the cause and the remedy.
    pub fn begin(files: CertificateFiles) -> Result<Self, Unusable> {
        // Stamped before it is read, so that a change in between causes another reload.
        let watch = Watch::new(Stamp::of_both(&files));
        Ok(Self { identity: Arc::new(Identity::load(files)?), watch })
    }

    /// The identity that is kept up to date.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.clone()
    }

    /// Reloads the files on each `hangup` and each change, until the server ends. Calls `tell` with
    /// each new certificate.
    pub async fn run(
        mut self,
        mut hangup: Signal,
        clock: Clock,
        counters: Arc<TlsCounters>,
        tell: impl Fn(&Certificate) + Send,
    ) {
        let mut told = None;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let certificate = self.identity.certificate();
            counters.expires.set(certificate.expires());
            tell_once(&mut told, Phase::of(certificate.validity(), clock.now()), &self.identity);
            let is_asked = tokio::select! {
                Some(()) = hangup.recv() => true,
                _ = looks.tick() => false,
            };
            let of = self.identity.clone();
            // A file system may be slow, and HTTP has few threads. A panic in there is already
            // logged.
            let Ok(stamps) = spawn_blocking(move || Stamp::of_both(of.files())).await else { continue };
            if self.watch.look(stamps, is_asked) {
                let of = self.identity.clone();
                let Ok(outcome) = spawn_blocking(move || of.reload()).await else { continue };
                counters.loaded(outcome.is_ok());
                match outcome {
                    Ok(()) => tell(&self.identity.certificate()),
                    Err(Unusable { file, reason, remedy, .. }) => {
                        let file = file.display();
                        tracing::error!(
                            "the last good certificate is kept: {file}: {reason}; remedy: {remedy}"
                        );
                    }
                }
            }
        }
    }
}

/// Detects that files have changed, once they have stopped changing. A certificate and its key are
/// written one after the other and must be read as a pair.
#[derive(Clone, Debug)]
struct Watch {
    loaded: [Stamp; 2],
    seen: [Stamp; 2],
}

impl Watch {
    fn new(loaded: [Stamp; 2]) -> Self {
        Self { loaded, seen: loaded }
    }

    /// Whether to load the files now: if `is_asked`, else once for each state of the files, valid
    /// or not.
    fn look(&mut self, now: [Stamp; 2], is_asked: bool) -> bool {
        let is_settled = now == self.seen;
        self.seen = now;
        let loads = is_asked || (is_settled && now != self.loaded);
        if loads {
            self.loaded = now;
        }
        loads
    }
}

/// Properties that change with a file: device, inode, size, and two times. They are the last change
/// of its content, and of its owner, mode or name. `None` if they cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(Option<(u64, u64, u64, [i64; 4])>);

impl Stamp {
    fn of_both(files: &CertificateFiles) -> [Self; 2] {
        [Self::of(&files.cert), Self::of(&files.key)]
    }

    /// The stamp of the file to which `path` currently resolves, through symbolic links.
    fn of(path: &Path) -> Self {
        let times = |m: &fs::Metadata| [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()];
        Self(fs::metadata(path).ok().map(|m| (m.dev(), m.ino(), m.size(), times(&m))))
    }
}

/// Phase in the life of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    NotYet,
    Good,
    EndsSoon { days: u64 },
    Ended,
}

impl Phase {
    fn of(Validity { not_before, not_after }: Validity, now: Now) -> Self {
        match not_after.checked_sub(now.unix) {
            None => Self::Ended,
            _ if now.unix < not_before => Self::NotYet,
            Some(left) if left < ENDS_SOON.min((not_after - not_before) / 3) => {
                Self::EndsSoon { days: left / (24 * 3_600) }
            }
            Some(_) => Self::Good,
        }
    }
}

/// Logs a warning when the phase changes. `told` is the last logged phase.
fn tell_once(told: &mut Option<Phase>, phase: Phase, identity: &Identity) {
    if told.replace(phase) == Some(phase) {
        return;
    }
    let file = identity.files().cert.display();
    match phase {
        Phase::Good => {}
        Phase::NotYet => tracing::warn!("{file}: not valid yet: check this machine's clock"),
        Phase::EndsSoon { days } => {
            tracing::warn!(
                "{file}: expires in {days} days and was not renewed: check the log of your ACME client"
            );
        }
        Phase::Ended => tracing::warn!("{file}: expired: renew it, because browsers refuse it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(cert: u64, key: u64) -> [Stamp; 2] {
        [cert, key].map(|size| Stamp(Some((1, 1, size, [0; 4]))))
    }

    #[test]
    fn files_are_loaded_once_when_they_have_stopped_changing() {
        let mut watch = Watch::new(stamps(1, 1));
        for (now, loads) in [
            (stamps(1, 1), false),
            (stamps(2, 1), false),
            (stamps(2, 2), false),
            (stamps(2, 2), true),
            (stamps(2, 2), false),
        ] {
            assert_eq!(watch.look(now, false), loads, "{now:?}");
        }
    }

    #[test]
    fn files_that_vanish_for_a_moment_and_come_back_as_they_were_are_not_loaded() {
        let mut watch = Watch::new(stamps(1, 1));
        assert!(!watch.look([Stamp(None); 2], false));
        assert!(!watch.look(stamps(1, 1), false) && !watch.look(stamps(1, 1), false));
    }

    #[test]
    fn whoever_asks_is_not_kept_waiting_and_not_served_twice() {
        let mut watch = Watch::new(stamps(1, 1));
        assert!(watch.look(stamps(1, 1), true), "so that the log answers each SIGHUP");
        assert!(watch.look(stamps(2, 2), true));
        assert!(!watch.look(stamps(2, 2), false));
    }

    #[test]
    fn a_renewal_that_is_overdue_is_told_each_day() {
        const DAY: u64 = 24 * 3_600;
        let now = |day: u64| Now { mono: Duration::ZERO, unix: day * DAY };
        let phase = |life: (u64, u64), day| {
            Phase::of(Validity { not_before: life.0 * DAY, not_after: life.1 * DAY }, now(day))
        };
        let of_90_days = (10, 100);
        assert_eq!(phase(of_90_days, 9), Phase::NotYet);
        assert_eq!(phase(of_90_days, 10), Phase::Good);
        assert_eq!(phase(of_90_days, 86), Phase::Good);
        assert_eq!(phase(of_90_days, 87), Phase::EndsSoon { days: 13 });
        assert_eq!(phase(of_90_days, 88), Phase::EndsSoon { days: 12 });
        assert_eq!(phase(of_90_days, 100), Phase::EndsSoon { days: 0 });
        assert_eq!(phase(of_90_days, 101), Phase::Ended);
        let of_6_days = (10, 16);
        assert_eq!(phase(of_6_days, 12), Phase::Good);
        assert_eq!(phase(of_6_days, 15), Phase::EndsSoon { days: 1 });
    }
}
