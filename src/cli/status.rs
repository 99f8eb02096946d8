//! `byway status`: asks the running server for its state.

mod cluster;

use clap::Args;
use serde_json::{Value, json};

use super::plain_text::{plain, plain_json};
use super::running_server::{AdminListener, Unanswered};
use super::units::{bytes, count, time};
use super::{CliError, CommandOutcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::events::Traffic;
use crate::fault::Fault;
use crate::http::admin::status::{STATUS, Status};
use crate::ice::rfc3339;

/// Text where no listener can be asked.
pub(super) const NO_LISTENER: &str = "no `admin` listener with a Unix socket or a fixed port to ask the server through\n  \
     remedy: add \"unix:/run/byway/admin.sock\" to `admin` under [listen]";

/// The last second of the year 9999.
const LATEST: u64 = 253_402_300_799;

/// Arguments of `byway status`.
#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the state. A fault is found if a part is down, something cannot be served, or nothing
/// answers.
pub(super) fn run(arguments: &StatusArguments, config: &Config) -> Result<CommandOutcome, CliError> {
    let listener = AdminListener::of(&config.listen).ok_or(CliError::Usage(NO_LISTENER))?;
    let (text, is_well) = match ask(&listener) {
        Ok(body) if arguments.json => {
            let status = serde_json::from_value::<Status>(body.clone()).unwrap_or_default();
            (plain_json(&format!("{body:#}")) + "\n", is_well(&status))
        }
        Ok(body) => match serde_json::from_value::<Status>(body) {
            Ok(status) => (told(&status, Clock::start().now().unix), is_well(&status)),
            Err(_) => (unanswered(&listener, &other_version()), false),
        },
        Err(reason) if arguments.json => {
            (plain_json(&format!("{:#}", as_json(&listener, &reason))) + "\n", false)
        }
        Err(reason) => (unanswered(&listener, &reason), false),
    };
    super::print(&text)?;
    Ok(if is_well { CommandOutcome::Done } else { CommandOutcome::FaultFound })
}

fn ask(listener: &AdminListener) -> Result<Value, Unanswered> {
    match listener.get(STATUS)? {
        (200, body) => serde_json::from_slice(&body).map_err(|_| other_version()),
        (404, _) => Err(other_version()),
        (status, _) => {
            Err(Unanswered { cause: format!("the server answered {status}"), remedy: "see the server's log" })
        }
    }
}

fn other_version() -> Unanswered {
    Unanswered {
        cause: "the answer is not that of this version".to_owned(),
        remedy: "restart the server, so that it has the version of this command",
    }
}

fn is_well(status: &Status) -> bool {
    status.down.is_empty() && status.degraded.is_empty() && !status.version.is_empty()
}

/// Answer of `--json` where the server does not answer.
pub(super) fn as_json(listener: &AdminListener, reason: &Unanswered) -> Value {
    let Unanswered { cause, remedy } = reason;
    json!({ "error": format!("{listener}: {cause}"), "remedy": remedy, "fault": Fault::NotRunning })
}

fn unanswered(listener: &AdminListener, Unanswered { cause, remedy }: &Unanswered) -> String {
    format!(
        "no state of the server: {listener}: {}\n  remedy: {remedy}\n  more: byway explain {}\n",
        plain(cause),
        Fault::NotRunning
    )
}

/// The state for the operator.
fn told(status: &Status, now: u64) -> String {
    let facts = &status.facts;
    let mut told = format!(
        "byway {}: {} since {}, {} (process {})\n",
        plain(&status.version),
        plain(&status.phase),
        date(facts.began),
        time(now.saturating_sub(facts.began)),
        status.pid
    );
    let file = facts.configuration.as_deref().map_or_else(|| "the embedded default".to_owned(), plain);
    told += &format!("  configuration: {file}\n");
    let listening = plain(&facts.listening);
    told += &format!("  listening: {}\n", listening.strip_prefix("listening ").unwrap_or(&listening));
    told += &match &facts.certificate {
        Some(certificate) => {
            let names =
                certificate.names.iter().take(8).map(|name| plain(name)).collect::<Vec<_>>().join(", ");
            let left = match certificate.expires.checked_sub(now) {
                Some(left) => format!("{} left", time(left)),
                None => "expired".to_owned(),
            };
            format!("  certificate: for {names}, valid until {}, {left}\n", date(certificate.expires))
        }
        None => "  certificate: none\n".to_owned(),
    };
    told += &format!(
        "  now: {}, {}, {}\n",
        count(facts.allocations, "allocation"),
        count(status.rooms, "room"),
        count(status.members, "member")
    );
    let amount = |traffic: Traffic| bytes(traffic.bytes);
    told += &format!(
        "  relayed: {} to peers, {} to clients, {} between clients\n",
        amount(facts.relayed.to_peer),
        amount(facts.relayed.to_client),
        amount(facts.relayed.between_clients)
    );
    if let Some(state) = &facts.cluster {
        told += &cluster::lines(state);
    }
    for part in &status.down {
        told += &format!("  down: {}\n", plain(part));
    }
    for line in &status.degraded {
        told += &format!("  degraded: {}\n", plain(line));
    }
    if !status.down.is_empty() || !status.degraded.is_empty() {
        told += &format!("  more: byway explain {}\n", Fault::Degraded);
    }
    told
}

fn date(unix: u64) -> String {
    rfc3339(unix.min(LATEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::status::{ClusterStatus, NodeStatus};
    use crate::http::admin::status::{CertificateFacts, Relayed, ServerFacts};

    fn status() -> Status {
        Status {
            version: "0.1.0".to_owned(),
            pid: 42,
            phase: "running".to_owned(),
            rooms: 1,
            members: 2,
            facts: ServerFacts {
                began: 1_763_640_000,
                configuration: Some("/etc/byway/turnserver.toml".to_owned()),
                listening: "listening udp=192.0.2.1:3478 tcp=none".to_owned(),
                allocations: 3,
                certificate: Some(CertificateFacts {
                    names: vec!["a.test".to_owned()],
                    expires: 1_763_726_400,
                }),
                relayed: Relayed {
                    to_peer: Traffic { packets: 9, bytes: 1_234 },
                    to_client: Traffic { packets: 9, bytes: 5_600_000 },
                    between_clients: Traffic::default(),
                },
                cluster: None,
            },
            ..Status::default()
        }
    }

    #[test]
    fn the_state_is_told_line_by_line() {
        let now = 1_763_640_061;
        assert_eq!(
            told(&status(), now),
            "byway 0.1.0: running since 2025-11-20T12:00:00Z, 1m 1s (process 42)\n  \
             configuration: /etc/byway/turnserver.toml\n  \
             listening: udp=192.0.2.1:3478 tcp=none\n  \
             certificate: for a.test, valid until 2025-11-21T12:00:00Z, 23h 58m left\n  \
             now: 3 allocations, 1 room, 2 members\n  \
             relayed: 1.2 kB to peers, 5.6 MB to clients, 0 B between clients\n"
        );
        let troubled = Status { degraded: vec!["no certificate".to_owned()], ..status() };
        assert!(
            told(&troubled, now).ends_with("  degraded: no certificate\n  more: byway explain degraded\n")
        );
        assert!(is_well(&status()) && !is_well(&troubled));
        assert!(!is_well(&Status { down: vec!["shard 0".to_owned()], ..status() }));
    }

    #[test]
    fn threat_59_a_hostile_server_cannot_write_to_the_terminal() {
        let hostile = "\u{1b}]0;owned\u{7}\n\u{9b}2J\u{202e}".to_owned();
        let status = Status {
            version: hostile.clone(),
            phase: hostile.clone(),
            down: vec![hostile.clone()],
            degraded: vec![hostile.clone()],
            facts: ServerFacts {
                began: u64::MAX,
                configuration: Some(hostile.clone()),
                listening: hostile.clone(),
                certificate: Some(CertificateFacts { names: vec![hostile.clone(); 100], expires: u64::MAX }),
                cluster: Some(ClusterStatus {
                    node: hostile.clone(),
                    region: Some(hostile.clone()),
                    since: u64::MAX,
                    broker: hostile.clone(),
                    error: hostile.clone(),
                    nodes: vec![NodeStatus {
                        node: hostile.clone(),
                        region: Some(hostile.clone()),
                        presence: hostile.clone(),
                        version: hostile,
                        silent_ms: u64::MAX,
                        ..NodeStatus::default()
                    }],
                    ..ClusterStatus::default()
                }),
                ..ServerFacts::default()
            },
            ..Status::default()
        };
        let told = told(&status, 0);
        assert!(!told.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{told:?}");
        assert_eq!(told.lines().count(), 12, "{told}");
    }
}
