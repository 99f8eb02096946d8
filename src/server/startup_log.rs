//! Log lines after the start: the addresses of the server and of its page.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use byway_turn::server::RelayAddress;

use super::host_addresses::HostState;
use super::page_url;
use super::sockets::{Kind, Listening, Sockets, list};
use crate::access::Policy;
use crate::config::Config;
use crate::tls::CertificateNames;

/// The content of the log lines.
pub(super) struct StartupLog {
    listening: String,
    discovery: Vec<SocketAddr>,
    page: Option<String>,
    access: Policy,
}

impl StartupLog {
    pub(super) fn of(
        sockets: &Sockets,
        config: &Config,
        host: &HostState,
        names: Option<&CertificateNames>,
    ) -> Self {
        let (ports, access) = (&config.relay.ports, config.ice.access);
        let served = |kind| sockets.listening.served(kind, |ip| host.has(ip));
        let page = page_url::page(names, &served(Kind::Tls), &served(Kind::Http));
        let discovery = sockets.listening.discovery(|ip| host.has(ip)).addresses().collect();
        let mut listening = listening_line(&sockets.listening, host, ports, sockets.turn.len());
        for path in &config.listen.admin_sockets {
            listening += &format!(" admin-socket=unix:{}", path.display());
        }
        Self { listening, discovery, page, access }
    }

    /// The line that names every address.
    pub(super) fn listening(&self) -> &str {
        &self.listening
    }

    pub(super) fn write(self) {
        if !self.discovery.is_empty() {
            tracing::info!("NAT behaviour discovery (RFC 5780) at {}", list(&self.discovery));
        }
        tracing::info!("{}", self.listening);
        match (self.page, self.access) {
            (Some(page), Policy::Open) => tracing::info!("open {page} in two tabs, and call"),
            (Some(_), Policy::Token) => {
                tracing::info!("`byway invite --host` prints your link, which starts calls")
            }
            (None, _) => {}
        }
    }
}

/// The line that names every address that the server currently serves.
pub(super) fn listening_line(
    listening: &Listening,
    host: &HostState,
    ports: &RangeInclusive<u16>,
    shards: usize,
) -> String {
    let relays: Vec<String> = host
        .relays()
        .iter()
        .map(|RelayAddress { bind, public }| match bind == public {
            true => bind.to_string(),
            false => format!("{bind}->{public}"),
        })
        .collect();
    let [udp, tcp, tls, http, admin] = [Kind::Udp, Kind::Tcp, Kind::Tls, Kind::Http, Kind::Admin]
        .map(|kind| list(&listening.served(kind, |ip| host.has(ip))));
    format!(
        "listening udp={udp} tcp={tcp} tls={tls} http={http} admin={admin} relay={} ports={}-{} shards={shards}",
        list(&relays),
        ports.start(),
        ports.end(),
    )
}
