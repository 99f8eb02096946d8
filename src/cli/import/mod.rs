//! `byway import`: a configuration of coturn as one of Byway.
//!
//! - `reader` splits the file into options, `options` is the table of all of them.
//! - `source` reads their values, `ranges` those of peers.
//! - `translation` decides what becomes of each, `draft` writes the result.
//! - `report` tells the operator, `fault` what is wrong.

mod draft;
mod fault;
mod options;
mod ranges;
mod reader;
mod report;
mod source;
#[cfg(test)]
mod tests;
mod translation;

use std::io;
use std::path::{Path, PathBuf};

use self::fault::{Fault, ImportFaults};
use self::translation::{Machine, Translation};
use super::{CliError, new_configuration};
use crate::config::SYSTEM_FILE;
use crate::net::interfaces::Interfaces;
use crate::operator_file::{self, CONFIGURATION, LARGE};

#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// Configuration of coturn, such as /etc/turnserver.conf
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the new configuration behind the report, with secrets hidden, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Reason for which nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file of coturn cannot be read.
    #[error("{}: {error}\n  remedy: name the configuration of coturn, such as /etc/turnserver.conf, and run the command with sudo", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file can be read, and lines of it are at fault.
    #[error("{0}")]
    Faults(ImportFaults),
}

/// A finished import.
struct Imported {
    report: String,
    /// The new configuration, and the same with its secrets hidden.
    text: String,
    hidden: String,
}

/// Writes the new configuration to `target`, or to the system's file, and prints the report.
pub(super) fn run(arguments: &ImportArguments, target: Option<PathBuf>) -> Result<(), CliError> {
    let path = &arguments.file;
    let target = target.unwrap_or_else(|| SYSTEM_FILE.into());
    if !arguments.dry_run {
        new_configuration::check_free(&target)?;
    }
    let unreadable = |error| ImportError::Unreadable { path: path.clone(), error };
    let bytes = operator_file::read(path, LARGE).map_err(unreadable)?;
    let folder = std::path::absolute(path).map_err(unreadable)?;
    let folder = folder.parent().unwrap_or(Path::new("/"));
    let machine = Machine { has_ipv6: has_ipv6() };
    let name = path.display().to_string();
    let imported = import(&bytes, &name, folder, machine)
        .map_err(|faults| ImportError::Faults(ImportFaults { file: name, faults }))?;
    let shown = target.display();
    let end = if arguments.dry_run {
        format!("\nnothing is written; {shown} would be:\n\n{}", imported.hidden)
    } else {
        new_configuration::write(&target, &imported.text)?;
        format!(
            "\nwritten: {shown}\nCheck it with `byway --config {shown} check`. Stop coturn before you start Byway: both need the same ports.\n"
        )
    };
    Ok(super::print(&(imported.report + &end))?)
}

/// Translates a file and checks the result as the server would read it.
fn import(bytes: &[u8], name: &str, folder: &Path, machine: Machine) -> Result<Imported, Vec<Fault>> {
    let file = reader::read(bytes)?;
    let translation: Translation = translation::translate(&file, folder, machine)?;
    let rendered = translation.draft.render(name, false);
    if rendered.text.len() as u64 > CONFIGURATION {
        let reason = format!("the new configuration would be longer than {} KiB", CONFIGURATION >> 10);
        return Err(vec![Fault::of_file(reason, "write fewer users or ranges of peers")]);
    }
    rendered.check()?;
    let hidden = translation.draft.render(name, true).text;
    Ok(Imported { report: report::report(name, &file, &translation), text: rendered.text, hidden })
}

/// Whether this machine has an IPv6 address that other machines can reach.
fn has_ipv6() -> bool {
    let reaches_others = |ip: &std::net::IpAddr| match ip {
        std::net::IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        std::net::IpAddr::V4(_) => false,
    };
    Interfaces::read().is_ok_and(|interfaces| interfaces.lasting.iter().any(reaches_others))
}
