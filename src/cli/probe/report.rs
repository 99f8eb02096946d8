//! Findings as a table for people or as JSON for programs.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::client::RelayFindings;
use super::{PageRow, ProbeReport, Row};
use crate::diagnosis::finding::printable;
use crate::diagnosis::{Finding, State};
use crate::fault::Fault;

/// Row of the JSON report. These names are stable; a step that was not reached is `null`.
#[derive(Serialize)]
struct Record {
    /// Part: `stun`, `turn`, or that of a [`PageRow`].
    what: &'static str,
    url: String,
    address: Option<SocketAddr>,
    /// Whether it works; `null` if it was skipped.
    ok: Option<bool>,
    state: State,
    fault: Option<Fault>,
    mapped_address: Option<SocketAddr>,
    /// Time to open a connection: TCP and TLS. A name's look-up is in no time.
    open_ms: Option<f64>,
    /// Shortest time of a Binding request on the open connection.
    binding_ms: Option<f64>,
    relayed_address: Option<SocketAddr>,
    /// Shortest way from one allocation through the other and back: twice through the server.
    round_trip_ms: Option<f64>,
    from_peer_ms: Option<f64>,
    from_peer_not_checked: Option<&'static str>,
    /// Relays by IP version.
    relays: Vec<RelayRecord>,
    relay_not_checked: Option<String>,
    /// Time of a page's answer, its connection included.
    answer_ms: Option<f64>,
    evidence: Option<String>,
    trouble: Option<String>,
    remedy: Option<String>,
}

/// Relay of one IP version.
#[derive(Serialize)]
struct RelayRecord {
    family: &'static str,
    relayed_address: Option<SocketAddr>,
    /// Code of the server's refusal; 440 if it has no relay of this version.
    refused: Option<u16>,
    round_trip_ms: Option<f64>,
    from_peer_ms: Option<f64>,
    from_peer_not_checked: Option<&'static str>,
}

impl From<&RelayFindings> for RelayRecord {
    fn from(relay: &RelayFindings) -> Self {
        Self {
            family: relay.family.name(),
            relayed_address: relay.relayed,
            refused: relay.refused,
            round_trip_ms: relay.round_trip.map(milliseconds),
            from_peer_ms: relay.from_peer.and_then(Result::ok).map(milliseconds),
            from_peer_not_checked: relay.from_peer.and_then(Result::err),
        }
    }
}

impl From<&Row> for Record {
    fn from(row: &Row) -> Self {
        let Row { url, address, findings, .. } = row;
        let finding = row.finding();
        let relay = findings.relay().map(RelayRecord::from);
        Self {
            what: if url.scheme.relays() { "turn" } else { "stun" },
            url: url.to_string(),
            address: *address,
            ok: Some(findings.trouble.is_none()),
            state: finding.state,
            fault: finding.fault,
            mapped_address: findings.binding.map(|(mapped, _)| mapped),
            open_ms: findings.opened.map(milliseconds),
            binding_ms: findings.binding.map(|(_, time)| milliseconds(time)),
            relayed_address: relay.as_ref().and_then(|relay| relay.relayed_address),
            round_trip_ms: relay.as_ref().and_then(|relay| relay.round_trip_ms),
            from_peer_ms: relay.as_ref().and_then(|relay| relay.from_peer_ms),
            from_peer_not_checked: relay.as_ref().and_then(|relay| relay.from_peer_not_checked),
            relays: findings.relays.iter().map(RelayRecord::from).collect(),
            relay_not_checked: findings.without_login.clone(),
            answer_ms: None,
            evidence: Some(finding.evidence),
            trouble: findings.trouble.as_ref().map(ToString::to_string),
            remedy: Some(finding.remedy).filter(|remedy| !remedy.is_empty()),
        }
    }
}

impl From<&PageRow> for Record {
    fn from(PageRow { what, url, address, took, finding }: &PageRow) -> Self {
        let Finding { fault, state, what: told, evidence, remedy } = finding.clone();
        let trouble = if evidence.is_empty() { told } else { format!("{told}: {evidence}") };
        Self {
            what,
            url: url.clone(),
            address: *address,
            ok: (state != State::Skipped).then_some(state != State::Failed),
            state,
            fault,
            mapped_address: None,
            open_ms: None,
            binding_ms: None,
            relayed_address: None,
            round_trip_ms: None,
            from_peer_ms: None,
            from_peer_not_checked: None,
            relays: Vec::new(),
            relay_not_checked: None,
            answer_ms: took.map(milliseconds),
            evidence: Some(evidence),
            trouble: (state == State::Failed).then_some(trouble),
            remedy: Some(remedy).filter(|remedy| !remedy.is_empty()),
        }
    }
}

