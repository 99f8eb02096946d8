//! Running server: whether it answers, what it says of itself, and whether it has the secrets of
//! the file.

use super::Finding;
use crate::fault::Fault;

/// Answer of the running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// It answers.
    Up {
        /// Version, process and phase.
        about: String,
        /// Version of the server.
        version: String,
        /// Parts that have ended.
        down: Vec<String>,
        /// Lines, as `CAUSE: REMEDY`, about what cannot be served.
        degraded: Vec<String>,
        /// Whether it has every secret of the file. `None` if it could not be asked.
        knows_secrets: Option<bool>,
    },
    /// Nothing answers at the socket or address.
    Silent {
        /// Socket or address.
        at: String,
        /// Error.
        error: String,
    },
    /// It does not serve this user.
    Refused {
        /// Socket.
        at: String,
    },
    /// The configuration has no `admin` listener to ask.
    NoListener,
}

/// Judges it. `own_version` is that of this command.
#[must_use]
pub fn judge(server: &Server, own_version: &str) -> Vec<Finding> {
    let (about, version, down, degraded, knows_secrets) = match server {
        Server::Up { about, version, down, degraded, knows_secrets } => {
            (about, version, down, degraded, knows_secrets)
        }
        Server::Silent { at, error } => {
            return vec![Finding::failed(
                Fault::NotRunning,
                "the server does not run with this configuration",
                format!("{at}: {error}"),
                "start it (systemctl start byway), and read why it ended: journalctl -u byway -n 50",
            )];
        }
        Server::Refused { at } => {
            return vec![
                Finding::skipped("running server", format!("{at} does not serve this user"))
                    .with_remedy("run this as root: sudo byway doctor"),
            ];
        }
        Server::NoListener => {
            return vec![
                Finding::skipped("running server", "the configuration has no `admin` listener to ask")
                    .with_remedy("set `admin = [\"unix:/run/byway/admin.sock\"]` under [listen]"),
            ];
        }
    };
    let mut findings = vec![Finding::ok("the server runs", about.clone())];
    if version != own_version {
        findings.push(Finding::warning(
            None,
            "the running server is of another version than this command",
            format!("{version} runs, {own_version} is installed"),
            "restart it: systemctl restart byway",
        ));
    }
    findings.extend(down.iter().map(|part| {
        Finding::failed(
            Fault::Degraded,
            format!("a part of the server has ended: {part}"),
            "",
            "restart it (systemctl restart byway), and report the log's lines before",
        )
    }));
    findings.extend(degraded.iter().map(|line| of_degraded(line)));
    match knows_secrets {
        Some(true) => findings.push(Finding::ok("secrets", "the running server has those of the file")),
        Some(false) => findings.push(Finding::failed(
            Fault::SecretDiffers,
            "the running server has other secrets than the file, or another realm",
            "credentials and invitations from this file are refused",
            "apply the file: byway reload",
        )),
        None => findings.push(Finding::skipped(
            "secrets",
            "only the Unix socket compares those of the running server with the file",
        )),
    }
    findings
}

fn of_degraded(line: &str) -> Finding {
    let (cause, remedy) =
        line.split_once(": ").unwrap_or((line, "see the server's log: journalctl -u byway -n 50"));
    let fault = match cause {
        cause if cause.contains("certificate") => Fault::CertificateMissing,
        cause if cause.contains("cannot listen") => Fault::PortTaken,
        cause if cause.contains("IPv6") => Fault::Ipv6Broken,
        _ => Fault::Degraded,
    };
    Finding::failed(fault, cause, "the running server says so", remedy)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn up(down: &[&str], degraded: &[&str], knows_secrets: Option<bool>) -> Server {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Server::Up {
            about: "process 7".to_owned(),
            version: "1.0".to_owned(),
            down: owned(down),
            degraded: owned(degraded),
            knows_secrets,
        }
    }

    #[test]
    fn a_sound_server_is_ok() {
        let found = judge(&up(&[], &[], Some(true)), "1.0");
        assert!(found.iter().all(|finding| finding.state == State::Ok), "{found:?}");
    }

    #[test]
    fn each_trouble_is_a_finding_with_its_entry() {
        let troubles = ["no certificate yet: wait", "cannot listen on 0.0.0.0:443 (listen.tls): x", "odd"];
        let found = judge(&up(&["shard 0"], &troubles, Some(false)), "2.0");
        let faults: Vec<_> = found.iter().filter_map(|finding| finding.fault).collect();
        let expected = [
            Fault::Degraded,
            Fault::CertificateMissing,
            Fault::PortTaken,
            Fault::Degraded,
            Fault::SecretDiffers,
        ];
        assert_eq!(faults, expected);
        assert_eq!(found[1].state, State::Warning);
        assert!(found.last().is_some_and(|finding| finding.remedy == "apply the file: byway reload"));
    }

    #[test]
    fn a_server_that_does_not_answer_is_a_failure() {
        let silent = Server::Silent { at: "unix:/a".to_owned(), error: "no such file".to_owned() };
        assert_eq!(judge(&silent, "")[0].fault, Some(Fault::NotRunning));
        assert_eq!(judge(&Server::NoListener, "")[0].state, State::Skipped);
        assert_eq!(judge(&Server::Refused { at: String::new() }, "")[0].state, State::Skipped);
    }
}
