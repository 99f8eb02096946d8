//! `byway check`: validates a configuration, and prints its listeners and hints on likely mistakes.

use std::fmt::Display;

use byway_turn::auth::StaticUser;

use super::CliError;
use crate::clock::Clock;
use crate::config::{Config, ProxiedListener};
use crate::log;
use crate::server::self_check;
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
        // Unix sockets have lines of their own.
        if listener != "admin" || listen.admin_sockets.is_empty() || !addresses.is_empty() {
            out += &format!("  {listener:5} {}\n", joined(addresses));
        }
    }
    for socket in &listen.admin_sockets {
        out += &format!("  admin unix:{}\n", socket.display());
    }
    if let Some(certificate) = &certificate {
        let names = certificate.names();
        let names = if names.is_empty() { "no name".to_owned() } else { joined(names.as_slice()) };
        out += &format!("  certificate for {names}\n");
    }
    if let Some(acme) = &config.acme {
        let names = joined(&acme.names);
        out += &format!("  certificate for {names} from {} by {}\n", acme.directory, acme.challenge.name());
    }
    if !listen.proxy_protocol.is_empty() {
        let names =
            [("tcp", ProxiedListener::Tcp), ("tls", ProxiedListener::Tls), ("http", ProxiedListener::Http)];
        let behind = names.iter().filter(|(_, listener)| listen.proxy_protocol.contains(listener));
        out += &format!("  PROXY {}\n", joined(&behind.map(|(name, _)| name).collect::<Vec<_>>()));
    }
    let ports = &config.relay.ports;
    out += &format!("  relay {}, ports {}-{}\n", joined(&config.relay.addresses), ports.start(), ports.end());
    if !config.users.is_empty() {
        let names: Vec<_> = config.users.iter().map(StaticUser::name).collect();
        out += &format!("  users {}\n", joined(&names));
    }
    let now = Clock::start().now().unix;
    for finding in self_check::findings(config, certificate.as_ref(), now) {
        out += &log::warning_on_stdout(&format!("  hint: {}", finding.hint()));
        out.push('\n');
        if let Some(fault) = finding.fault {
            out += &format!("    more: byway explain {fault}\n");
        }
    }
    Ok(super::print(&out)?)
}

fn joined(list: &[impl Display]) -> String {
    match list {
        [] => "off".to_owned(),
        _ => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
