//! The background task that gets certificates and renews them.
//!
//! It sleeps until the renewal is due, the authority's window is to be asked for, or a failed
//! attempt is repeated. It sleeps an hour at most, so that a clock that was set is noticed. Each
//! attempt builds its client and drops it.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use byway_turn::prng::Prng;
use instant_acme::{CertificateIdentifier, Error};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::account::{self, ACCOUNT};
use super::client::AcmeClient;
use super::failure::{AcmeOutcome, Failure};
use super::order;
use super::schedule::{self, Window};
use super::state_files::StateFiles;
use super::{AcmeCounters, AcmeSettings, CERTIFICATE};
use crate::clock::Clock;
use crate::tls::renewal::{CertificateSource, Loaded, Renewal};
use crate::tls::{Certificate, CertificateFiles, Identity, Name};

/// Longest sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// Longest conversation. Programs of DNS-01 may take minutes for each name.
const LONGEST_CONVERSATION: Duration = Duration::from_secs(2 * 3_600);

/// Parts of the server that the driver works with.
pub struct AcmeParts {
    /// The current certificate and its source.
    pub renewal: Renewal,
    /// Puts a certificate to use.
    pub install: Box<dyn Fn(Loaded) + Send + Sync>,
    /// The time.
    pub clock: Clock,
    /// Counts of the attempts.
    pub counters: Arc<AcmeCounters>,
    /// Spread of renewals and waits.
    pub random: Prng,
    /// Lines of `/healthz` while a certificate is missing.
    pub degraded: watch::Sender<Vec<String>>,
    /// Called after each conversation with the authority, which takes more memory than all else
    /// in an idle server.
    pub return_memory: fn(),
}

/// Background task of the ACME client.
#[derive(Clone)]
pub struct AcmeDriver {
    parts: Arc<AcmeParts>,
    settings: watch::Receiver<Option<AcmeSettings>>,
}

/// Handle to an [`AcmeDriver`], by which a reload changes its settings.
///
/// The present certificate stays in use until another is issued, whatever the settings.
#[derive(Clone, Debug)]
pub struct AcmeHandle(Arc<watch::Sender<Option<AcmeSettings>>>);

impl AcmeHandle {
    /// Creates the handle of a driver to come. It does nothing while the settings are `None`.
    #[must_use]
    pub fn new(settings: Option<AcmeSettings>) -> Self {
        Self(Arc::new(watch::Sender::new(settings)))
    }

    /// Creates the driver.
    #[must_use]
    pub fn driver(&self, parts: AcmeParts) -> AcmeDriver {
        AcmeDriver { parts: Arc::new(parts), settings: self.0.subscribe() }
    }

    /// Sets the settings; `None` stops the client. A wait after failures ends.
    ///
    /// The driver installs the certificate of these settings if there is one, else it orders one.
    pub fn set(&self, settings: Option<AcmeSettings>) {
        self.0.send_replace(settings);
    }

    /// Ends the wait after failures.
    pub fn retry(&self) {
        self.0.send_modify(|_| {});
    }
}

/// Progress of the driver.
#[derive(Debug, Default)]
struct Progress {
    /// Consecutive failures.
    failures: u32,
    /// The last failure, in words.
    reason: Option<String>,
    /// Monotonic time before which no attempt is made.
    retry_at: Duration,
    /// The authority's window for the certificate with this expiry.
    window: Option<(u64, Window)>,
    /// Monotonic time of the next request for the window.
    ask_at: Duration,
    /// Random number that spreads the renewal.
    draw: u64,
    /// Whether the files of these settings were looked for.
    has_looked: bool,
    /// Consecutive renewals in the first half of a certificate's life.
    early: u32,
}

