//! Reload of the configuration, on SIGHUP and on request through a Unix socket.
//!
//! A reload has three phases:
//!
//! 1. Read: the file is parsed, its certificate loaded, and every added listener bound. If any of
//!    that fails, the whole file is refused and nothing has changed.
//! 2. Apply: each [`Step`] whose keys have changed hands its part of the server the new settings. A
//!    part replaces them at once, without a lock on the path of a datagram.
//! 3. Report: the log and the client of the request learn which keys took effect, and which need a
//!    restart.
//!
//! A new section of the configuration needs rows in [`crate::config::KEYS`], and a step where
//! `startup` lists them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, io};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::admin_socket::{AdminSockets, BoundSocket};
use super::certificate::CertificateParts;
use super::host_addresses::Follower;
use super::listener_changes::ListenerChanges;
use super::relaying;
use super::secrets::{SecretSource, signing_tags};
use super::self_check::SelfCheck;
use super::sockets::Kind;
use super::supervise::Supervisor;
use super::{ServerError, notify, system};
use crate::config::{Change, Config};
use crate::http::admin::{NeedsRestart, ReloadReport, SigningTags};
use crate::live::Live;
use crate::phase::{Phase, PhaseWatch};
use crate::shard::Allocations;
use crate::tls::renewal::{CertificateSource, Loaded, kept};
use byway_turn::auth::account;

/// SIGHUP for a task that may be restarted. Listening begins before the task starts, so that no
/// signal is missed.
pub(super) struct Hangups(Option<Signal>);

impl Hangups {
    pub(super) fn listen() -> Result<Self, ServerError> {
        Ok(Self(Some(signal(SignalKind::hangup()).map_err(system("listen for SIGHUP"))?)))
    }

    /// The listener, or a new one if the first ended with its task.
    fn again(&mut self) -> io::Result<Signal> {
        self.0.take().map_or_else(|| signal(SignalKind::hangup()), Ok)
    }
}

/// Part of the server that takes new settings while it runs.
pub(super) struct Step {
    /// Sections and keys that concern it, such as `quota` and `relay.drain`.
    keys: &'static [&'static str],
    apply: Box<dyn Fn(&Config) + Send + Sync>,
}

impl Step {
    /// A part that `apply` configures, called with the whole new configuration if one of the `keys`
    /// has changed.
    pub(super) fn new(
        keys: &'static [&'static str],
        apply: impl Fn(&Config) + Send + Sync + 'static,
    ) -> Self {
        Self { keys, apply: Box::new(apply) }
    }

    fn concerns(&self, changes: &[Change]) -> bool {
        let is_within = |key: &str, section: &str| {
            key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        changes.iter().any(|change| self.keys.iter().any(|section| is_within(change.key, section)))
    }
}

/// Everything that a reload needs.
pub(super) struct ReloadParts {
    /// Warnings about the installation, as far as they have been logged.
    pub(super) self_check: SelfCheck,
    pub(super) file: Option<PathBuf>,
    /// The configuration at the start, as the file has it.
    pub(super) started: Config,
    /// The running parts, in the order in which they take new settings.
    pub(super) steps: Vec<Step>,
    pub(super) follower: Arc<Mutex<Follower>>,
    pub(super) certificates: CertificateParts,
    pub(super) sockets: Arc<AdminSockets>,
    pub(super) secrets: SecretSource,
    pub(super) allocations: Allocations,
    pub(super) tags: Live<SigningTags>,
    /// Adapts a configuration to the machine.
    pub(super) adapt: Box<dyn Fn(&mut Config) + Send + Sync>,
    pub(super) phase: PhaseWatch,
}

/// Reloads the configuration.
struct Reload {
    parts: ReloadParts,
    /// The configuration that was applied last.
    running: Config,
    requests: mpsc::Receiver<oneshot::Sender<ReloadReport>>,
}

/// Tells the service manager on drop that a reload has ended, even by a panic: the manager would
/// wait for it.
struct Ready;

impl Drop for Ready {
    fn drop(&mut self) {
        notify(&[NotifyState::Ready]);
    }
}

