//! Results of a load, as a few lines for people or an object for programs.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::process::Memory;
use super::setup::Effort;
use super::traffic::{TrafficOutcome, per_second, share};
use super::{LoadArguments, Mode};
use crate::cli::probe::server_path::Over;

/// Results of a load.
pub(super) struct Report<'a> {
    pub(super) arguments: &'a LoadArguments,
    pub(super) server: SocketAddr,
    pub(super) over: Over,
    /// Setup of the allocations.
    pub(super) setup: Option<Effort>,
    pub(super) work: Work,
    /// Datagrams that this program's own sockets dropped.
    pub(super) dropped_here: u64,
    pub(super) process: Option<Usage>,
}

/// Work after the setup.
pub(super) enum Work {
    Traffic(TrafficOutcome),
    Cycles(Effort),
    Nothing,
}

/// CPU time and memory of the server.
#[derive(Clone, Copy)]
pub(super) struct Usage {
    /// CPU time under load.
    pub(super) cpu: Duration,
    /// Memory before the first allocation of this run, and at the end.
    pub(super) before: Memory,
    pub(super) after: Memory,
}

impl Report<'_> {
    /// Whether anything got through.
    pub(super) fn is_good(&self) -> bool {
        match &self.work {
            Work::Traffic(outcome) => outcome.delivered > 0,
            Work::Cycles(effort) => effort.done > 0,
            Work::Nothing => true,
        }
    }

    /// Returns the limit of the load generator, if it was one: the results then say less about the
    /// server.
    fn limit(&self) -> Option<String> {
        let Work::Traffic(outcome) = &self.work else { return None };
        if self.dropped_here > 0 {
            Some(format!(
                "{} datagrams were dropped here because they were not read in time",
                self.dropped_here
            ))
        } else if outcome.is_late() {
            let missed = 100.0 * share(outcome.missed, outcome.sent + outcome.missed);
            Some(format!("{missed:.0} % of the rate could not be sent in time from here"))
        } else if outcome.is_bounded_here {
            Some("a higher rate could not be sent or read in time from here".to_owned())
        } else {
            None
        }
    }

    /// Returns the number of datagrams or cycles by which the server's CPU time is divided.
    fn pieces(&self) -> u64 {
        match &self.work {
            Work::Traffic(outcome) => outcome.delivered,
            Work::Cycles(effort) => effort.done,
            Work::Nothing => 0,
        }
    }

    /// Returns the results as one line for programs. These names are stable; a value that was not
    /// measured is `null`.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let Self { arguments, server, over, .. } = *self;
        let record = Record {
            mode: arguments.mode.name(),
            server,
            transport: over.to_string().to_lowercase(),
            clients: arguments.clients,
            size: arguments.size,
            train: arguments.train,
            indications: arguments.indications,
            setup: self.setup.as_ref().map(EffortRecord::of),
            traffic: match &self.work {
                Work::Traffic(outcome) => Some(TrafficRecord::of(outcome)),
                _ => None,
            },
            cycles: match &self.work {
                Work::Cycles(effort) => Some(EffortRecord::of(effort)),
                _ => None,
            },
            dropped_here: self.dropped_here,
            generator_limit: self.limit(),
            process: self.process.map(|usage| UsageRecord::of(usage, self.pieces(), arguments)),
        };
        Ok(serde_json::to_string(&record)? + "\n")
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoadArguments { clients, size, train, .. } = *self.arguments;
        let mode = self.arguments.mode;
        writeln!(f, "{} over {} to {}: {}", mode.name(), self.over, self.server, mode.meaning())?;
        if let Some(setup) = &self.setup {
            line(f, "set up", &format!("{} allocations {}", setup.done, pace(setup)))?;
        }
        match &self.work {
            Work::Traffic(outcome) => {
                let rate = format!("{:.0} datagrams a second", outcome.rate);
                let of = match mode {
                    Mode::Binding => String::new(),
                    _ => format!(" of {size} bytes"),
                };
                let trains = if train > 1 { format!(", in trains of {train}") } else { String::new() };
                line(f, "offered", &format!("{rate}{of}{trains}, by {clients} clients"))?;
                let seconds = outcome.length.as_secs_f64();
                line(f, "sent", &format!("{:.0} a second, for {seconds:.1} s", outcome.sent_per_second()))?;
                let bits = outcome.delivered_per_second() * 8e-6 * f64::from(size);
                let bits = if mode == Mode::Binding {
                    String::new()
                } else {
                    format!(", {bits:.1} Mbit/s of payload")
                };
                line(f, "delivered", &format!("{:.0} a second{bits}", outcome.delivered_per_second()))?;
                let lost = outcome.sent.saturating_sub(outcome.delivered);
                line(f, "lost", &format!("{lost} of {}, {:.3} %", outcome.sent, 100.0 * outcome.loss()))?;
                line(f, "reordered", &outcome.reordered.to_string())?;
                line(f, "latency", &latency(outcome))?;
                if outcome.refused > 0 {
                    let why = "this machine's kernel, or a full connection, did not accept them";
                    line(f, "not sent", &format!("{}: {why}", outcome.refused))?;
                }
                if outcome.ended > 0 {
                    line(f, "ended", &format!("{} connections", outcome.ended))?;
                }
            }
            Work::Cycles(effort) => {
                line(f, "cycles", &format!("{} {}", effort.done, pace(effort)))?;
                if effort.failed > 0 {
                    line(f, "failed", &effort.failed.to_string())?;
                }
            }
            Work::Nothing => {}
        }
        if let Some(usage) = self.process {
            line(f, "server", &UsageRecord::of(usage, self.pieces(), self.arguments).to_string())?;
        }
        if let Some(limit) = self.limit() {
            line(f, "limit", &format!("this program, not the server: {limit}"))?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(f, "  {name:<10} {text}")
}