impl AcmeDriver {
    /// Keeps the certificate valid until the server ends.
    pub async fn run(mut self) {
        let draw = self.parts.random.number();
        // The start has loaded the first one.
        let mut progress = Progress { draw, has_looked: true, ..Progress::default() };
        let mut settings = self.settings.borrow_and_update().clone();
        loop {
            let wait = match &settings {
                Some(settings) => self.step(settings, &mut progress).await.min(LONGEST_SLEEP),
                None => {
                    self.parts.counters.next.set(0);
                    self.parts.degraded.send_replace(Vec::new());
                    LONGEST_SLEEP
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                Ok(()) = self.settings.changed() => {
                    progress.retry_at = Duration::ZERO;
                    progress.ask_at = Duration::ZERO;
                    progress.has_looked = false;
                    // Here alone, so that no change goes unnoticed.
                    let changed = self.settings.borrow_and_update().clone();
                    if changed != settings {
                        progress = Progress { draw: progress.draw, ..Progress::default() };
                        settings = changed;
                    }
                }
            }
        }
    }

    /// Does what is due. Returns the time until something else is.
    async fn step(&self, settings: &AcmeSettings, progress: &mut Progress) -> Duration {
        let AcmeParts { clock, counters, random, .. } = &*self.parts;
        self.use_files_of(settings, progress).await;
        self.report(settings, progress);
        let now = clock.now();
        if self.renewal_at(settings, progress) > now.unix && progress.ask_at <= now.mono {
            self.ask_for_window(settings, progress).await;
        }
        let now = clock.now();
        if self.renewal_at(settings, progress) <= now.unix && progress.retry_at <= now.mono {
            // A reload to files and back looks for the stored certificate first.
            if self.settings.has_changed().unwrap_or(false) {
                return Duration::ZERO;
            }
            self.attempt(settings, progress).await;
            progress.draw = random.number();
            self.report(settings, progress);
        }
        let now = clock.now();
        let until_renewal = Duration::from_secs(self.renewal_at(settings, progress).saturating_sub(now.unix));
        let until_retry = progress.retry_at.saturating_sub(now.mono);
        let until_attempt = until_renewal.max(until_retry);
        counters.next.set(now.unix + until_attempt.as_secs());
        // The window matters only while the renewal is ahead.
        match until_renewal.is_zero() {
            true => until_attempt,
            false => until_attempt.min(progress.ask_at.saturating_sub(now.mono)),
        }
    }

    /// Uses the stored certificate of these settings, if the current one has another source and is
    /// no better.
    async fn use_files_of(&self, settings: &AcmeSettings, progress: &mut Progress) {
        let has_looked = std::mem::replace(&mut progress.has_looked, true);
        if has_looked || self.parts.renewal.source().is_some_and(|source| source == settings.source()) {
            return;
        }
        let of = settings.clone();
        if let Ok(Some(loaded)) = spawn_blocking(move || Loaded::of_acme(&of)).await {
            let now = self.parts.clock.now().unix;
            let worth = |certificate: &Certificate| {
                (certificate.expires() > now, Reverse(missing(settings, certificate).len()))
            };
            let current = self.certificate();
            if current.is_none_or(|current| worth(loaded.certificate()) >= worth(&current)) {
                self.install(settings, loaded);
            }
        }
    }

    /// Puts a certificate to use, unless a reload has changed the settings meanwhile: that has
    /// decided which one is used.
    fn install(&self, settings: &AcmeSettings, loaded: Loaded) {
        // A reload waits for the end of the borrow before it changes the settings.
        let current = self.settings.borrow();
        if current.as_ref() == Some(settings) {
            (self.parts.install)(loaded);
        }
    }

    /// Time of the renewal, in seconds since 1970; 0 if a name has no certificate, or one of
    /// another authority or of the operator.
    fn renewal_at(&self, settings: &AcmeSettings, progress: &Progress) -> u64 {
        let is_own = |source: CertificateSource| source.is_acme() && *source.files() == settings.files();
        if !self.parts.renewal.source().is_some_and(is_own) {
            return 0;
        }
        let certificate = self.certificate();
        let Some(certificate) = certificate.filter(|certificate| missing(settings, certificate).is_empty())
        else {
            return 0;
        };
        let window = progress.window.filter(|(expires, _)| *expires == certificate.expires());
        schedule::renew_at(certificate.validity(), window.map(|(_, window)| window), progress.draw)
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.parts.renewal.identity().certificate()
    }

    /// Asks the authority when to renew (RFC 9773). Not every authority says.
    async fn ask_for_window(&self, settings: &AcmeSettings, progress: &mut Progress) {
        let Some(certificate) = self.certificate() else { return };
        let of = settings.clone();
        let expires = certificate.expires();
        let asked = self.converse(settings, async move { suggested_window(&of, &certificate).await }).await;
        let wish = match asked {
            Ok((window, wish)) => {
                let is_new = progress.window != Some((expires, window));
                progress.window = Some((expires, window));
                if is_new {
                    progress.draw = self.parts.random.number();
                    tracing::debug!(?window, "the authority suggests when to renew");
                }
                Some(wish)
            }
            Err(Failure { reason, .. }) => {
                tracing::debug!(reason, "the authority does not suggest when to renew");
                None
            }
        };
        progress.ask_at = self.parts.clock.now().mono + schedule::ask_again(wish);
    }

    /// Orders a certificate, and says how that went.
    async fn attempt(&self, settings: &AcmeSettings, progress: &mut Progress) {
        let AcmeParts { renewal, clock, counters, random, .. } = &*self.parts;
        let identity = renewal.identity();
        let current = identity.certificate();
        let names = joined(&settings.names);
        let what = if current.is_some() { "renewing the certificate" } else { "ordering a certificate" };
        tracing::info!("{what} for {names} from {} by {}", settings.directory, settings.challenge.name());
        let (of, time, asked_at) = (settings.clone(), *clock, clock.now().unix);
        let is_early = renewal.source().is_some_and(|source| source == settings.source())
            && current.as_ref().is_some_and(|current| schedule::is_early(current.validity(), asked_at));
        match self.converse(settings, async move { get(&of, &identity, time).await }).await {
            _ if self.is_changed(settings) => {
                tracing::info!("no longer ordering a certificate for {names}: the configuration has changed");
            }
            Ok(loaded) => {
                counters.attempted(AcmeOutcome::Issued);
                let now = clock.now().mono;
                let early = if is_early { progress.early.saturating_add(1) } else { 0 };
                // An authority whose window is always past would have an order at every moment.
                let wait = schedule::wait_after_early(early, random.number());
                let retry_at = now + wait;
                *progress =
                    Progress { ask_at: now, retry_at, early, has_looked: true, ..Progress::default() };
                self.install(settings, loaded);
            }
            Err(failure) => {
                counters.attempted(failure.outcome);
                progress.failures = progress.failures.saturating_add(1);
                let Failure { outcome, reason, remedy, retry_after, .. } = failure;
                let wait = schedule::wait_after(progress.failures, outcome, retry_after, random.number());
                progress.retry_at = clock.now().mono + wait;
                let now = clock.now().unix;
                let kept = match current.map(|certificate| certificate.expires().checked_sub(now)) {
                    None => "TLS is not served yet".to_owned(),
                    Some(None) => "the certificate at hand has expired".to_owned(),
                    Some(Some(left)) => format!("the certificate at hand is valid for {}", rough(left)),
                };
                let next = rough(wait.as_secs());
                tracing::error!(
                    "no certificate for {names}: {reason}; {kept}; next attempt in {next}; remedy: {remedy}"
                );
                progress.reason = Some(reason);
            }
        }
    }

    /// Whether a reload has changed the settings.
    fn is_changed(&self, settings: &AcmeSettings) -> bool {
        self.settings.borrow().as_ref() != Some(settings)
    }

    /// Runs a conversation with the authority on a thread of its own: it also waits for the disk.
    /// It ends early if a reload changes the settings.
    async fn converse<T: Send + 'static>(
        &self,
        settings: &AcmeSettings,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        const REPORT: &str = "report this, with the lines of the log above";
        let runtime = Handle::current();
        let return_memory = self.parts.return_memory;
        let (mut changes, of) = (self.settings.clone(), settings.clone());
        let done = spawn_blocking(move || {
            let outcome = runtime.block_on(async {
                tokio::select! {
                    outcome = timeout(LONGEST_CONVERSATION, work) => outcome.unwrap_or_else(|_| {
                        Err(Failure::new(AcmeOutcome::Unreachable, "the authority does not come to an end", REPORT))
                    }),
                    _ = changes.wait_for(|settings| settings.as_ref() != Some(&of)) => {
                        Err(Failure::new(AcmeOutcome::Refused, "the configuration has changed", REPORT))
                    }
                }
            });
            return_memory();
            outcome
        });
        // A panic is already logged. The error would quote it, and so the authority.
        done.await.unwrap_or_else(|_| {
            let reason = "the attempt broke off at an answer of the authority that nobody expected";
            Err(Failure::new(AcmeOutcome::Refused, reason, REPORT))
        })
    }