/// Everything that a new configuration needs and that may fail.
struct Prepared {
    /// The configuration as the file has it.
    config: Config,
    /// The same, adapted to the machine.
    adapted: Config,
    /// The certificate, or none. An error leaves the current one in use.
    certificate: Result<Option<Loaded>, String>,
    listeners: ListenerChanges,
    sockets: Vec<BoundSocket>,
}

/// Answers each SIGHUP and each of the `requests` until the server ends.
pub(super) fn keep(
    parts: ReloadParts,
    mut hangups: Hangups,
    requests: mpsc::Receiver<oneshot::Sender<ReloadReport>>,
    supervisor: &Supervisor,
) {
    let running = parts.started.clone();
    let reload = Arc::new(Mutex::new(Reload { parts, running, requests }));
    supervisor.keep("reload", move || {
        let (reload, hangup) = (reload.clone(), hangups.again());
        async move {
            match hangup {
                Ok(hangup) => reload.lock().await.answer_all(hangup).await,
                Err(error) => tracing::error!(%error, "cannot listen for SIGHUP"),
            }
        }
    });
}

impl Reload {
    async fn answer_all(&mut self, mut hangup: Signal) {
        loop {
            let asked = tokio::select! {
                Some(()) = hangup.recv() => None,
                Some(asked) = self.requests.recv() => Some(asked),
            };
            let report = self.reload().await;
            if let Some(asked) = asked {
                // The client may have gone.
                let _ = asked.send(report);
            }
        }
    }

