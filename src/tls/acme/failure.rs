//! Failures of a run, in words: the cause, then the remedy.

use std::io;
use std::path::Path;
use std::time::Duration;

use byway_turn::closed_set;
use instant_acme::{Error, Problem};

use super::{AcmeSettings, Challenge};
use crate::net::http_client::{ClientError, RootsError};
use crate::operator_file;

closed_set! {
    /// Outcome of an attempt to get a certificate.
    pub enum AcmeOutcome {
        /// A certificate was issued and stored.
        Issued = "issued",
        /// The authority cannot be reached, or fails itself.
        Unreachable = "unreachable",
        /// The authority refuses.
        Refused = "refused",
        /// The authority's limit is reached.
        RateLimited = "rate_limited",
        /// The program of DNS-01 failed.
        Hook = "hook",
        /// The state directory cannot be used.
        State = "state",
    }
}

/// Failure of a run.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) outcome: AcmeOutcome,
    /// The cause.
    pub(super) reason: String,
    /// The remedy, in the imperative.
    pub(super) remedy: String,
    /// Wait that the authority imposes.
    pub(super) retry_after: Option<Duration>,
    /// Whether the authority does not know the stored account.
    pub(super) is_account_unknown: bool,
}

impl Failure {
    pub(super) fn new(outcome: AcmeOutcome, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            remedy: remedy.into(),
            retry_after: None,
            is_account_unknown: false,
        }
    }

    /// The state directory cannot be read or written.
    pub(super) fn state(path: &Path, error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free space on its disk; the files that are there stay as they are"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "give the folder to the server's user, as `StateDirectory=` of the systemd unit does, or set \
                 `state_dir` under [acme]"
            }
            _ if operator_file::is_shortage(error) => operator_file::SHORTAGE,
            _ => "check the folder and its disk, or set `state_dir` under [acme]",
        };
        Self::new(AcmeOutcome::State, format!("{}: {error}", path.display()), remedy)
    }

    /// The roots for the authority cannot be used.
    pub(super) fn roots(error: &RootsError) -> Self {
        let remedy = match error {
            RootsError::File { .. } => {
                "name a file with the authority's root in PEM as `ca_file` under [acme]"
            }
            RootsError::None => "install the package ca-certificates, or set `ca_file` under [acme]",
        };
        Self::new(AcmeOutcome::Unreachable, error.to_string(), remedy)
    }

    /// An error of the client library. `name` is the name that it is about, if it is known.
    pub(super) fn of(error: &Error, settings: &AcmeSettings, name: Option<&str>) -> Self {
        match error {
            Error::Api(problem) => Self::of_problem(problem, settings, name),
            Error::Timeout(_) => Self::new(
                AcmeOutcome::Unreachable,
                "the authority has not decided in time",
                "nothing is to be done, unless this repeats: then look at the authority's status page",
            ),
            Error::Json(error) => Self::new(
                AcmeOutcome::Unreachable,
                format!("the answer is no ACME: {error}"),
                "check `directory` under [acme]; it is the URL of the authority's directory",
            ),
            Error::Other(source) => {
                let Some(client) = source.downcast_ref::<ClientError>() else {
                    return Self::new(AcmeOutcome::Unreachable, printable(&source.to_string()), NETWORK);
                };
                let remedy = match client {
                    ClientError::Connect(_, error) if is_untrusted(error) => {
                        "if the authority is not public, name its root as `ca_file` under [acme]; else check this machine's \
                         clock and the package ca-certificates"
                    }
                    ClientError::NotHttps(_) => "use an authority whose URLs all begin with https://",
                    _ => NETWORK,
                };
                Self::new(AcmeOutcome::Unreachable, printable(&client.to_string()), remedy)
            }
            other => Self::new(AcmeOutcome::Unreachable, printable(&other.to_string()), NETWORK),
        }
    }

    /// A refusal of the authority (RFC 8555 section 6.7).
    pub(super) fn of_problem(problem: &Problem, settings: &AcmeSettings, name: Option<&str>) -> Self {
        let kind = problem.r#type.as_deref().unwrap_or_default();
        let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
        let details = problem.subproblems.iter().map(ToString::to_string);
        let detail: Vec<String> = problem.detail.clone().into_iter().chain(details).collect();
        let detail = match detail.is_empty() {
            true => kind.to_owned(),
            false => printable(&detail.join("; ")),
        };
        let of_name = name.map(|name| format!("for {name}, ")).unwrap_or_default();
        let outcome = match (kind, problem.status) {
            ("rateLimited", _) => AcmeOutcome::RateLimited,
            ("serverInternal", _) | (_, Some(500..)) => AcmeOutcome::Unreachable,
            _ => AcmeOutcome::Refused,
        };
        Self {
            is_account_unknown: kind == "accountDoesNotExist",
            ..Self::new(
                outcome,
                format!("{of_name}the authority says: {detail} ({kind})"),
                remedy(kind, settings),
            )
        }
    }

    /// Adds the wait that the authority imposes.
    pub(super) fn waiting(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }
}

