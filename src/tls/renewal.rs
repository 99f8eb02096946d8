//! Reload of the certificate when its files have changed, or the configuration names others.
//!
//! The files are checked every few seconds rather than watched by inotify. ACME clients replace
//! symbolic links, folders are mounted, renamed and recreated, and a container may see another
//! kernel's file system. A watch would then follow a file that no longer exists, unnoticed for 90
//! days. Resolving the paths each time costs two calls.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use byway_turn::lock::lock;
use byway_turn::time::Now;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::acme::AcmeSettings;
use super::certificate::Validity;
use super::{Certificate, CertificateFiles, Identity, Name, TlsCounters, Unusable};
use crate::clock::Clock;

/// Interval between checks of the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Remaining seconds at which renewal is overdue. Let's Encrypt's clients renew 30 days before the
/// expiry.
const ENDS_SOON: u64 = 14 * 24 * 3_600;

/// Keeps an [`Identity`] up to date with its files. A clone keeps the same identity.
#[derive(Clone, Debug)]
pub struct Renewal {
    identity: Arc<Identity>,
    /// A `std` mutex: held for a comparison, never across an await.
    watched: Arc<Mutex<Option<Watched>>>,
}

/// Origin of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// Files of the operator.
    Files(CertificateFiles),
    /// Files of the ACME client.
    Acme {
        /// The files.
        files: CertificateFiles,
        /// Names of the certificate in the operator's order, which an authority may change.
        names: Vec<Name>,
    },
}

impl CertificateSource {
    /// The files.
    #[must_use]
    pub fn files(&self) -> &CertificateFiles {
        let (Self::Files(files) | Self::Acme { files, .. }) = self;
        files
    }

    /// Whether the ACME client writes the files.
    #[must_use]
    pub fn is_acme(&self) -> bool {
        matches!(self, Self::Acme { .. })
    }

    fn load(&self) -> Result<Certificate, Unusable> {
        match self {
            Self::Files(files) => Certificate::load(files),
            Self::Acme { files, names } => Ok(Certificate::load(files)?.with_first(names)),
        }
    }
}

/// Source of a certificate, and the state of its files when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watched {
    source: CertificateSource,
    watch: Watch,
}

/// Certificate that was loaded and is not in use yet.
#[derive(Debug)]
pub struct Loaded {
    certificate: Arc<Certificate>,
    watched: Watched,
}

impl Loaded {
    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Loads a certificate. This reads files, and so may take time.
    ///
    /// # Errors
    /// [`Unusable`] with the file, the cause and the remedy.
    pub fn read(source: CertificateSource) -> Result<Self, Unusable> {
        // Stamped before it is read, so that a change in between causes another reload.
        let watch = Watch::new(Stamp::of_both(source.files()));
        let certificate = Arc::new(source.load()?);
        Ok(Self { certificate, watched: Watched { source, watch } })
    }

    /// Loads the certificate of the ACME client, if there is a usable one.
    #[must_use]
    pub fn of_acme(settings: &AcmeSettings) -> Option<Self> {
        match Self::read(settings.source()) {
            Ok(loaded) => Some(loaded),
            Err(Unusable { is_missing: true, .. }) => None,
            Err(Unusable { file, reason, .. }) => {
                let file = file.display();
                tracing::error!(
                    "{file}: {reason}; remedy: nothing is to be done, another certificate is ordered"
                );
                None
            }
        }
    }
}

impl Renewal {
    /// Begins with a certificate, or without one.
    #[must_use]
    pub fn begin(loaded: Option<Loaded>) -> Self {
        let renewal = Self { identity: Arc::default(), watched: Arc::default() };
        renewal.install(loaded);
        renewal
    }

