//! Listeners of TURN and HTTP, and those behind proxies.

use std::net::{IpAddr, SocketAddr};

use super::MachineFacts;
use crate::config::{Config, ProxiedListener};
use crate::diagnosis::Finding;
use crate::fault::Fault;

pub(super) fn of_turn(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let listen = &config.listen;
    let turn = [("udp", &listen.udp), ("tcp", &listen.tcp), ("tls", &listen.tls)];
    let open = turn.iter().find(|(_, addresses)| addresses.iter().any(|address| !address.ip().is_loopback()));
    let mut told = config.relay.public_addresses.iter().chain(&config.relay.addresses);
    if let Some((listener, _)) = open.filter(|_| told.all(IpAddr::is_loopback)) {
        findings.push(Finding::failed(
            Fault::PublicAddressUnset,
            format!("other machines reach the `{listener}` listeners, but relay.addresses is loopback"),
            "no peer can be reached",
            "set it to [\"0.0.0.0\"]",
        ));
    }
    if turn.iter().all(|(_, addresses)| addresses.is_empty()) {
        findings.push(Finding::warning(
            Fault::NoRelay,
            "no `udp`, `tcp` or `tls` listener",
            "STUN and TURN are off",
            "add one as `udp` under [listen]",
        ));
    } else if listen.udp.is_empty() {
        findings.push(Finding::warning(
            None,
            "no `udp` listener",
            "media goes over TCP or TLS, where every lost packet delays others",
            "add one as `udp` under [listen]",
        ));
    }
    let all = turn.into_iter().chain([("http", &listen.http), ("admin", &listen.admin)]);
    findings.extend(all.filter_map(|(listener, addresses)| {
        let address = without_ipv4(addresses)?;
        Some(Finding::warning(
            None,
            format!("listen.{listener} has {address}, which is IPv6 only"),
            "",
            format!("add \"0.0.0.0:{}\" to serve IPv4 too", address.port()),
        ))
    }));
    findings
}

pub(super) fn of_http(config: &Config, machine: &MachineFacts) -> Option<Finding> {
    let listen = &config.listen;
    let mut all = [&listen.udp, &listen.tcp, &listen.tls, &listen.http].into_iter().flatten();
    let is_public = all.any(|address| !address.ip().is_loopback()) && !listen.http.is_empty();
    let is_asked = listen.admin.iter().any(|address| !address.ip().is_loopback());
    ((is_public || is_asked) && !machine.is_named).then(|| {
        Finding::warning(
            Fault::ProxyHost,
            "no certificate, `[ice] urls` or `[http] hosts` names this server",
            "HTTP is served under its addresses only",
            "list the names that a reverse proxy or Prometheus requests in `hosts` under [http]",
        )
    })
}

pub(super) fn behind_proxies(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let listen = &config.listen;
    for (listener, key, addresses) in [
        (ProxiedListener::Tcp, "tcp", &listen.tcp),
        (ProxiedListener::Tls, "tls", &listen.tls),
        (ProxiedListener::Http, "http", &listen.http),
    ] {
        if addresses.is_empty() && listen.proxy_protocol.contains(&listener) {
            findings.push(Finding::warning(
                None,
                format!("listen.proxy_protocol names \"{key}\", and there is no `{key}` listener"),
                "",
                "add one, or remove the name",
            ));
        }
    }
    if !listen.proxy_protocol.is_empty() && listen.trusted_proxies.is_empty() {
        findings.push(Finding::failed(
            Fault::ProxyAddress,
            "listen.proxy_protocol is set, but listen.trusted_proxies is empty",
            "every connection is refused",
            "list the proxies, also one on this machine",
        ));
    }
    if listen.trusted_proxies.trust_everyone() {
        findings.push(Finding::warning(
            Fault::ProxyAddress,
            "listen.trusted_proxies has every address",
            "any client can claim another's and bypass the limits",
            "list only the proxies",
        ));
    }
    findings
}

/// Returns an IPv6 wildcard whose port has no IPv4 address, because an IPv6 socket here does not
/// serve IPv4.
fn without_ipv4(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let has_ipv4 = |port| addresses.iter().any(|address| address.is_ipv4() && address.port() == port);
    let mut wildcards = addresses.iter().filter(|address| address.is_ipv6() && address.ip().is_unspecified());
    wildcards.find(|address| !has_ipv4(address.port())).copied()
}
