//! `byway reload`: makes the running server read its configuration again.

use std::io;
use std::path::Path;

use crate::config::Config;
use crate::http::admin::{NeedsRestart, RELOAD, ReloadReport};

use super::running_server::{AS_ROOT, ask};
use super::{CliError, CommandOutcome};

/// Asks the server, through the first Unix socket of the configuration, and prints what changed.
pub(super) fn run(file: Option<&Path>, name: &str) -> Result<CommandOutcome, CliError> {
    // A file that this command cannot read, the server cannot read either.
    let config = Config::load(file).map_err(|error| CliError::NotReloaded(error.to_string()))?;
    let Some(socket) = config.listen.admin_sockets.first() else {
        return Err(CliError::NotReloaded(format!(
            "{name}: no Unix socket to ask the server through\n  \
             remedy: add \"unix:/run/byway/admin.sock\" to `admin` under [listen] and restart the server, or send SIGHUP"
        )));
    };
    let (_, report) =
        ask::<ReloadReport>(socket, RELOAD, &()).map_err(|error| unreachable(socket, &error))?;
    if let Some(error) = report.error {
        return Err(CliError::NotReloaded(error));
    }
    super::print(&told(&report, name))?;
    Ok(if report.troubles.is_empty() { CommandOutcome::Done } else { CommandOutcome::FaultFound })
}

fn unreachable(socket: &Path, error: &io::Error) -> CliError {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "start the server; if it runs, restart it once, so that it opens this socket"
        }
        io::ErrorKind::PermissionDenied => AS_ROOT,
        _ => "see the server's log",
    };
    CliError::NotReloaded(format!("unix:{}: {error}\n  remedy: {remedy}", socket.display()))
}

/// The answer for the operator.
fn told(report: &ReloadReport, name: &str) -> String {
    let ReloadReport { file, error: _, changed, restart, troubles } = report;
    let mut told = format!("{}: reloaded\n", file.as_deref().unwrap_or(name));
    told += &match &changed[..] {
        [] => "  nothing to change\n".to_owned(),
        changed => format!("  in force: {}\n", changed.join(", ")),
    };
    for NeedsRestart { key, reason } in restart {
        told += &format!("  needs a restart: {key}: {reason}\n");
    }
    for trouble in troubles {
        told += &format!("  not applied: {trouble}\n");
    }
    told
}
