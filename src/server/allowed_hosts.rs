//! The hosts that HTTP requests may name, collected from the parts of the server.

use std::sync::Arc;

use byway_turn::server::Shared;

use crate::clock::Clock;
use crate::config::{Config, IceUrl};
use crate::http::HttpCounters;
use crate::http::own_hosts::OwnHosts;
use crate::origin::HostPattern;
use crate::tls::Certificate;
use crate::tls::acme::AcmeSettings;

/// Names of this server in the configuration: `[http] hosts`, `[acme] names`, and the hosts of
/// `[ice] urls`.
pub fn configured(config: &Config) -> Vec<HostPattern> {
    let urls = config.ice.urls.iter().filter_map(|url| url.parse::<IceUrl>().ok());
    let urls = urls.filter_map(|url| HostPattern::parse(&url.host));
    let certified = config.acme.as_ref().map(AcmeSettings::certificate_names).unwrap_or_default();
    config.http.hosts.iter().cloned().chain(certified.patterns()).chain(urls).collect()
}

/// The own hosts of a server. Its addresses are those that the relay treats as its own at the time
/// of a request.
pub(super) fn own(
    config: &Config,
    certificate: Option<&Certificate>,
    relay: Arc<Shared>,
    clock: Clock,
    counters: Arc<HttpCounters>,
) -> Arc<OwnHosts> {
    // The configured public addresses are among the relay's own.
    let is_own_address = move |ip| relay.owns(ip);
    let own = OwnHosts::new(configured(config), is_own_address, clock, counters);
    if let Some(certificate) = certificate {
        own.certified_for(certificate.names());
    }
    Arc::new(own)
}
