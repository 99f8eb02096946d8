//! `byway check`: validates a configuration, and prints its listeners and hints on likely mistakes.

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

/// Prints a report on a valid configuration. The certificate is loaded here, because the
/// configuration holds only its path.
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

/// Returns a hint for each setting that is valid but seldom intended.
fn hints(config: &Config, certificate: Option<&Certificate>) -> Vec<String> {
    let mut hints = Vec::new();
    if config.credentials.secrets.is_empty() {
        hints.push(
            "no secrets: the server generates one at each start, and no other program can sign credentials; set `secrets` \
             under [credentials] if one must"
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
            "ice.access is \"token\", but no secret, `jwks_file` or API key can issue a token: nobody can join; set \
             `secrets` under [tokens]"
                .to_owned(),
        );
    }
    let listen = &config.listen;
    let turn = [("udp", &listen.udp), ("tcp", &listen.tcp), ("tls", &listen.tls)];
    let open = turn.iter().find(|(_, addresses)| addresses.iter().any(|address| !address.ip().is_loopback()));
    let mut told = config.relay.public_addresses.iter().chain(&config.relay.addresses);
    if let Some((listener, _)) = open.filter(|_| told.all(IpAddr::is_loopback)) {
        hints.push(format!(
            "other machines reach the `{listener}` listeners, but relay.addresses is loopback: no peer can be reached; \
             set it to [\"0.0.0.0\"]"
        ));
    }
    if turn.iter().all(|(_, addresses)| addresses.is_empty()) {
        hints.push("no `udp`, `tcp` or `tls` listener: STUN and TURN are off".to_owned());
    } else if listen.udp.is_empty() {
        hints.push(
            "no `udp` listener: media goes over TCP or TLS, where every lost packet delays others; add one as `udp` \
             under [listen]"
                .to_owned(),
        );
    }
    hints.extend(turn.into_iter().chain([("http", &listen.http), ("admin", &listen.admin)]).filter_map(
        |(listener, addresses)| {
            let address = without_ipv4(addresses)?;
            Some(format!(
                "listen.{listener} has {address}, which is IPv6 only: add \"0.0.0.0:{}\" to serve IPv4 too",
                address.port()
            ))
        },
    ));
    if config.relay.addresses.iter().all(IpAddr::is_ipv6) {
        hints.push(
            "relay.addresses has no IPv4 address: clients that request no address family, as browsers do, are rejected with \
             440; add \"0.0.0.0\" to serve them"
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
            "relay.offload is off, which is for debugging: every datagram passes through the kernel on its own; remove it \
             to batch them"
                .to_owned(),
        );
    }
    let mut all = turn.into_iter().flat_map(|(_, addresses)| addresses).chain(&listen.http);
    let is_public = all.any(|address| !address.ip().is_loopback()) && !listen.http.is_empty();
    let is_asked = listen.admin.iter().any(|address| !address.ip().is_loopback());
    let is_named = certificate.is_some_and(|certificate| !certificate.names().is_empty());
    if (is_public || is_asked) && !is_named && allowed_hosts::configured(config).is_empty() {
        hints.push(
            "no certificate, `[ice] urls` or `[http] hosts` names this server: HTTP is served under its addresses only; \
             list the names that a reverse proxy or Prometheus requests in `hosts` under [http]"
                .to_owned(),
        );
    }
    if listen.trusted_proxies.trust_everyone() {
        hints.push(
            "listen.trusted_proxies has every address: any client can claim another's and bypass the limits; list only the \
             proxies"
                .to_owned(),
        );
    }
    let Some(certificate) = certificate else { return hints };
    if listen.tls.is_empty() {
        hints.push(
            "a certificate but no `tls` listener: it is not used; add one as `tls` under [listen]".to_owned(),
        );
    }
    if certificate.names().is_empty() {
        hints.push(
            "the certificate has no subject alternative name: browsers, and clients of TURN over TLS, reject it; have it \
             issued for the server's name"
                .to_owned(),
        );
    }
    hints.extend(certificate.remarks().iter().cloned());
    if certificate.expires() < Clock::start().now().unix {
        hints.push("the certificate has expired: browsers reject it; renew it".to_owned());
    }
    hints
}

/// Returns an IPv6 wildcard whose port has no IPv4 address, because an IPv6 socket here does not
/// serve IPv4.
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
