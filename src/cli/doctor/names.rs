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
    let all: BTreeSet<String> = certified.chain(hosts).collect();
    all.into_iter().filter(|name| is_name(name)).take(MOST).collect()
}

/// Returns the hosts of `[ice] urls`, which may be other machines.
fn of_relays(config: &Config) -> Vec<String> {
    let urls = config.ice.urls.iter().filter_map(|url| Some(url.parse::<IceUrl>().ok()?.host));
    let all: BTreeSet<String> = urls.filter(|name| is_name(name)).collect();
    all.into_iter().take(MOST).collect()
}

/// Whether a text is a name to look up.
fn is_name(name: &str) -> bool {
    let is_local = name == "localhost" || name.ends_with(".localhost");
    !name.contains('*') && !is_local && matches!(Host::parse(name), Some(Host::Name(_)))
}

/// Returns the names of the certificate, if it is not for the realm and the realm is a name.
fn lacking_realm(config: &Config, certificate: Option<&Certificate>) -> Option<Vec<String>> {
    let names = certificate?.names();
    let host = Host::parse(&config.realm)?;
    let is_meant = config.realm.contains('.') && is_name(&config.realm) && !names.cover(&host);
    is_meant.then(|| names.as_slice().iter().map(ToString::to_string).collect())
}

/// Resolves every name, and compares it with the addresses of this machine.
pub(super) async fn judge(config: &Config, certificate: Option<&Certificate>) -> Vec<Finding> {
    let names = of(config, certificate);
    let relays: Vec<String> = of_relays(config).into_iter().filter(|name| !names.contains(name)).collect();
    let uncertified = lacking_realm(config, certificate);
    if names.is_empty() && relays.is_empty() && uncertified.is_none() {
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
    let all: Vec<(&String, bool)> =
        names.iter().map(|name| (name, true)).chain(relays.iter().map(|name| (name, false))).collect();
    let resolved = join_all(all.iter().map(|(name, _)| resolve(name))).await;
    let mut findings: Vec<Finding> = all
        .iter()
        .zip(&resolved)
        .flat_map(|((name, is_own), resolved)| addresses::judge(name, *is_own, resolved, &machine))
        .collect();
    if let Some(certified) = uncertified {
        let resolved = resolve(&config.realm).await;
        findings.extend(addresses::uncertified(&config.realm, &resolved, &machine, &certified));
    }
    findings
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