    /// Shows on `/healthz` what is missing.
    fn report(&self, settings: &AcmeSettings, progress: &Progress) {
        let reason = progress.reason.as_deref().unwrap_or("it is being ordered");
        let certificate = self.certificate();
        let line = match &certificate {
            None => Some(format!("no certificate for {}: {reason}", joined(&settings.names))),
            Some(certificate) => {
                let missing = missing(settings, certificate);
                if certificate.expires() < self.parts.clock.now().unix {
                    Some(format!("the certificate for {} has expired: {reason}", joined(&settings.names)))
                } else {
                    (!missing.is_empty())
                        .then(|| format!("no certificate for {}: {reason}", joined(&missing)))
                }
            }
        };
        self.parts.degraded.send_replace(line.into_iter().collect());
    }
}

impl fmt::Debug for AcmeDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcmeDriver").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Names that the certificate lacks.
fn missing(settings: &AcmeSettings, certificate: &Certificate) -> Vec<Name> {
    let certified = certificate.names().as_slice();
    settings.names.iter().filter(|name| !certified.contains(name)).cloned().collect()
}

/// Returns the authority's window for a certificate, and its wish for the next request.
async fn suggested_window(
    settings: &AcmeSettings,
    certificate: &Certificate,
) -> Result<(Window, Duration), Failure> {
    let of = |error: Error| Failure::of(&error, settings, None);
    let folder = settings.folder();
    let files = StateFiles::open(folder.clone()).map_err(|error| Failure::state(&folder, &error))?;
    let Some(identifier) = identifier(certificate) else {
        return Err(of(Error::Unsupported("certificates without an authority key identifier")));
    };
    let client = AcmeClient::new(settings.ca_file.as_ref()).map_err(|error| Failure::roots(&error))?;
    let account = account::open(&client, settings, &files).await?;
    let (info, wish) = account.renewal_info(&identifier).await.map_err(of)?;
    let unix = |seconds: i64| u64::try_from(seconds).unwrap_or(0);
    let window = info.suggested_window;
    Ok((Window { start: unix(window.start.unix_timestamp()), end: unix(window.end.unix_timestamp()) }, wish))
}

