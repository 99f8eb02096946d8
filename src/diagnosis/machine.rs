//! Machine: file descriptors, connection tracking, socket buffers, batches and the log.

use super::Finding;
use crate::fault::Fault;

/// File descriptors of the server's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Limit of the process.
    pub limit: u64,
    /// Descriptors in use, if they could be counted.
    pub used: Option<u64>,
    /// Allocations that the configuration permits.
    pub allocations: u64,
}

/// Judges the descriptors. The server reserves three eighths of them for connections and pages.
pub fn descriptors(found: Descriptors) -> Finding {
    let Descriptors { limit, used, allocations } = found;
    let possible = (limit / 8).saturating_mul(5).saturating_sub(64);
    let seen = match used {
        Some(used) => format!("{used} of {limit} in use"),
        None => format!("limit {limit}"),
    };
    let remedy = "raise the limit: `systemctl edit byway` with `[Service] LimitNOFILE=1048576`, then systemctl restart \
                  byway; outside of systemd: ulimit -n 1048576";
    if used.is_some_and(|used| used >= limit - limit / 10) {
        return Finding::failed(
            Fault::DescriptorsFew,
            "the file descriptors are nearly used up",
            seen,
            remedy,
        );
    }
    if possible < 64 {
        return Finding::failed(
            Fault::DescriptorsFew,
            "too few file descriptors",
            format!("{seen}: enough for {possible} allocations"),
            remedy,
        );
    }
    if possible < allocations {
        return Finding::warning(
            Fault::DescriptorsFew,
            "fewer file descriptors than the configured allocations need",
            format!("{seen}: enough for {possible} allocations of {allocations}"),
            remedy,
        );
    }
    Finding::ok("file descriptors", seen)
}

/// Judges the table of connection tracking by its entries and its size. `None` where the kernel
/// tracks no connections.
pub fn conntrack(found: Option<(u64, u64)>) -> Finding {
    let Some((count, most)) = found else {
        return Finding::ok("connection tracking", "off, or not visible in this network namespace");
    };
    let seen = format!("{count} of {most} entries");
    let remedy = format!(
        "enlarge it: sysctl -w net.netfilter.nf_conntrack_max={}",
        most.saturating_mul(4).max(262_144)
    );
    let what = "the table of connection tracking is";
    match count.saturating_mul(100) / most.max(1) {
        95.. => Finding::failed(
            Fault::ConntrackFull,
            format!("{what} full: the kernel drops new flows"),
            seen,
            remedy,
        ),
        75.. => Finding::warning(Fault::ConntrackFull, format!("{what} nearly full"), seen, remedy),
        _ => Finding::ok("connection tracking", seen),
    }
}

/// Size of a socket buffer: the configuration's key, its value, the kernel's limit and its value.
pub type Buffer<'a> = (&'a str, u64, &'a str, u64);

/// Judges the kernel's limits of socket buffers.
pub fn buffers(found: &[Buffer<'_>]) -> Finding {
    let cut: Vec<_> = found.iter().filter(|(_, asked, _, limit)| limit < asked).collect();
    if cut.is_empty() {
        return Finding::ok("socket buffers", "the kernel grants the configured sizes");
    }
    let seen: Vec<_> = cut
        .iter()
        .map(|(key, asked, name, limit)| format!("net.core.{name} is {limit}, {key} is {asked}"))
        .collect();
    let settings: Vec<_> = cut.iter().map(|(_, asked, name, _)| format!("net.core.{name}={asked}")).collect();
    Finding::warning(
        Fault::BuffersSmall,
        "the kernel grants smaller socket buffers than configured, so bursts are dropped",
        seen.join(", "),
        format!("run `sysctl -w {}`, then systemctl restart byway", settings.join(" ")),
    )
}

/// Judges the offload of datagrams, by the numbers of shards that receive and send in batches.
pub fn batches(receive: Option<u64>, send: Option<u64>, is_wanted: bool) -> Finding {
    let what = "batches of datagrams (GRO, GSO)";
    match (receive, send) {
        _ if !is_wanted => Finding::ok(what, "off by relay.offload"),
        (Some(0), _) | (_, Some(0)) => Finding::warning(
            Fault::KernelFeature,
            "the kernel does not batch datagrams, so relaying costs more",
            format!("shards that receive: {}, that send: {}", receive.unwrap_or(0), send.unwrap_or(0)),
            "use Linux 5.0 or later, and see the log's lines on GRO and GSO",
        ),
        (Some(_), Some(_)) => Finding::ok(what, "in use"),
        _ => Finding::skipped(what, "the server's metrics do not tell"),
    }
}

/// Judges the log by the lines that it lost.
pub fn log(lost: u64) -> Finding {
    if lost == 0 {
        return Finding::ok("log", "no line lost");
    }
    Finding::warning(
        Fault::LogGone,
        "the log loses lines: its reader has gone or stopped, or its disk is full",
        format!("{lost} lines lost since the start"),
        "look at the disk (df -h /var/log) and at the journal (systemctl status systemd-journald), then restart the server",
    )
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn descriptors_are_judged_by_what_they_are_for() {
        let found = |limit, used, allocations| descriptors(Descriptors { limit, used, allocations });
        assert_eq!(
            found(1_048_576, Some(90), 10_000).to_string(),
            "ok       file descriptors: 90 of 1048576 in use"
        );
        let few = found(1024, None, 10_000);
        assert_eq!(
            (few.state, few.evidence.as_str()),
            (State::Warning, "limit 1024: enough for 576 allocations of 10000")
        );
        assert_eq!(found(128, Some(20), 10).state, State::Failed);
        assert_eq!(found(4096, Some(3700), 10).what, "the file descriptors are nearly used up");
        for limit in [0, 1, u64::MAX] {
            assert!(!found(limit, Some(limit), u64::MAX).what.is_empty());
        }
    }

    #[test]
    fn connection_tracking_is_judged_by_its_fill() {
        let found = |count, most| conntrack(Some((count, most))).state;
        assert_eq!(found(10, 100), State::Ok);
        assert_eq!(found(80, 100), State::Warning);
        assert_eq!(found(100, 100), State::Failed);
        assert_eq!(found(1, 0), State::Failed);
        assert_eq!(conntrack(Some((100, 65_536))).state, State::Ok);
        assert_eq!(
            conntrack(Some((65_536, 65_536))).remedy,
            "enlarge it: sysctl -w net.netfilter.nf_conntrack_max=262144"
        );
        assert_eq!(conntrack(None).state, State::Ok);
    }

    #[test]
    fn small_buffers_have_one_command() {
        let found = buffers(&[
            ("relay.receive_buffer", 4_000_000, "rmem_max", 212_992),
            ("relay.send_buffer", 200_000, "wmem_max", 212_992),
        ]);
        assert_eq!(
            found.hint(),
            "the kernel grants smaller socket buffers than configured, so bursts are dropped: net.core.rmem_max is 212992, \
             relay.receive_buffer is 4000000; run `sysctl -w net.core.rmem_max=4000000`, then systemctl restart byway"
        );
        assert_eq!(buffers(&[]).state, State::Ok);
    }

    #[test]
    fn batches_and_the_log_are_judged_by_counters() {
        assert_eq!(batches(Some(2), Some(2), true).state, State::Ok);
        assert_eq!(batches(Some(0), Some(2), true).fault, Some(Fault::KernelFeature));
        assert_eq!(batches(Some(0), Some(0), false).state, State::Ok);
        assert_eq!(batches(None, None, true).state, State::Skipped);
        assert_eq!(log(0).state, State::Ok);
        assert_eq!(log(3).fault, Some(Fault::LogGone));
    }
}
