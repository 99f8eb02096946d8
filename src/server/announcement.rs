//! Where the server can be found, said once it is there.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::sockets::{Sockets, list};
use crate::interfaces;
use crate::relay::RelayAddress;
use crate::tls::{Certificate, Name};

/// What is said.
pub(super) struct Announcement {
    listening: String,
    discovery: Vec<SocketAddr>,
    link: Option<String>,
}

impl Announcement {
    pub(super) fn of(
        sockets: &Sockets,
        ports: &RangeInclusive<u16>,
        relays: &[RelayAddress],
        certificate: Option<&Certificate>,
    ) -> Self {
        let link = match (certificate, sockets.tls.addresses.first(), sockets.http.addresses.first()) {
            (Some(certificate), Some(listener), _) => Some(secure_link(certificate, *listener)),
            (_, _, Some(listener)) => Some(format!("http://{}/", interfaces::reachable(*listener))),
            _ => None,
        };
        let discovery = sockets.discovery.addresses().collect();
        Self { listening: listening(sockets, ports, relays), discovery, link }
    }

    pub(super) fn make(self) {
        if !self.discovery.is_empty() {
            tracing::info!("NAT behaviour discovery (RFC 5780) at {}", list(&self.discovery));
        }
        tracing::info!("{}", self.listening);
        if let Some(link) = self.link {
            tracing::info!("open {link} in two tabs, and call");
        }
    }
}

/// The one line that names every address.
fn listening(sockets: &Sockets, ports: &RangeInclusive<u16>, relays: &[RelayAddress]) -> String {
    let relays: Vec<String> = relays
        .iter()
        .map(|RelayAddress { bind, public }| match bind == public {
            true => bind.to_string(),
            false => format!("{bind}->{public}"),
        })
        .collect();
    format!(
        "listening udp={} tcp={} tls={} http={} admin={} relay={} ports={}-{} shards={}",
        list(&sockets.turn_addresses.udp),
        list(&sockets.turn_addresses.tcp),
        list(&sockets.tls.addresses),
        list(&sockets.http.addresses),
        list(&sockets.admin.addresses),
        list(&relays),
        ports.start(),
        ports.end(),
        sockets.turn.len(),
    )
}

/// Where the page is, under a name that browsers find in the certificate.
fn secure_link(certificate: &Certificate, listener: SocketAddr) -> String {
    let name = certificate.names().iter().find_map(|name| match name {
        Name::Dns(name) if !name.starts_with('*') => Some(name.clone()),
        Name::Dns(_) => None,
        Name::Ip(IpAddr::V6(ip)) => Some(format!("[{ip}]")),
        Name::Ip(ip) => Some(ip.to_string()),
    });
    match (name, listener.port()) {
        (Some(name), 443) => format!("https://{name}/"),
        (Some(name), port) => format!("https://{name}:{port}/"),
        (None, _) => format!("https://{}/", interfaces::reachable(listener)),
    }
}