/// Gets a certificate and stores it.
async fn get(settings: &AcmeSettings, identity: &Identity, clock: Clock) -> Result<Loaded, Failure> {
    let folder = settings.folder();
    let files = StateFiles::open(folder.clone()).map_err(|error| Failure::state(&folder, &error))?;
    let path = files.path(CERTIFICATE);
    let state = |error: io::Error| Failure::state(&path, &error);
    // Before the authority is asked: a certificate that cannot be stored would be lost.
    let mut reserved = files.reserve(CERTIFICATE).map_err(state)?;
    let client = AcmeClient::new(settings.ca_file.as_ref()).map_err(|error| Failure::roots(&error))?;
    let current = identity.certificate();
    let replaces = || identifier(current.as_deref()?);
    let mut account = account::open(&client, settings, &files).await?;
    let mut placed = order::place(&account, settings, identity.challenges(), replaces()).await;
    if placed.as_ref().is_err_and(|failure| failure.is_account_unknown) {
        files.set_aside(ACCOUNT).map_err(state)?;
        account = account::open(&client, settings, &files).await?;
        placed = order::place(&account, settings, identity.challenges(), replaces()).await;
    }
    let issued = placed.map_err(|failure| failure.waiting(client.retry_after()))?;

    let content = format!("{}\n{}", issued.key.trim_end(), issued.chain);
    let temporary = reserved.write(content.as_bytes()).map_err(state)?.to_owned();
    let unusable = |reason: String| {
        let reason = format!("the authority's certificate cannot be used: {reason}");
        Failure::new(AcmeOutcome::Refused, reason, "use another authority as `directory` under [acme]")
    };
    let read = Certificate::load(&CertificateFiles { cert: temporary.clone(), key: temporary });
    let certificate = read.map_err(|error| unusable(error.reason))?;
    let missing = missing(settings, &certificate);
    if !missing.is_empty() {
        return Err(unusable(format!("it lacks {}", joined(&missing))));
    }
    if certificate.expires() <= clock.now().unix {
        let reason = "the authority's certificate cannot be used: it has already expired";
        return Err(Failure::new(AcmeOutcome::Refused, reason, "set this machine's clock"));
    }
    reserved.commit().map_err(state)?;
    Loaded::read(settings.source()).map_err(|error| unusable(error.reason))
}

