//! Addresses and ports of the relay.

use std::net::IpAddr;

use super::{MachineFacts, of_line};
use crate::config::Config;
use crate::diagnosis::Finding;
use crate::fault::Fault;

pub(super) fn judge(config: &Config, machine: &MachineFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.relay.addresses.iter().all(IpAddr::is_ipv6) {
        findings.push(Finding::warning(
            Fault::NoRelay,
            "relay.addresses has no IPv4 address",
            "clients that request no address family, as browsers do, are rejected with 440",
            "add \"0.0.0.0\" to serve them",
        ));
    }
    let private = machine.private_relays.iter();
    findings.extend(private.map(|line| of_line(Fault::PublicAddressUnset, line)));
    findings.extend(machine.ephemeral_ports.iter().map(|line| of_line(None, line)));
    findings.extend(machine.absent.iter().map(|line| of_line(Fault::Degraded, line)));
    if !config.relay.tuning.offload {
        findings.push(Finding::warning(
            None,
            "relay.offload is off, which is for debugging",
            "every datagram passes through the kernel on its own",
            "remove it to batch them",
        ));
    }
    findings
}
