//! Where the server can be found, said once it is there.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::link;
use super::sockets::{Sockets, list};
use crate::config::Access;
use crate::relay::RelayAddress;
use crate::tls::Certificate;

/// What is said.
pub(super) struct Announcement {
    listening: String,
    discovery: Vec<SocketAddr>,
    page: Option<String>,
    access: Access,
}

impl Announcement {
    pub(super) fn of(
        sockets: &Sockets,
        ports: &RangeInclusive<u16>,
        relays: &[RelayAddress],
        certificate: Option<&Certificate>,
        access: Access,
    ) -> Self {
        let page = link::page(certificate, &sockets.tls.addresses, &sockets.http.addresses);
        let discovery = sockets.discovery.addresses().collect();
        Self { listening: listening(sockets, ports, relays), discovery, page, access }
    }

    pub(super) fn make(self) {
        if !self.discovery.is_empty() {
            tracing::info!("NAT behaviour discovery (RFC 5780) at {}", list(&self.discovery));
        }
        tracing::info!("{}", self.listening);
        match (self.page, self.access) {
            (Some(page), Access::Open) => tracing::info!("open {page} in two tabs, and call"),
            (Some(_), Access::Token) => tracing::info!("`byway invite --room NAME` prints a link to call by"),
            (None, _) => {}
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