impl Row {
    /// Returns the row as a finding.
    pub(super) fn finding(&self) -> Finding {
        let Self { url, address, findings, .. } = self;
        let at = address.map(|address| format!(" at {address}")).unwrap_or_default();
        let what = format!("{url}{at}");
        if let Some(trouble) = &findings.trouble {
            return Finding::failed(trouble.fault(), what, trouble.to_string(), trouble.remedy());
        }
        if let Some(reason) = &findings.without_login {
            return Finding::warning(
                None,
                format!("{what} answers, and its relay was not asked for"),
                reason.clone(),
                "give --username and --password from `byway credential --user NAME` on the server",
            );
        }
        let mut evidence = Vec::new();
        if let Some((mapped, time)) = findings.binding {
            evidence.push(format!("sees {mapped}, binding {:.2} ms", milliseconds(time)));
        }
        for relay in &findings.relays {
            evidence.push(match (relay.relayed, relay.from_peer) {
                (None, _) => format!("no {} relay", relay.family.name()),
                (Some(relayed), Some(Ok(_))) => format!("relay {relayed} reached from here"),
                (Some(relayed), Some(Err(reason))) => {
                    format!("relay {relayed} not reached from here: {reason}")
                }
                (Some(relayed), None) => format!("relay {relayed}"),
            });
        }
        Finding::ok(what, evidence.join("; "))
    }
}

/// Returns the rows as a JSON array of [`Record`]s.
pub(super) fn json(report: &ProbeReport) -> serde_json::Result<String> {
    let pages = report.pages.iter().map(Record::from);
    let records: Vec<_> = pages.chain(report.servers.iter().map(Record::from)).collect();
    Ok(serde_json::to_string_pretty(&records)? + "\n")
}

/// Formats the rows of pages, one finding each, and an empty line below them.
pub(super) fn pages(rows: &[PageRow]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut finding = row.finding.clone();
        let took = row.took.map(|took| format!("in {:.2} ms", milliseconds(took)));
        let at = row.address.map(|at| format!("at {at}"));
        let evidence = [Some(finding.evidence).filter(|evidence| !evidence.is_empty()), at, took];
        finding.evidence = evidence.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "{finding}");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Formats the rows with columns as wide as their contents. Lines below a row say why a step was
/// not checked, or give the remedy of a failure.
pub(super) fn table(rows: &[Row]) -> String {
    const HEAD: [&str; 7] =
        ["URL", "ADDRESS", "BINDING", "ALLOCATION", "ROUND TRIP", "FROM A PEER", "VERDICT"];
    if rows.is_empty() {
        return String::new();
    }
    let shown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let cells: Vec<[String; 7]> = rows
        .iter()
        .map(|row| {
            let Row { url, address, findings, .. } = row;
            let relay = findings.relay();
            [
                url.to_string(),
                shown(address.map(|address| address.to_string())),
                shown(
                    findings
                        .binding
                        .map(|(mapped, time)| format!("{mapped} in {:.2} ms", milliseconds(time))),
                ),
                shown(relay.and_then(|relay| relay.relayed).map(|relayed| relayed.to_string())),
                shown(
                    relay
                        .and_then(|relay| relay.round_trip)
                        .map(|time| format!("{:.2} ms", milliseconds(time))),
                ),
                shown(relay.and_then(|relay| relay.from_peer).map(|from_peer| match from_peer {
                    Ok(time) => format!("{:.2} ms", milliseconds(time)),
                    Err(_) => "not checked".to_owned(),
                })),
                match (&findings.trouble, &findings.without_login) {
                    (Some(trouble), _) => printable(&format!("FAILED: {trouble}")),
                    (None, Some(_)) => "relay not asked for".to_owned(),
                    (None, None) => "ok".to_owned(),
                },
            ]
        })
        .collect();
    let head = HEAD.map(str::to_owned);
    let width = |column: usize| {
        cells.iter().chain([&head]).map(|cells| cells[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; 7] = std::array::from_fn(width);

    let mut table = line(&head, &widths);
    for (row, cells) in rows.iter().zip(&cells) {
        table += &line(cells, &widths);
        table += &notes(row);
    }
    table
}

/// Formats the lines below a row.
fn notes(row: &Row) -> String {
    let mut notes = String::new();
    let findings = &row.findings;
    if let Some(opened) = findings.opened {
        let _ = writeln!(notes, "  connection opened in {:.2} ms", milliseconds(opened));
    }
    if let Some(reason) = &findings.without_login {
        let _ = writeln!(notes, "  relay not asked for: {}", printable(reason));
    }
    let first = findings.relay();
    if let Some(Err(reason)) = first.and_then(|relay| relay.from_peer) {
        let _ = writeln!(notes, "  from a peer not checked: {reason}");
    }
    for relay in findings.relays.iter().filter(|relay| Some(*relay) != first) {
        let family = relay.family.name();
        let _ = match (relay.relayed, relay.from_peer, relay.refused) {
            (Some(relayed), Some(Ok(time)), _) => {
                writeln!(notes, "  {family} relay at {relayed}: from a peer in {:.2} ms", milliseconds(time))
            }
            (Some(relayed), Some(Err(reason)), _) => {
                writeln!(notes, "  {family} relay at {relayed}: from a peer not checked: {reason}")
            }
            (Some(relayed), None, _) => writeln!(notes, "  {family} relay at {relayed}"),
            (None, _, Some(440) | None) => writeln!(notes, "  no {family} relay"),
            (None, _, Some(code)) => writeln!(notes, "  no {family} relay: refused with {code}"),
        };
    }
    if let Some(trouble) = &findings.trouble {
        let _ = writeln!(notes, "  remedy: {}", printable(trouble.remedy()));
        let _ = writeln!(notes, "  more: byway explain {}", trouble.fault());
    }
    notes
}

fn line(cells: &[String; 7], widths: &[usize; 7]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(line, "{cell:width$}  ");
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 1e2
}
