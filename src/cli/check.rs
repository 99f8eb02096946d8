//! `byway check`: says that a configuration is valid, what it listens on, and what in it may
//! surprise.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use super::CliError;
use crate::access::Policy;
use crate::clock::Clock;
use crate::config::Config;
use crate::net::interfaces;
use crate::net::local_ports;
use crate::server::relay_addresses::RelayAddresses;
use crate::server::{self, allowed_hosts};
use crate::tls::Certificate;

/// Reports on a configuration; that it is valid is known by now, else there would be none. The
/// certificate is what it names and does not hold, so that is looked at here.
pub(super) fn run(config: &Config, name: &str) -> Result<(), CliError> {
    let certificate = config.tls.as_ref().map(|tls| Certificate::load(&tls.files)).transpose()?;
    let mut out = format!("{name}: ok\n");
    let listen = &config.listen;
    for (listener, addresses) in [
        ("udp", &listen.udp),
        ("tcp", &listen.tcp),
        ("tls", &listen.tls),
        ("http", &listen.http),
        ("admin", &listen.admin),
    ] {
        out += &format!("  {listener:5} {}\n", joined(addresses));
    }
    if let Some(certificate) = &certificate {
        let names = certificate.names();
        let names = if names.is_empty() { "no name".to_owned() } else { joined(names.as_slice()) };
        out += &format!("  certificate for {names}\n");
    }
    let ports = &config.relay.ports;
    out += &format!("  relay {}, ports {}-{}\n", joined(&config.relay.addresses), ports.start(), ports.end());
    for hint in hints(config, certificate.as_ref()) {
        out += &format!("  hint: {hint}\n");
    }
    Ok(super::print(&out)?)
}

/// What is valid and yet seldom meant.
fn hints(config: &Config, certificate: Option<&Certificate>) -> Vec<String> {
    let mut hints = Vec::new();
    if config.credentials.secrets.is_empty() {
        hints.push(
            "no secrets: the server draws one at each start, and nothing else can sign credentials"
                .to_owned(),
        );
    }
    let signs = !config.tokens.secrets.is_empty() || !config.credentials.secrets.is_empty();
    if config.ice.access == Policy::Token
        && !signs
        && config.tokens.keys.is_none()
        && config.ice.api_keys.is_empty()
    {
        hints.push(
            "ice.access is \"token\", and no secret, `jwks_file` or API key is there to make one with: nobody gets in"
                .to_owned(),
        );
    }
    let listen = &config.listen;
    let turn = [("udp", &listen.udp), ("tcp", &listen.tcp), ("tls", &listen.tls)];
    let open = turn.iter().find(|(_, addresses)| addresses.iter().any(|address| !address.ip().is_loopback()));
    let mut told = config.relay.public_addresses.iter().chain(&config.relay.addresses);
    if let Some((listener, _)) = open.filter(|_| told.all(IpAddr::is_loopback)) {
        hints.push(format!(
            "other machines reach the `{listener}` listeners, but relay.addresses is loopback: no peer is reached"
        ));
    }
    if turn.iter().all(|(_, addresses)| addresses.is_empty()) {
        hints.push("no `udp`, `tcp` or `tls` listener: STUN and TURN are off".to_owned());
    } else if listen.udp.is_empty() {
        hints.push(
            "no `udp` listener: media goes over TCP or TLS, where every lost packet holds up others"
                .to_owned(),
        );
    }
    hints.extend(turn.into_iter().chain([("http", &listen.http), ("admin", &listen.admin)]).filter_map(
        |(listener, addresses)| {
            let address = without_ipv4(addresses)?;
            Some(format!(
                "listen.{listener} has {address}, which is IPv6 alone: add \"0.0.0.0:{}\" if IPv4 is to be served, too",
                address.port()
            ))
        },
    ));
    if config.relay.addresses.iter().all(IpAddr::is_ipv6) {
        hints.push(
            "relay.addresses has no IPv4 address: clients that ask for none by name, as browsers do, are refused with 440; \
             add \"0.0.0.0\" if they are to be served"
                .to_owned(),
        );
    }
    if let Ok(found) = interfaces::Interfaces::read() {
        let sources = interfaces::sources();
        hints.extend(RelayAddresses::find(&config.relay, &found.lasting, &sources, &[], |_| true).remarks());
    }
    hints.extend(local_ports::remark(&config.relay.addresses, &config.relay.ports));
    let is_optional = |ip: &IpAddr| config.optional_ipv6 && ip.is_ipv6();
    for (ip, keys) in config.addresses() {
        if !ip.is_unspecified() && !is_optional(&ip) && !interfaces::has(ip) {
            hints.push(server::nobody_has(ip, &keys));
        }
    }
    if !config.relay.tuning.offload {
        hints.push(
            "relay.offload is off, which serves to find faults: every datagram makes its own trip through the kernel"
                .to_owned(),
        );
    }
    let mut all = turn.into_iter().flat_map(|(_, addresses)| addresses).chain(&listen.http);
    let is_public = all.any(|address| !address.ip().is_loopback()) && !listen.http.is_empty();
    let is_asked = listen.admin.iter().any(|address| !address.ip().is_loopback());
    let is_named = certificate.is_some_and(|certificate| !certificate.names().is_empty());
    if (is_public || is_asked) && !is_named && allowed_hosts::configured(config).is_empty() {
        hints.push(
            "no certificate, `[ice] urls` or `[http] hosts` names this server: HTTP answers under its addresses alone; \
             list the names that a reverse proxy or Prometheus asks for in `hosts` under [http]"
                .to_owned(),
        );
    }
    if listen.trusted_proxies.trust_everyone() {
        hints.push(
            "listen.trusted_proxies has every address: any client can claim another's and escape the limits; list the \
             proxies alone"
                .to_owned(),
        );
    }
    let Some(certificate) = certificate else { return hints };
    if listen.tls.is_empty() {
        hints.push("a certificate and no `tls` listener: nothing is served with it".to_owned());
    }
    if certificate.names().is_empty() {
        hints.push(
            "the certificate has no subject alternative name: browsers, and clients of TURN over TLS, refuse it"
                .to_owned(),
        );
    }
    hints.extend(certificate.remarks().iter().cloned());
    if certificate.expires() < Clock::start().now().unix {
        hints.push("the certificate is expired: browsers refuse it until it is renewed".to_owned());
    }
    hints
}

/// An IPv6 wildcard whose port no IPv4 address has: the sockets of each family are its own.
fn without_ipv4(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let has_ipv4 = |port| addresses.iter().any(|address| address.is_ipv4() && address.port() == port);
    let mut wildcards = addresses.iter().filter(|address| address.is_ipv6() && address.ip().is_unspecified());
    wildcards.find(|address| !has_ipv4(address.port())).copied()
}

fn joined(list: &[impl Display]) -> String {
    match list {
        [] => "off".to_owned(),
        _ => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
