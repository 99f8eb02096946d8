//! Names of the server, and their addresses by the system's resolver.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use byway_turn::server::is_special_purpose;
use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::config::{Config, IceUrl};
use crate::diagnosis::addresses::{Machine, Resolved};
use crate::diagnosis::{Finding, addresses};
use crate::net::interfaces;
use crate::origin::{Host, HostPattern};
use crate::server::page_url;
use crate::tls::{Certificate, Name};

/// Longest wait for the resolver.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names that are looked up at most. A certificate may have a hundred.
const MOST: usize = 8;

/// Returns the names under which clients look for the server, wildcards left out.
pub(super) fn of(config: &Config, certificate: Option<&Certificate>) -> Vec<String> {
    let certified = page_url::names(config, certificate).unwrap_or_default();
    let certified = certified.as_slice().iter().filter_map(|name| match name {
        Name::Dns(name) => Some(name.clone()),
        Name::Ip(_) => None,
    });
    let hosts = config.http.hosts.iter().filter_map(|host| match host {
        HostPattern::Host(Host::Name(name)) => Some(name.clone()),
        _ => None,
    });
    let urls = config.ice.urls.iter().filter_map(|url| Some(url.parse::<IceUrl>().ok()?.host));
    let all: BTreeSet<String> = certified.chain(hosts).chain(urls).collect();
    let is_name = |name: &String| {
        let is_local = name == "localhost" || name.ends_with(".localhost");
        !name.contains('*') && !is_local && matches!(Host::parse(name), Some(Host::Name(_)))
    };
    all.into_iter().filter(is_name).take(MOST).collect()
}

/// Resolves every name, and compares it with the addresses of this machine.
pub(super) async fn judge(config: &Config, certificate: Option<&Certificate>) -> Vec<Finding> {
    let names = of(config, certificate);
    if names.is_empty() {
        return vec![Finding::ok("names", "the configuration has none to compare")];
    }
    let own = match interfaces::Interfaces::read() {
        Ok(found) => found.lasting,
        Err(error) => {
            return vec![Finding::skipped("names", format!("cannot list this machine's addresses: {error}"))];
        }
    };
    let listen = &config.listen;
    let listeners =
        [&listen.udp, &listen.tcp, &listen.tls].into_iter().flatten().map(|listener| listener.ip());
    let served: Vec<IpAddr> = listeners.chain(config.relay.addresses.iter().copied()).collect();
    let machine = Machine {
        own,
        sources: interfaces::sources(),
        public: config.relay.public_addresses.clone(),
        serves: (served.iter().any(IpAddr::is_ipv4), served.iter().any(IpAddr::is_ipv6)),
        is_private: is_special_purpose,
    };
    let resolved = join_all(names.iter().map(|name| resolve(name))).await;
    names
        .iter()
        .zip(&resolved)
        .flat_map(|(name, resolved)| addresses::judge(name, resolved, &machine))
        .collect()
}

async fn resolve(name: &str) -> Resolved {
    match timeout(PATIENCE, lookup_host((name, 0))).await {
        Ok(Ok(found)) => {
            let addresses: BTreeSet<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
            Ok(addresses.into_iter().collect())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the resolver does not answer within {} s", PATIENCE.as_secs())),
    }
}
