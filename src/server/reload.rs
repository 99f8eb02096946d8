//! Log lines on SIGHUP about changed settings that need a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, io};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use super::supervise::Supervisor;
use super::{ServerError, system};
use crate::config::{Config, ConfigError};

/// SIGHUP for a task that may be restarted. Listening begins before the task starts, so that no
/// signal is missed.
pub(super) struct Hangups(Option<Signal>);

impl Hangups {
    pub(super) fn listen() -> Result<Self, ServerError> {
        Ok(Self(Some(signal(SignalKind::hangup()).map_err(system("listen for SIGHUP"))?)))
    }

    /// The listener, or a new one if the first ended with its task.
    pub(super) fn again(&mut self) -> io::Result<Signal> {
        self.0.take().map_or_else(|| signal(SignalKind::hangup()), Ok)
    }
}

/// Checks the configuration file on SIGHUP.
pub(super) struct Reload {
    file: Option<PathBuf>,
    /// The configuration that was read at the start.
    running: Arc<Config>,
    hangups: Hangups,
}

impl Reload {
    pub(super) fn new(file: Option<PathBuf>, running: Config, hangups: Hangups) -> Self {
        Self { file, running: Arc::new(running), hangups }
    }

    /// Answers each SIGHUP until the server ends.
    pub(super) fn keep(self, has_certificate: bool, supervisor: &Supervisor) {
        let Self { file, running, mut hangups } = self;
        supervisor.keep("reload", move || {
            answer_all(hangups.again(), file.clone(), running.clone(), has_certificate)
        });
    }
}

async fn answer_all(
    hangup: io::Result<Signal>,
    file: Option<PathBuf>,
    running: Arc<Config>,
    has_certificate: bool,
) {
    let mut hangup = match hangup {
        Ok(hangup) => hangup,
        Err(error) => return tracing::error!(%error, "cannot listen for SIGHUP"),
    };
    while hangup.recv().await.is_some() {
        let Some(file) = file.clone() else {
            tracing::info!("reload: there is no configuration file: the embedded default is used");
            continue;
        };
        let name = file.display().to_string();
        let is_copy = is_credential(&file);
        let read = spawn_blocking(move || Config::load(Some(&file))).await;
        answer(&name, read.map_err(io::Error::from), &running, has_certificate);
        if is_copy {
            tracing::info!(
                "reload: {name} is systemd's copy from the start; changes of the original need a restart"
            );
        }
    }
}

fn answer(
    name: &str,
    read: io::Result<Result<Config, ConfigError>>,
    running: &Config,
    has_certificate: bool,
) {
    let changed = match read {
        Ok(Ok(now)) => running.changed(&now),
        Ok(Err(error)) => {
            return tracing::error!("reload: the settings are kept, and a restart would fail: {error}");
        }
        Err(error) => {
            return tracing::error!("reload: the settings are kept, and {name} was not read: {error}");
        }
    };
    match (changed.as_slice(), has_certificate) {
        ([], true) => tracing::info!("reload: the settings in {name} are as they were at the start"),
        ([], false) => tracing::info!(
            "nothing to reload: there is no certificate, and the settings in {name} are as they were at the start"
        ),
        (changed, _) => tracing::warn!(
            "reload: changed in {name} since the start, and not in force until a restart: {}",
            changed.join(", ")
        ),
    }
}

/// Whether the file is systemd's copy (`LoadCredential=`).
fn is_credential(file: &Path) -> bool {
    env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| file.starts_with(folder))
}
