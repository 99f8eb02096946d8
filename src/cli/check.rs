//! `byway check`: validates a configuration, and prints its listeners and hints on likely mistakes.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use byway_turn::auth::StaticUser;
use byway_turn::server::is_special_purpose;

use super::CliError;
use crate::access::Policy;
use crate::clock::Clock;
use crate::config::{Config, ProxiedListener};
use crate::log;
use crate::net::interfaces;
use crate::net::local_ports;
use crate::server::relay_addresses::RelayAddresses;
use crate::server::{self, allowed_hosts};
use crate::tls::acme::{AcmeSettings, Challenge};
use crate::tls::{Certificate, Name};

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
    for hint in hints(config, certificate.as_ref()) {
        out += &log::warning_on_stdout(&format!("  hint: {hint}"));
        out.push('\n');
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
    for (listener, key, addresses) in [
        (ProxiedListener::Tcp, "tcp", &listen.tcp),
        (ProxiedListener::Tls, "tls", &listen.tls),
        (ProxiedListener::Http, "http", &listen.http),
    ] {
        if addresses.is_empty() && listen.proxy_protocol.contains(&listener) {
            hints.push(format!(
                "listen.proxy_protocol names \"{key}\", and there is no `{key}` listener: add one, or remove the name"
            ));
        }
    }
    if !listen.proxy_protocol.is_empty() && listen.trusted_proxies.is_empty() {
        hints.push(
            "listen.proxy_protocol is set, but listen.trusted_proxies is empty: every connection is refused; list the \
             proxies, also one on this machine"
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
    hints.extend(config.users.iter().filter_map(about_user));
    hints.extend(config.secret_files.warnings());
    if let Some(acme) = &config.acme {
        hints.extend(about_acme(acme, config));
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

/// Top-level names that no public authority certifies (RFC 6761, RFC 8375, and usual local ones).
const LOCAL: [&str; 8] = ["localhost", "local", "test", "example", "invalid", "internal", "lan", "arpa"];

/// Returns hints on the ACME client.
fn about_acme(acme: &AcmeSettings, config: &Config) -> Vec<String> {
    let mut hints = Vec::new();
    let is_local = |name: &&Name| match name {
        Name::Dns(name) => match name.rsplit_once('.') {
            Some((_, last)) => LOCAL.contains(&last),
            None => true,
        },
        Name::Ip(ip) => is_special_purpose(*ip),
    };
    if acme.ca_file.is_none() {
        hints.extend(acme.names.iter().filter(is_local).map(|name| {
            format!(
                "acme.names has {name}, for which no public authority issues a certificate: use a public name or address, \
                 or name your own authority as `directory` and `ca_file`"
            )
        }));
    }
    let (key, port, listeners) = match acme.challenge {
        Challenge::TlsAlpn01 => ("tls", 443, &config.listen.tls),
        Challenge::Http01 => ("http", 80, &config.listen.http),
        Challenge::Dns01 => return hints,
    };
    if acme.ca_file.is_none() && listeners.iter().all(|listener| listener.port() != port) {
        hints.push(format!(
            "acme.challenge is \"{}\", and no `{key}` listener has port {port}, to which the authority connects: add one, \
             or forward that port to this server",
            acme.challenge.name()
        ));
    } else if acme.ca_file.is_none() && listeners.iter().all(|listener| listener.ip().is_loopback()) {
        hints.push(format!(
            "acme.challenge is \"{}\", and the `{key}` listeners are on loopback, where no authority connects: listen on \
             \"0.0.0.0:{port}\"",
            acme.challenge.name()
        ));
    }
    if acme.challenge == Challenge::TlsAlpn01 && config.listen.proxy_protocol.contains(&ProxiedListener::Tls)
    {
        hints.push(
            "acme.challenge is \"tls-alpn-01\" behind a proxy: it works only if the proxy passes TLS on unchanged; else let \
             the proxy have the certificate"
                .to_owned(),
        );
    }
    if config.listen.tls.is_empty() {
        hints.push(
            "acme.names is set but there is no `tls` listener: the certificate is not used; add one as `tls` under [listen]"
                .to_owned(),
        );
    }
    hints
}

/// Characters of a password that is not easily guessed. Some devices take no longer one, so a
/// shorter one is allowed.
const SHORT_PASSWORD: usize = 12;

/// Returns a hint on a static user.
fn about_user(user: &StaticUser) -> Option<String> {
    let name = user.name();
    if user.excludes_md5() {
        return Some(format!(
            "user {name} has a SHA-256 key only, with which browsers and coturn's clients cannot authenticate: use the MD5 \
             key or the password"
        ));
    }
    let length = user.password_length().filter(|length| *length < SHORT_PASSWORD)?;
    Some(format!(
        "the password of user {name} has {length} characters: it can be guessed from one captured message; use a random \
         one: openssl rand -base64 24"
    ))
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
