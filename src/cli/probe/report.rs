//! Findings as a table for people or as JSON for programs.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::Row;

/// Row of the JSON report. These names are stable; a step that was not reached is `null`.
#[derive(Serialize)]
struct Record {
    url: String,
    address: Option<SocketAddr>,
    ok: bool,
    mapped_address: Option<SocketAddr>,
    binding_ms: Option<f64>,
    relayed_address: Option<SocketAddr>,
    round_trip_ms: Option<f64>,
    from_peer_ms: Option<f64>,
    from_peer_not_checked: Option<&'static str>,
    trouble: Option<String>,
    remedy: Option<&'static str>,
}

/// Returns the rows as a JSON array of [`Record`]s.
pub(super) fn json(rows: &[Row]) -> serde_json::Result<String> {
    let records: Vec<_> = rows
        .iter()
        .map(|Row { url, address, findings, .. }| Record {
            url: url.to_string(),
            address: *address,
            ok: findings.trouble.is_none(),
            mapped_address: findings.binding.map(|(mapped, _)| mapped),
            binding_ms: findings.binding.map(|(_, time)| milliseconds(time)),
            relayed_address: findings.relayed,
            round_trip_ms: findings.round_trip.map(milliseconds),
            from_peer_ms: findings.from_peer.and_then(Result::ok).map(milliseconds),
            from_peer_not_checked: findings.from_peer.and_then(Result::err),
            trouble: findings.trouble.as_ref().map(ToString::to_string),
            remedy: findings.trouble.as_ref().map(super::ProbeError::remedy),
        })
        .collect();
    Ok(serde_json::to_string_pretty(&records)? + "\n")
}

/// Formats the rows with columns as wide as their contents. Lines below a row say why a step was
/// not checked, or give the remedy of a failure.
pub(super) fn table(rows: &[Row]) -> String {
    const HEAD: [&str; 7] =
        ["URL", "ADDRESS", "BINDING", "ALLOCATION", "ROUND TRIP", "FROM A PEER", "VERDICT"];
    let shown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let cells: Vec<[String; 7]> = rows
        .iter()
        .map(|Row { url, address, findings, .. }| {
            [
                url.to_string(),
                shown(address.map(|address| address.to_string())),
                shown(
                    findings
                        .binding
                        .map(|(mapped, time)| format!("{mapped} in {:.2} ms", milliseconds(time))),
                ),
                shown(findings.relayed.map(|relayed| relayed.to_string())),
                shown(findings.round_trip.map(|time| format!("{:.2} ms", milliseconds(time)))),
                shown(findings.from_peer.map(|from_peer| match from_peer {
                    Ok(time) => format!("{:.2} ms", milliseconds(time)),
                    Err(_) => "not checked".to_owned(),
                })),
                findings
                    .trouble
                    .as_ref()
                    .map_or_else(|| "ok".to_owned(), |trouble| format!("FAILED: {trouble}")),
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
        if let Some(Err(reason)) = row.findings.from_peer {
            let _ = writeln!(table, "  from a peer not checked: {reason}");
        }
        if let Some(trouble) = &row.findings.trouble {
            let _ = writeln!(table, "  remedy: {}", trouble.remedy());
        }
    }
    table
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