/// Identifier of a certificate at its authority (RFC 9773 section 4.1).
fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    let key = certificate.certified_key();
    CertificateIdentifier::try_from(key.cert.first()?).ok().map(CertificateIdentifier::into_owned)
}

fn joined(names: &[Name]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A duration in its largest unit.
fn rough(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings that fail before any connection: the file for the authority is missing.
    fn settings(folder: &std::path::Path, name: &str) -> AcmeSettings {
        AcmeSettings {
            state_dir: Some(folder.to_owned()),
            ca_file: Some(folder.join("missing.pem")),
            ..AcmeSettings::for_test(&[name])
        }
    }

    #[tokio::test]
    async fn a_reload_starts_changes_and_stops_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = settings(folder.path(), "call.example.org");
        let (degraded, mut told) = watch::channel(vec!["as it was".to_owned()]);
        let counters = Arc::<AcmeCounters>::default();
        let parts = AcmeParts {
            renewal: Renewal::begin(None),
            install: Box::new(|_| {}),
            clock: Clock::start(),
            counters: counters.clone(),
            random: Prng::new(&[7; 32], "test"),
            degraded,
            return_memory: || {},
        };
        let handle = AcmeHandle::new(None);
        tokio::spawn(handle.driver(parts).run());
        told.wait_for(Vec::is_empty).await.unwrap();
        assert_eq!(counters.next.get(), 0);

        let fails = |lines: &Vec<String>, name: &str| {
            lines
                .first()
                .is_some_and(|line| line.contains(name) && line.contains("missing.pem: No such file"))
        };
        handle.set(Some(first));
        told.wait_for(|lines| fails(lines, "for call.example.org:")).await.unwrap();
        let second = AcmeSettings {
            directory: "https://other.example/dir".to_owned(),
            ..settings(folder.path(), "turn.example.org")
        };
        handle.set(Some(second));
        told.wait_for(|lines| fails(lines, "for turn.example.org:")).await.unwrap();
        assert_eq!(counters.failures.get(), 2);
        handle.set(None);
        told.wait_for(Vec::is_empty).await.unwrap();
    }
}