    /// The identity that is kept up to date.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.clone()
    }

    /// Uses a certificate from now on, or none.
    pub fn install(&self, loaded: Option<Loaded>) {
        let (certificate, watched) =
            loaded.map(|Loaded { certificate, watched }| (certificate, watched)).unzip();
        let mut current = self.watched();
        *current = watched;
        // Under the lock, so that the certificate is that of the source.
        self.identity.set(certificate);
    }

    /// Source of the current certificate.
    #[must_use]
    pub fn source(&self) -> Option<CertificateSource> {
        self.watched().as_ref().map(|watched| watched.source.clone())
    }

    /// Reloads the files on each change, until the server ends. Calls `tell` with each new
    /// certificate.
    pub async fn run(self, clock: Clock, counters: Arc<TlsCounters>, tell: impl Fn(&Certificate) + Send) {
        let mut told = None;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let outcome = self.look().await;
            match outcome {
                Some(Ok(certificate)) => {
                    counters.loaded(true);
                    tell(&certificate);
                }
                Some(Err(unusable)) => {
                    counters.loaded(false);
                    tracing::error!("{}", kept(&unusable));
                }
                None => {}
            }
            let certificate = self.identity.certificate();
            counters.expires.set(certificate.as_ref().map_or(0, |certificate| certificate.expires()));
            if let (Some(certificate), Some(source)) = (certificate, self.source()) {
                let phase = Phase::of(certificate.validity(), clock.now(), &source);
                tell_once(&mut told, phase, &source);
            }
        }
    }

    /// Loads the certificate again if its files have changed. Returns the new one.
    ///
    /// The thread only reads: one that finds no task any more has no effect. A runtime without a
    /// thread to spare panics, and yet keeps the work for the next one.
    async fn look(&self) -> Option<Result<Arc<Certificate>, Unusable>> {
        let before = self.watched().clone()?;
        let Watched { source, mut watch } = before.clone();
        // A file system may be slow, and HTTP has few threads.
        let read = spawn_blocking(move || {
            let is_new = watch.look(Stamp::of_both(source.files()));
            let loaded = is_new.then(|| source.load().map(Arc::new));
            (watch, loaded)
        });
        // A panic in there is already logged.
        let (watch, loaded) = read.await.ok()?;
        let mut watched = self.watched();
        // Unless others were installed meanwhile.
        let current = watched.as_mut().filter(|current| **current == before)?;
        current.watch = watch;
        if let Some(Ok(certificate)) = &loaded {
            self.identity.set(Some(certificate.clone()));
        }
        loaded
    }

    fn watched(&self) -> MutexGuard<'_, Option<Watched>> {
        // It is whole between any two statements.
        lock(&self.watched)
    }
}

/// The line about files that cannot be used in place of the current certificate.
#[must_use]
pub fn kept(Unusable { file, reason, remedy, .. }: &Unusable) -> String {
    format!("the last good certificate is kept: {}: {reason}; remedy: {remedy}", file.display())
}

/// Detects that files have changed, once they have stopped changing. A certificate and its key are
/// written one after the other and must be read as a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watch {
    loaded: [Stamp; 2],
    seen: [Stamp; 2],
}

impl Watch {
    fn new(loaded: [Stamp; 2]) -> Self {
        Self { loaded, seen: loaded }
    }

    /// Whether to load the files now: once for each state of the files, valid or not.
    fn look(&mut self, now: [Stamp; 2]) -> bool {
        let is_settled = now == self.seen;
        self.seen = now;
        let loads = is_settled && now != self.loaded;
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
    fn of(Validity { not_before, not_after }: Validity, now: Now, source: &CertificateSource) -> Self {
        let life = not_after.saturating_sub(not_before);
        // The ACME client renews after two thirds of the life.
        let overdue = if source.is_acme() { life / 6 } else { ENDS_SOON.min(life / 3) };
        match not_after.checked_sub(now.unix) {
            None => Self::Ended,
            _ if now.unix < not_before => Self::NotYet,
            Some(left) if left < overdue => Self::EndsSoon { days: left / (24 * 3_600) },
            Some(_) => Self::Good,
        }
    }
}

/// Logs a warning when the phase changes. `told` is the last logged phase.
fn tell_once(told: &mut Option<Phase>, phase: Phase, source: &CertificateSource) {
    if told.replace(phase) == Some(phase) {
        return;
    }
    let file = source.files().cert.display();
    match phase {
        Phase::Good => {}
        Phase::NotYet => tracing::warn!("{file}: not valid yet: check this machine's clock"),
        Phase::EndsSoon { days } if source.is_acme() => {
            tracing::warn!(
                "{file}: expires in {days} days and was not renewed: follow the remedy of the failed attempts above"
            );
        }
        Phase::Ended if source.is_acme() => {
            tracing::warn!("{file}: expired: follow the remedy of the failed attempts above");
        }
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
            assert_eq!(watch.look(now), loads, "{now:?}");
        }
    }

    #[test]
    fn files_that_vanish_for_a_moment_and_come_back_as_they_were_are_not_loaded() {
        let mut watch = Watch::new(stamps(1, 1));
        assert!(!watch.look([Stamp(None); 2]));
        assert!(!watch.look(stamps(1, 1)) && !watch.look(stamps(1, 1)));
    }

    #[test]
    fn a_renewal_that_is_overdue_is_told_each_day() {
        const DAY: u64 = 24 * 3_600;
        let now = |day: u64| Now { mono: Duration::ZERO, unix: day * DAY };
        let files = CertificateFiles { cert: "cert.pem".into(), key: "key.pem".into() };
        let phase_of = |source: &CertificateSource, life: (u64, u64), day| {
            let validity = Validity { not_before: life.0 * DAY, not_after: life.1 * DAY };
            Phase::of(validity, now(day), source)
        };
        let by_files = CertificateSource::Files(files.clone());
        let phase = |life, day| phase_of(&by_files, life, day);
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
        // A renewal after two thirds of the life is in time.
        let by_acme = CertificateSource::Acme { files, names: Vec::new() };
        assert_eq!(phase_of(&by_acme, of_90_days, 84), Phase::Good);
        assert_eq!(phase_of(&by_acme, of_90_days, 86), Phase::EndsSoon { days: 14 });
    }
}
