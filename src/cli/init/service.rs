//! The systemd unit of the server.

use std::path::Path;
use std::process::{Command, Stdio};

use super::error::InitError;

/// Name of the unit.
pub(super) const UNIT: &str = "byway.service";

/// Whether systemd runs and has the unit.
pub(super) fn is_installed() -> bool {
    // sd_booted(3).
    if !Path::new("/run/systemd/system").is_dir() {
        return false;
    }
    let mut command = Command::new("systemctl");
    command.args(["cat", UNIT]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Enables the unit and starts it, again if it runs already. Returns once it has sent READY=1.
pub(super) fn start() -> Result<(), InitError> {
    systemctl("enable")?;
    systemctl("restart")
}

fn systemctl(verb: &str) -> Result<(), InitError> {
    let failed = |reason: &str| {
        InitError::passing(
            format!("the configuration is written, but `systemctl {verb} {UNIT}` failed: {reason}"),
            format!(
                "see `sudo journalctl -u {UNIT} -n 20`, run `sudo systemctl restart {UNIT}`, then `sudo byway invite --host`"
            ),
        )
    };
    let output = Command::new("systemctl").args(["--quiet", verb, UNIT]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(&error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(said.lines().next().unwrap_or("no reason given")))
}