    /// Reads the file, applies it, and reports. The service manager is told of the beginning and of
    /// the end, whatever the outcome (`Type=notify-reload`).
    async fn reload(&mut self) -> ReloadReport {
        if self.parts.phase.has_reached(Phase::Draining) {
            let error = "the server is about to stop and takes no new settings\n  remedy: start it again, which reads the file";
            tracing::warn!("reload refused: {error}");
            return ReloadReport { error: Some(error.to_owned()), ..ReloadReport::default() };
        }
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "cannot notify the service manager of a reload"),
        }
        let _ready = Ready;
        let report = self.read_and_apply().await;
        log(&report);
        if let Some(file) = self.parts.file.as_deref().filter(|file| is_credential(file)) {
            tracing::info!(
                "reload: {} is systemd's copy from the start; changes of the original need a restart",
                file.display()
            );
        }
        report
    }

    async fn read_and_apply(&mut self) -> ReloadReport {
        let file = self.parts.file.as_ref().map(|file| file.display().to_string());
        match self.prepare().await {
            Ok(prepared) => ReloadReport { file, ..self.apply(prepared).await },
            Err(error) => ReloadReport { file, error: Some(error), ..ReloadReport::default() },
        }
    }

    /// Does everything that may fail. Nothing that runs changes.
    ///
    /// # Errors
    /// The text for the operator.
    async fn prepare(&self) -> Result<Prepared, String> {
        let file = self.parts.file.clone();
        let adapt = &self.parts.adapt;
        let read = spawn_blocking(move || {
            let config = Config::load(file.as_deref()).map_err(|error| error.to_string())?;
            let certificate = config
                .tls
                .as_ref()
                .map(|tls| Loaded::read(CertificateSource::Files(tls.files.clone())))
                .transpose();
            Ok::<_, String>((config, certificate))
        });
        // The error would quote the panic, which may hold a secret.
        let (config, certificate) = read.await.map_err(|_| {
            "a fault of the server, at the place that the log names above\n  remedy: report it with that line"
                .to_owned()
        })??;
        let certificate = match certificate {
            Ok(certificate) => Ok(certificate),
            Err(unusable) => {
                self.parts.certificates.counters.loaded(false);
                // Another program has damaged files that are in use. The other settings are good.
                if config.tls == self.running.tls {
                    Err(kept(&unusable))
                } else {
                    let placed = config
                        .tls
                        .as_ref()
                        .and_then(|tls| tls.mistake(&unusable.file, &unusable.reason, unusable.remedy));
                    return Err(placed.map_or_else(|| unusable.to_string(), |error| error.to_string()));
                }
            }
        };
        // A file is empty for a moment while some programs write it, and for longer if the disk is
        // full. The default would then close every listener that others reach.
        let default = Config::embedded();
        if config.changes(&default).is_empty() && !self.running.changes(&default).is_empty() {
            let file = self.parts.file.as_deref().unwrap_or(Path::new("the file")).display();
            return Err(format!(
                "{file} sets no key: it may be cut off\n  remedy: write the whole file and reload again; if the defaults \
                 are meant, restart the server"
            ));
        }
        let mut adapted = config.clone();
        adapt(&mut adapted);
        let listeners =
            self.parts.follower.lock().await.prepare(&adapted).map_err(|error| error.to_string())?;
        let sockets = self.parts.sockets.prepare(&adapted.listen.admin_sockets);
        let sockets = sockets.map_err(|error| error.to_string())?;
        Ok(Prepared { config, adapted, certificate, listeners, sockets })
    }

    /// Hands every part its new settings.
    async fn apply(&mut self, prepared: Prepared) -> ReloadReport {
        let Prepared { config, adapted, certificate, listeners, sockets } = prepared;
        let parts = &self.parts;
        let changes = self.running.changes(&config);
        let mut troubles = Vec::new();
        match certificate {
            // The ACME client replaces a certificate when it has another.
            Ok(None) if config.acme.is_some() => {}
            Ok(certificate) => {
                if config.acme.is_none() {
                    // First of all, so that it installs none of its own afterwards.
                    parts.certificates.configure_acme(None);
                }
                parts.certificates.install(certificate);
            }
            Err(kept) => troubles.push(kept),
        }
        // Issuers come before the relay: a credential is used a round trip after its issue.
        for step in parts.steps.iter().filter(|step| step.concerns(&changes)) {
            (step.apply)(&adapted);
        }
        if !changes.is_empty() {
            let mut follower = parts.follower.lock().await;
            let has_changed = follower.change_listeners(listeners).await;
            let secrets = parts.secrets.secrets(&adapted);
            follower.shared.set_rules(relaying::rules(&adapted, &follower.listening, secrets));
            if let Err(error) = follower.configure(&adapted, has_changed) {
                troubles.push(format!(
                    "cannot list the addresses of the interfaces: {error}; remedy: nothing is to be done, the \
                     server tries again four times a second"
                ));
            }
            follower.applied().await;
            parts.certificates.listening_at(follower.listening.all(Kind::Tls));
        }
        parts.certificates.retry();
        parts.sockets.change(&config.listen.admin_sockets, sockets);
        parts.tags.store(signing_tags(&config));
        // Their allocations would keep the key, which nothing else verifies.
        let is_removed = |name: &&str| !config.users.iter().any(|user| user.name() == *name);
        let before = self.running.users.iter().map(|user| user.name());
        before.filter(is_removed).for_each(|name| parts.allocations.end(&account(name)));

        let restart = parts.started.changes(&config).into_iter().filter_map(|change| {
            Some(NeedsRestart { key: change.key.to_owned(), reason: change.restart?.to_owned() })
        });
        let live = changes.iter().filter(|change| change.restart.is_none());
        let report = ReloadReport {
            file: None,
            error: None,
            changed: live.map(|change| change.key.to_owned()).collect(),
            restart: restart.collect(),
            troubles,
        };
        let certificate = parts.certificates.renewal.identity().certificate();
        let now = parts.certificates.clock.now().unix;
        self.parts.self_check.tell(&config, certificate.as_deref(), now);
        self.running = config;
        report
    }
}

/// Logs the outcome of a reload, without any value.
fn log(report: &ReloadReport) {
    let ReloadReport { file, error, changed, restart, troubles } = report;
    let name = file.as_deref().unwrap_or("the embedded default, because there is no configuration file");
    if let Some(error) = error {
        return tracing::error!("reload refused: the settings are kept, and a restart would fail: {error}");
    }
    match &changed[..] {
        [] => tracing::info!("reload: nothing to change in {name}"),
        changed => tracing::info!("reload: in force from {name}: {}", changed.join(", ")),
    }
    if !restart.is_empty() {
        let keys: Vec<_> =
            restart.iter().map(|NeedsRestart { key, reason }| format!("{key} ({reason})")).collect();
        tracing::warn!("reload: not in force until a restart: {}", keys.join(", "));
    }
    for trouble in troubles {
        tracing::error!("reload: {trouble}");
    }
}

/// Whether the file is systemd's copy (`LoadCredential=`).
fn is_credential(file: &Path) -> bool {
    env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| file.starts_with(folder))
}
