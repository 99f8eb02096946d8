//! `byway check`: says that a configuration is valid, what it listens on, and what in it may surprise.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::IpAddr;

use super::Error;
use crate::config::Config;
use crate::tls::Certificate;

/// Reports on a configuration; that it is valid is known by now, else there would be none. The certificate is what it
/// names and does not hold, so that is looked at here.
pub(super) fn run(config: &Config, name: &str) -> Result<(), Error> {
    let certificate = config.tls.as_ref().map(Certificate::load).transpose()?;
    let mut out = io::stdout().lock();
    writeln!(out, "{name}: ok")?;
    let listen = &config.listen;
    for (listener, addresses) in [
        ("udp", &listen.udp),
        ("tcp", &listen.tcp),
        ("tls", &listen.tls),
        ("http", &listen.http),
        ("admin", &listen.admin),
    ] {
        writeln!(out, "  {listener:5} {}", joined(addresses))?;
    }
    if let Some(certificate) = certificate {
        writeln!(out, "  certificate for {}", joined(certificate.names()))?;
    }
    let ports = &config.relay.ports;
    writeln!(out, "  relay {}, ports {}-{}", joined(&config.relay.addresses), ports.start(), ports.end())?;
    for hint in hints(config) {
        writeln!(out, "  hint: {hint}")?;
    }
    Ok(())
}

/// What is valid and yet seldom meant.
fn hints(config: &Config) -> Vec<&'static str> {
    let mut hints = Vec::new();
    if config.credentials.secrets.is_empty() {
        hints.push("no secrets: the server draws one at each start, and nothing else can sign credentials");
    }
    let others_reach_us = config.listen.udp.iter().any(|address| !address.ip().is_loopback());
    let mut told = config.relay.public_addresses.iter().chain(&config.relay.addresses);
    if others_reach_us && told.all(IpAddr::is_loopback) {
        hints.push(
            "other machines reach the `udp` listeners, but relay.addresses is loopback: no peer is reached",
        );
    }
    if config.listen.udp.is_empty() {
        hints.push("no `udp` listener: STUN and TURN are off");
    }
    hints
}

fn joined(list: &[impl Display]) -> String {
    match list {
        [] => "off".to_owned(),
        _ => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
