//! URLs that `/ice` gives to browsers.

use std::net::IpAddr;

use byway_turn::server::is_special_purpose;

use crate::config::{Config, IceUrl};
use crate::diagnosis::Finding;
use crate::fault::Fault;

pub(super) fn judge(config: &Config) -> Vec<Finding> {
    let urls: Vec<IceUrl> = config.ice.urls.iter().filter_map(|url| url.parse().ok()).collect();
    let mut findings = Vec::new();
    if !urls.is_empty() && !urls.iter().any(|url| url.scheme.relays()) {
        findings.push(Finding::failed(
            Fault::NoRelay,
            "ice.urls has no `turn:` URL",
            "browsers get no relay, and callers who need one cannot connect",
            "add the URL of this server to `urls` under [ice], such as \"turn:HOST:3478\", or remove `urls`",
        ));
    }
    let is_private = |ip: &IpAddr| {
        is_special_purpose(*ip) && !ip.is_loopback() && !config.relay.public_addresses.contains(ip)
    };
    let address = |url: &IceUrl| url.host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    for (url, ip) in urls.iter().filter_map(|url| Some((url, address(url).filter(is_private)?))) {
        findings.push(Finding::warning(
            Fault::LocalNetworkAccess,
            format!("ice.urls has {url}, an address of a private network"),
            format!("browsers elsewhere cannot reach {ip}, and ask for access to the local network first"),
            "name the public address instead; if only the local network calls, serve the page from there too",
        ));
    }
    findings
}
