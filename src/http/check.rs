//! `GET /check/server`: facts about the server, which the self-test page compares with what the
//! browser sees. They hold no secret, so the page gets them without a join token, too.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;

use super::Site;
use super::client_ip::ClientIp;
use super::target::Target;
use crate::access::Policy;

/// Asks the relay's peer policy about an address; the composition root knows it.
#[derive(Clone)]
pub struct PeerRules(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl PeerRules {
    /// `relays_to` tells whether the relay sends to an address at the moment it is called.
    pub fn new(relays_to: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(relays_to))
    }
}

impl Default for PeerRules {
    /// No peers.
    fn default() -> Self {
        Self::new(|_| false)
    }
}

impl fmt::Debug for PeerRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerRules")
    }
}

/// Facts for one client.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    /// Clock of the server, in milliseconds since 1970-01-01 UTC. It has whole seconds.
    now: u64,
    version: &'static str,
    access: &'static str,
    /// STUN URLs of every configuration.
    stun: Vec<String>,
    /// STUN URLs for NAT behaviour discovery (RFC 5780).
    discovery: Vec<String>,
    /// Network that the request seems to come from.
    client: Network,
    /// Whether the relay sends to that address.
    relays_to_client: bool,
}

/// Kind of network of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Network {
    Loopback,
    Private,
    Public,
}

impl Network {
    fn of(ip: IpAddr) -> Self {
        let is_private = match ip {
            IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        match () {
            () if ip.is_loopback() => Self::Loopback,
            () if is_private => Self::Private,
            () => Self::Public,
        }
    }
}

pub(super) async fn facts(
    State(site): State<Arc<Site>>,
    Extension(ClientIp(client)): Extension<ClientIp>,
    Extension(target): Extension<Target>,
) -> Json<Facts> {
    let (stun, discovery) = site.ice.stun_urls(Some(target.host()));
    Json(Facts {
        now: site.clock.now().unix * 1_000,
        version: env!("CARGO_PKG_VERSION"),
        access: match site.access.load().policy {
            Policy::Open => "open",
            Policy::Token => "token",
        },
        stun,
        discovery,
        client: Network::of(client),
        relays_to_client: (site.peers.0)(client),
    })
}
