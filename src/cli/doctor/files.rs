//! Files: the configuration, the certificate and its key, as the service's user sees them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::diagnosis::{Finding, certificate};
use crate::fault::Fault;
use crate::server::self_check;
use crate::tls::{Certificate, Unusable};

use super::service::Service;

/// Folders that `ProtectHome=` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Returns a finding for each mistake of a configuration.
pub(super) fn of_configuration(error: &ConfigError, user: &str) -> Vec<Finding> {
    match error {
        ConfigError::Unreadable { path, error } => vec![Finding::failed(
            Fault::ConfigurationInvalid,
            format!("user {user} cannot read the configuration"),
            format!("{}: {error}", path.display()),
            grant(path, user),
        )],
        ConfigError::Invalid { problems, more } => {
            let mut findings: Vec<Finding> = problems
                .iter()
                .map(|problem| {
                    Finding::failed(
                        Fault::ConfigurationInvalid,
                        format!("{}:{}: {}", problem.file, problem.line, problem.reason.replace('\n', " ")),
                        "the server does not start with it, and a reload refuses it",
                        problem.remedy.replace('\n', " "),
                    )
                })
                .collect();
            if *more > 0 {
                findings.push(Finding::failed(
                    Fault::ConfigurationInvalid,
                    format!("{more} more mistakes"),
                    "",
                    "run byway check",
                ));
            }
            findings
        }
    }
}

/// Judges the certificate of the configuration.
pub(super) fn of_certificate(
    config: &Config,
    found: Option<&Certificate>,
    unusable: Option<&Unusable>,
    user: &str,
    service: Option<&Service>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = config.tls.iter().flat_map(|tls| [&tls.files.cert, &tls.files.key]);
    let is_hidden = |file: &&PathBuf| HOMES.iter().any(|home| file.starts_with(home));
    if service.is_some_and(|service| service.hides_homes) {
        findings.extend(files.clone().filter(is_hidden).map(|file| {
            Finding::failed(
                Fault::KeyUnreadable,
                format!("byway.service cannot see {}", file.display()),
                "its ProtectHome= hides home folders",
                "copy the file to /etc/byway, and name it there under [tls]",
            )
        }));
    }
    if let Some(Unusable { file, reason, remedy, is_missing, .. }) = unusable {
        let is_denied =
            fs::File::open(file).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        let is_key = config.tls.as_ref().is_some_and(|tls| tls.files.key == *file);
        let what = if is_key { "the private key" } else { "the certificate" };
        findings.push(match (is_denied, is_missing) {
            (true, _) => Finding::failed(
                Fault::KeyUnreadable,
                format!("user {user} cannot read {what}"),
                format!("{}: {}", file.display(), obstacle(file).unwrap_or_else(|| reason.clone())),
                grant(file, user),
            ),
            (false, true) => Finding::failed(
                Fault::CertificateMissing,
                format!("{what} is missing"),
                format!("{}: {reason}", file.display()),
                *remedy,
            ),
            (false, false) => Finding::failed(
                Fault::CertificateUntrusted,
                format!("{what} cannot be used"),
                format!("{}: {reason}", file.display()),
                *remedy,
            ),
        });
    }
    match found {
        Some(found) => {
            let facts = self_check::certificate_facts(found);
            findings.extend(certificate::judge(&facts, Clock::start().now().unix, config.acme.is_some()));
        }
        None if findings.is_empty() && config.acme.is_some() => {
            findings.push(Finding::ok("certificate", "the server gets it itself; see the front door"));
        }
        None if findings.is_empty() => findings.push(Finding::ok("certificate", "none is configured")),
        None => {}
    }
    findings
}

/// Returns the first folder above a file that this user cannot enter.
fn obstacle(file: &Path) -> Option<String> {
    let above: Vec<&Path> = file.ancestors().skip(1).collect();
    let is_denied = |path: &&&Path| {
        fs::metadata(path.join(".")).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    let folder = above.iter().rev().find(is_denied)?;
    Some(format!("the folder {} is closed to this user", folder.display()))
}

/// Command that lets a user read a file.
fn grant(file: &Path, user: &str) -> String {
    let path = file.display();
    let folder = file.parent().unwrap_or(Path::new("/")).display();
    format!("let its group read it: chgrp {user} {folder} {path} && chmod g+rx {folder} && chmod g+r {path}")
}