const NETWORK: &str = "check this machine's network and DNS; port 443 to the authority must be open";

/// Remedy for a type of problem (RFC 8555 section 6.7, RFC 8738 section 7).
fn remedy(kind: &str, settings: &AcmeSettings) -> String {
    let port = match settings.challenge {
        Challenge::TlsAlpn01 => "TCP port 443",
        Challenge::Http01 => "TCP port 80",
        Challenge::Dns01 => "the DNS record",
    };
    match kind {
        "connection" | "tls" => {
            format!("open {port} in every firewall in front of this server, and let the name lead here")
        }
        "dns" => "let an A or AAAA record of the name lead to this server".to_owned(),
        "unauthorized" | "incorrectResponse" => match settings.challenge {
            Challenge::Dns01 => "let the program of `dns_hook` wait until every name server has the record".to_owned(),
            _ => format!(
                "let every A and AAAA record of the name lead here, and {port} to this process: another server answered, \
                 or none"
            ),
        },
        "caa" => "allow this authority in the CAA records of the name, or remove them".to_owned(),
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            "use names and addresses that the authority accepts: public ones, of your own".to_owned()
        }
        "rateLimited" => "nothing is to be done: the next attempt waits for the end of the limit".to_owned(),
        "invalidContact" | "unsupportedContact" => "correct `mail` under [acme], or leave it empty".to_owned(),
        "externalAccountRequired" => {
            "use another authority as `directory` under [acme]: accounts that need a registration are not supported".to_owned()
        }
        "userActionRequired" => "do what the authority asks for, then reload the server".to_owned(),
        "invalidProfile" => "correct `profile` under [acme], or leave it empty".to_owned(),
        "accountDoesNotExist" => "nothing is to be done: a new account is made".to_owned(),
        "serverInternal" => "nothing is to be done, unless this repeats: then look at the authority's status page".to_owned(),
        _ => "correct what the authority names, then reload the server".to_owned(),
    }
}

/// Whether a handshake failed because of the authority's certificate.
fn is_untrusted(error: &io::Error) -> bool {
    let is_it = |error: &(dyn std::error::Error + 'static)| {
        matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
    };
    error.get_ref().is_some_and(|inner| is_it(inner) || inner.source().is_some_and(is_it))
}

/// Characters of the longest text of others in a log line.
const LONGEST_TEXT: usize = 300;

/// A text of others on one line of the log.
pub(super) fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).take(LONGEST_TEXT).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Problem {
        serde_json::from_str(json).unwrap()
    }

    fn failure(challenge: Challenge, json: &str) -> Failure {
        let settings = AcmeSettings { challenge, ..AcmeSettings::for_test(&["call.example.org"]) };
        Failure::of_problem(&problem(json), &settings, Some("call.example.org"))
    }

    #[test]
    fn a_refusal_is_a_cause_and_a_remedy() {
        let json = r#"{"type":"urn:ietf:params:acme:error:connection","detail":"Timeout during connect","status":400}"#;
        let told = failure(Challenge::TlsAlpn01, json);
        assert_eq!(
            (told.reason.as_str(), told.remedy.as_str(), told.outcome),
            (
                "for call.example.org, the authority says: Timeout during connect (connection)",
                "open TCP port 443 in every firewall in front of this server, and let the name lead here",
                AcmeOutcome::Refused
            )
        );
        assert!(failure(Challenge::Http01, json).remedy.contains("TCP port 80"));
        let limited = r#"{"type":"urn:ietf:params:acme:error:rateLimited","status":429}"#;
        assert_eq!(failure(Challenge::TlsAlpn01, limited).outcome, AcmeOutcome::RateLimited);
        let broken = r#"{"type":"urn:ietf:params:acme:error:serverInternal","status":500}"#;
        assert_eq!(failure(Challenge::TlsAlpn01, broken).outcome, AcmeOutcome::Unreachable);
        let gone = r#"{"type":"urn:ietf:params:acme:error:accountDoesNotExist","status":400}"#;
        assert!(failure(Challenge::TlsAlpn01, gone).is_account_unknown);
        assert!(!failure(Challenge::TlsAlpn01, broken).is_account_unknown);
    }

    #[test]
    fn threat_27_a_text_of_the_authority_is_one_short_line() {
        let long = "x".repeat(100_000);
        let json = format!(r#"{{"type":"odd","detail":"a\nb\u001b[31m{long}"}}"#);
        let reason = failure(Challenge::TlsAlpn01, &json).reason;
        assert!(reason.len() < 500 && !reason.contains(char::is_control), "{reason}");
    }

    #[test]
    fn a_full_disk_and_a_foreign_folder_have_their_remedies() {
        let told =
            |errno| Failure::state("/var/lib/byway".as_ref(), &io::Error::from_raw_os_error(errno)).remedy;
        assert!(told(libc::ENOSPC).contains("free space"));
        assert!(told(libc::EACCES).contains("StateDirectory="));
        assert!(told(libc::EROFS).contains("state_dir"));
    }
}