/// Formats duration, rate, and the latency of each piece of work.
fn pace(effort: &Effort) -> String {
    let rate = per_second(effort.done, effort.took);
    let mut text = format!("in {:.3} s, {rate:.0} a second", effort.took.as_secs_f64());
    if let Some((median, late)) = effort.times.quantile(0.5).zip(effort.times.quantile(0.99)) {
        let (median, late) = (milliseconds(median), milliseconds(late));
        let _ = write!(text, "; each took {median:.2} ms (p50), {late:.2} ms (p99)");
    }
    if effort.resent > 0 {
        let _ = write!(text, "; {} requests sent again", effort.resent);
    }
    text
}

fn latency(outcome: &TrafficOutcome) -> String {
    let shown = |share| {
        outcome
            .latency
            .quantile(share)
            .map_or_else(|| "-".to_owned(), |time| format!("{:.3}", milliseconds(time)))
    };
    let mut text = format!("{} ms (p50), {} ms (p99), {} ms (p99.9)", shown(0.5), shown(0.99), shown(0.999));
    if outcome.unknown > 0 {
        let percent = 100.0 * share(outcome.unknown, outcome.delivered);
        let _ = write!(text, "; unknown for {percent:.1} %, which this program was too busy to time");
    }
    text
}

#[derive(Serialize)]
struct Record {
    mode: &'static str,
    server: SocketAddr,
    transport: String,
    clients: u32,
    size: u16,
    train: u16,
    indications: bool,
    setup: Option<EffortRecord>,
    traffic: Option<TrafficRecord>,
    cycles: Option<EffortRecord>,
    dropped_here: u64,
    generator_limit: Option<String>,
    process: Option<UsageRecord>,
}

#[derive(Serialize)]
struct EffortRecord {
    done: u64,
    failed: u64,
    seconds: f64,
    per_second: f64,
    resent: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl EffortRecord {
    fn of(effort: &Effort) -> Self {
        let quantile = |share| effort.times.quantile(share).map(milliseconds);
        Self {
            done: effort.done,
            failed: effort.failed,
            seconds: effort.took.as_secs_f64(),
            per_second: per_second(effort.done, effort.took),
            resent: effort.resent,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
        }
    }
}

#[derive(Serialize)]
struct TrafficRecord {
    offered_per_second: f64,
    seconds: f64,
    sent: u64,
    sent_per_second: f64,
    delivered: u64,
    delivered_per_second: f64,
    loss: f64,
    reordered: u64,
    not_sent: u64,
    connections_ended: u64,
    latency_unknown: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    p999_ms: Option<f64>,
}

impl TrafficRecord {
    fn of(outcome: &TrafficOutcome) -> Self {
        let quantile = |share| outcome.latency.quantile(share).map(milliseconds);
        Self {
            offered_per_second: outcome.rate,
            seconds: outcome.length.as_secs_f64(),
            sent: outcome.sent,
            sent_per_second: outcome.sent_per_second(),
            delivered: outcome.delivered,
            delivered_per_second: outcome.delivered_per_second(),
            loss: outcome.loss(),
            reordered: outcome.reordered,
            not_sent: outcome.refused,
            connections_ended: outcome.ended,
            latency_unknown: outcome.unknown,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
        }
    }
}

#[derive(Serialize)]
struct UsageRecord {
    pid: u32,
    cpu_seconds: f64,
    /// Microseconds of CPU time for each datagram delivered, or each cycle.
    cpu_us_each: Option<f64>,
    memory_bytes: u64,
    /// Memory that each allocation added; not measured with few of them.
    bytes_per_allocation: Option<f64>,
}

impl UsageRecord {
    fn of(usage: Usage, pieces: u64, arguments: &LoadArguments) -> Self {
        let Usage { cpu, before, after } = usage;
        let keeps = arguments.clients >= 100 && !matches!(arguments.mode, Mode::Allocate | Mode::Binding);
        #[expect(clippy::cast_precision_loss, reason = "counts and bytes far below 2^52")]
        Self {
            pid: arguments.pid.unwrap_or_default(),
            cpu_seconds: cpu.as_secs_f64(),
            cpu_us_each: (pieces > 0).then(|| cpu.as_secs_f64() * 1e6 / pieces as f64),
            memory_bytes: after.proportional,
            bytes_per_allocation: keeps
                .then(|| (after.anonymous as f64 - before.anonymous as f64) / f64::from(arguments.clients)),
        }
    }
}

impl fmt::Display for UsageRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(each) = self.cpu_us_each {
            write!(f, "{each:.2} us of CPU time for each; ")?;
        }
        #[expect(clippy::cast_precision_loss, reason = "bytes far below 2^52")]
        let mebibytes = self.memory_bytes as f64 / f64::from(1 << 20);
        write!(f, "{mebibytes:.1} MiB of memory")?;
        if let Some(bytes) = self.bytes_per_allocation {
            write!(f, ", {:.2} KiB for each allocation", bytes / 1024.0)?;
        }
        Ok(())
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
