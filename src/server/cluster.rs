//! The cluster: tells the other nodes the state of this one, and passes revocations in both
//! directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::HeaderName;
use byway_turn::prng::Prng;

use super::relaying::Relaying;
use super::secrets::{SecretSource, ServerSecrets};
use super::status::ClusterSource;
use super::supervise::Supervisor;
use super::{ServerError, seed};
use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterCounters, ClusterParts, NodeState};
use crate::config::Config;
use crate::http::RevokeElsewhere;
use crate::ice::IceServers;
use crate::phase::{Phase, PhaseWatch};
use crate::shard::Allocations;
use crate::signaling::{EndUser, Hub};

/// Returns the handle to the cluster, if the configuration names one. A name that another node
/// revokes is revoked here, and its allocations end.
pub(super) fn join(
    config: &Config,
    counters: &Arc<ClusterCounters>,
    relaying: &Relaying,
    secrets: &ServerSecrets,
    clock: Clock,
) -> Result<Option<Cluster>, ServerError> {
    let Some(settings) = config.cluster.clone() else { return Ok(None) };
    for broker in settings.nats.iter().filter(|broker| broker.starts_with("nats://")) {
        tracing::warn!(
            "the messages of the cluster are not encrypted on the way to {broker}; remedy: use tls:// in `nats` under \
             [cluster], unless the network is your own"
        );
    }
    let (revocations, allocations) = (secrets.revocations.clone(), relaying.allocations());
    Ok(Some(Cluster::new(ClusterParts {
        settings,
        run: Prng::new(&seed()?, "cluster").number(),
        clock,
        counters: counters.clone(),
        revoke_here: Box::new(move |name, until| {
            let is_remembered = revocations.revoke(clock.now(), name, until).is_ok();
            allocations.end(name);
            is_remembered
        }),
    })))
}

/// Lets clients get the relays of other nodes.
pub(super) fn share_relays(cluster: Option<&Cluster>, ice: &IceServers) {
    if let Some(cluster) = cluster.cloned() {
        ice.choose_relays(Arc::new(move |wish| cluster.relay(wish)));
    }
}

/// Returns the field in which a proxy names the region of a client.
pub(super) fn region_header(cluster: Option<&Cluster>) -> Option<HeaderName> {
    cluster?.settings().region_header.as_deref()?.parse().ok()
}

/// Ends what a member has, by `end` on this node, and by a revocation on the others.
pub(super) fn end_member(
    cluster: Option<&Cluster>,
    end: EndUser,
    ice: &Arc<IceServers>,
    clock: Clock,
) -> EndUser {
    let Some(cluster) = cluster.cloned() else { return end };
    // A reload may shorten the lifetime of credentials, but not of those that are out there.
    let (ice, longest) = (ice.clone(), AtomicU64::new(0));
    Box::new(move |name| {
        end(name);
        let ttl = ice.ttl().as_secs();
        let ttl = longest.fetch_max(ttl, Relaxed).max(ttl);
        cluster.revoke(name, clock.now().unix.saturating_add(ttl));
    })
}

/// Revokes names on the other nodes, if there are any.
pub(super) fn revoke_elsewhere(cluster: Option<&Cluster>) -> RevokeElsewhere {
    match cluster.cloned() {
        Some(cluster) => Box::new(move |name, until| cluster.revoke(name, until)),
        None => Box::new(|_, _| {}),
    }
}

/// Takes in the secrets of a new configuration.
pub(super) fn renewal(
    cluster: Option<&Cluster>,
    source: SecretSource,
) -> impl Fn(&Config) + Send + Sync + 'static {
    let cluster = cluster.cloned();
    move |config| {
        if let Some(cluster) = &cluster {
            cluster.configure(source.secrets(config));
        }
    }
}

/// Returns the source of the cluster's state, for the operator.
pub(super) fn status(cluster: Option<&Cluster>) -> Option<ClusterSource> {
    let cluster = cluster?.clone();
    Some(Box::new(move || cluster.status()))
}

/// Waits for a moment until the other nodes were told that this one stops.
pub(super) async fn left(cluster: Option<&Cluster>) {
    if let Some(cluster) = cluster {
        cluster.left().await;
    }
}

/// Parts that the state of this node comes from.
pub(super) struct NodeParts {
    pub(super) ice: Arc<IceServers>,
    pub(super) hub: Arc<Hub>,
    pub(super) allocations: Allocations,
    pub(super) phase: PhaseWatch,
}

/// Connects this node with the others.
pub(super) fn keep(cluster: Option<&Cluster>, parts: NodeParts, supervisor: &Supervisor) {
    let Some(cluster) = cluster.cloned() else { return };
    if !parts.urls(&cluster).iter().any(|url| url.starts_with("turn")) {
        tracing::warn!(
            "the other nodes cannot give clients the relay of this one: neither a public address nor a certificate tells \
             its URL; remedy: set `advertise` under [cluster], or `public_addresses` under [relay]"
        );
    }
    #[cfg(feature = "nats")]
    {
        let (settings, phase) = (cluster.clone(), parts.phase.clone());
        let state = Box::new(move || parts.state(&settings));
        let bus = crate::cluster::Bus::new(crate::cluster::BusParts { cluster, state, phase });
        supervisor.keep("cluster", move || bus.clone().run());
    }
    #[cfg(not(feature = "nats"))]
    let _ = (NodeParts::state, supervisor);
}

impl NodeParts {
    fn state(&self, cluster: &Cluster) -> NodeState {
        let (rooms, members) = self.hub.sizes();
        NodeState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            region: cluster.settings().region.clone(),
            urls: self.urls(cluster),
            allocations: self.allocations.live() as u64,
            full: self.allocations.is_full(),
            draining: self.phase.has_reached(Phase::Draining),
            rooms,
            members,
            ..NodeState::default()
        }
    }

    /// URLs of this node's relay for clients of other nodes.
    fn urls(&self, cluster: &Cluster) -> Vec<String> {
        let advertised = &cluster.settings().advertise;
        if advertised.is_empty() { self.ice.urls_for_others() } else { advertised.clone() }
    }
}
