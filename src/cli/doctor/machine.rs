//! Machine: limits of the kernel and of the server's process, and the ports of the configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::cli::port_holders::{Processes, Protocol, sockets};
use crate::config::Config;
use crate::diagnosis::ports::{Holder, Port};
use crate::diagnosis::{Finding, machine, ports};
use crate::net::interfaces;
use crate::server::self_check;

use super::server::Asked;
use super::service::Service;

/// Name of the server's process.
const OUR_NAME: &str = "byway";

/// Facts that may need root, read before root is given up.
#[derive(Debug)]
pub(super) struct SeenByRoot {
    processes: Processes,
    /// Descriptors of each process of ours: id, limit and number in use.
    descriptors: Vec<(u32, Option<u64>, Option<u64>)>,
}

impl SeenByRoot {
    pub(super) fn read() -> Self {
        let is_ours =
            |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim_end() == OUR_NAME);
        let of_process = |process: fs::DirEntry| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let path = process.path();
            is_ours(&path).then(|| (pid, limit(&path), in_use(&path)))
        };
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        Self { processes: Processes::read(), descriptors: all.filter_map(of_process).collect() }
    }
}

fn limit(process: &Path) -> Option<u64> {
    let limits = fs::read_to_string(process.join("limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        soft => soft.parse().ok(),
    }
}

fn in_use(process: &Path) -> Option<u64> {
    u64::try_from(fs::read_dir(process.join("fd")).ok()?.count()).ok()
}

/// Judges what the kernel and the process permit.
pub(super) fn limits(
    config: &Config,
    asked: &Asked,
    seen: &SeenByRoot,
    service: Option<&Service>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own = seen.descriptors.iter().find(|(pid, ..)| Some(*pid) == asked.pid);
    let of_command = || rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(_, hard)| hard).ok();
    let (limit, used) = match own {
        Some((_, limit, used)) => (*limit, *used),
        // The server raises its soft limit to the hard one.
        None if asked.pid.is_none() => {
            (service.and_then(|service| service.descriptors).or_else(of_command), None)
        }
        None => (asked.metric("process_max_fds"), asked.metric("process_open_fds")),
    };
    findings.push(match limit {
        Some(limit) => {
            let allocations = self_check::allocations(config);
            machine::descriptors(machine::Descriptors { limit, used, allocations })
        }
        None => Finding::skipped(
            "file descriptors",
            "the limit of the server's process is not visible to this user",
        ),
    });
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let netfilter = |name: &str| number(&format!("/proc/sys/net/netfilter/{name}"));
    findings.push(machine::conntrack(netfilter("nf_conntrack_count").zip(netfilter("nf_conntrack_max"))));
    let tuning = &config.relay.tuning;
    let asked_for = [
        ("relay.receive_buffer", tuning.receive_buffer, "rmem_max"),
        ("relay.send_buffer", tuning.send_buffer, "wmem_max"),
    ];
    let buffers: Option<Vec<_>> = asked_for
        .into_iter()
        .map(|(key, size, limit)| {
            let granted = number(&format!("/proc/sys/net/core/{limit}"))?;
            Some((key, u64::try_from(size).unwrap_or(u64::MAX), limit, granted))
        })
        .collect();
    findings.push(buffers.map_or_else(
        || Finding::skipped("socket buffers", "/proc/sys/net/core is not visible here"),
        |buffers| machine::buffers(&buffers),
    ));
    if asked.is_up() {
        let shards = |kind: &str| asked.metric(&format!("byway_offload{{kind=\"{kind}\"}}"));
        findings.push(machine::batches(shards("receive"), shards("send"), tuning.offload));
        if let Some(lost) = asked.metric("byway_log_lines_lost_total") {
            findings.push(machine::log(lost));
        }
    }
    findings
}

/// Judges the ports of all listeners.
pub(super) fn ports(config: &Config, asked: &Asked, seen: &SeenByRoot) -> Vec<Finding> {
    let listen = &config.listen;
    let all = [
        ("listen.udp", Protocol::Udp, &listen.udp),
        ("listen.tcp", Protocol::Tcp, &listen.tcp),
        ("listen.tls", Protocol::Tcp, &listen.tls),
        ("listen.http", Protocol::Tcp, &listen.http),
        ("listen.admin", Protocol::Tcp, &listen.admin),
    ];
    let each =
        all.into_iter().flat_map(|(key, protocol, list)| list.iter().map(move |at| (key, protocol, *at)));
    let is_there = |at: SocketAddr| at.ip().is_unspecified() || interfaces::has(at.ip());
    each.filter(|(_, _, address)| address.port() != 0 && is_there(*address))
        .map(|(key, protocol, address)| {
            let holder = holder(protocol, address, asked.pid, &seen.processes);
            ports::judge(&Port { key, protocol: protocol.name(), address, holder }, asked.is_up())
        })
        .collect()
}

fn holder(protocol: Protocol, address: SocketAddr, server: Option<u32>, processes: &Processes) -> Holder {
    let sockets = sockets(protocol, address);
    let seen: Vec<_> = sockets.iter().filter_map(|socket| processes.of(socket)).collect();
    // Without an answer of the server, the name has to do.
    let is_ours = |pid: u32, name: &str| server.map_or(name == OUR_NAME, |server| server == pid);
    // A wildcard of the other family does not keep the server from its own.
    let has_ours = seen.iter().any(|process| is_ours(process.pid, &process.name));
    match seen.first() {
        _ if sockets.is_empty() => Holder::Nobody,
        _ if has_ours => Holder::Server,
        Some(process) => Holder::Other(process.name.clone(), process.pid),
        None => Holder::Unseen,
    }
}
