//! The cluster: tells the other nodes the state of this one, and passes revocations and what
//! concerns rooms in both directions.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use axum::http::HeaderName;
use byway_turn::auth::Revocations;
use byway_turn::lock::lock;
use byway_turn::prng::Prng;
use serde_json::value::RawValue;

use super::relaying::Relaying;
use super::secrets::{SecretSource, ServerSecrets};
use super::status::ClusterSource;
use super::supervise::Supervisor;
use super::{ServerError, seed};
use crate::access::names::NodeName;
use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterCounters, ClusterParts, ClusterView, NodeListener, NodeState};
use crate::config::Config;
use crate::http::{EndName, ListRegions};
use crate::ice::IceServers;
use crate::live::Live;
use crate::phase::{Phase, PhaseWatch};
use crate::shard::Allocations;
use crate::signaling::shared_rooms::RoomView;
use crate::signaling::{EndUser, Hub, HubNode, Tickets};

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
            let is_remembered = revocations.end(clock.now(), name, until).is_ok();
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

/// Ends a name on the relay, here and on the other nodes.
#[derive(Clone)]
pub(super) struct NameEnds {
    cluster: Option<Cluster>,
    revocations: Arc<Revocations>,
    allocations: Allocations,
    ice: Arc<IceServers>,
    clock: Clock,
    /// Longest lifetime of credentials so far, in seconds: a reload may shorten it, but not that of
    /// those that are out there.
    longest: Arc<AtomicU64>,
}

impl NameEnds {
    pub(super) fn new(
        cluster: Option<&Cluster>,
        relaying: &Relaying,
        secrets: &ServerSecrets,
        ice: &Arc<IceServers>,
        clock: Clock,
    ) -> Self {
        Self {
            cluster: cluster.cloned(),
            revocations: secrets.revocations.clone(),
            allocations: relaying.allocations(),
            ice: ice.clone(),
            clock,
            longest: Arc::default(),
        }
    }

    /// Returns the end of a member that has left or was removed.
    pub(super) fn of_members(&self) -> EndUser {
        let own = self.clone();
        Box::new(move |name| {
            if let Some(cluster) = &own.cluster {
                let (now, ttl) = (own.clock.now(), own.ice.ttl().as_secs());
                let ttl = own.longest.fetch_max(ttl, Relaxed).max(ttl);
                let until = now.unix.saturating_add(ttl);
                // The id of a member that came from another node says nothing here. If there is no
                // place to remember the name, its credentials expire by themselves.
                if own.revocations.end(now, name, until).is_err() {
                    cluster.counters().unremembered.add(1);
                }
                cluster.revoke(name, until);
            }
            own.allocations.end(name);
        })
    }

    /// Returns the end of a credential that a program revokes. One that has expired is not
    /// remembered.
    pub(super) fn of_credentials(&self) -> EndName {
        let own = self.clone();
        Box::new(move |name, until| {
            let now = own.clock.now();
            if now.unix < until {
                own.revocations.revoke(now, name, until)?;
                if let Some(cluster) = &own.cluster {
                    cluster.revoke(name, until);
                }
            }
            own.allocations.end(name);
            Ok(())
        })
    }
}

/// Returns the tickets of the rooms: those of a cluster are good on every node.
pub(super) fn tickets(
    cluster: Option<&Cluster>,
    config: &Config,
    secrets: &ServerSecrets,
) -> Result<Tickets, ServerError> {
    Ok(match cluster {
        Some(_) => Tickets::of_cluster(&secrets.source().secrets(config)),
        None => Tickets::of_process(&seed()?),
    })
}

/// Returns this node, for the rooms.
pub(super) fn hub_node(cluster: Option<&Cluster>) -> Result<Option<HubNode>, ServerError> {
    let Some(cluster) = cluster.cloned() else { return Ok(None) };
    let (name, run) = (cluster.settings().node.clone(), Prng::new(&seed()?, "rooms").number());
    Ok(Some(HubNode { name, run, send: Box::new(move |to, item| cluster.send(to, item)) }))
}

/// Returns the listener that hands items and views to the rooms.
pub(super) fn rooms(hub: &Arc<Hub>) -> Box<dyn NodeListener> {
    Box::new(HearingRooms { hub: hub.clone(), nodes: Mutex::default() })
}

/// Rooms that hear the other nodes.
struct HearingRooms {
    hub: Arc<Hub>,
    /// Other nodes, when this one saw any the last time.
    nodes: Mutex<BTreeSet<NodeName>>,
}

impl NodeListener for HearingRooms {
    fn hear(&self, from: &NodeName, item: &RawValue) {
        self.hub.hear(from, item);
    }

    fn reset(&self, peer: &NodeName, unsent: Vec<Box<RawValue>>) {
        self.hub.reset(peer, &unsent);
    }

    fn view(&self, view: ClusterView) {
        let ClusterView { nodes, alone, draining } = view;
        let mut is_less = false;
        if !alone {
            let former = std::mem::replace(&mut *lock(&self.nodes), nodes.clone());
            is_less = !former.is_subset(&nodes);
        }
        self.hub.set_view(RoomView { nodes, alone, draining });
        if is_less {
            // Its clients need another relay before their credentials expire.
            self.hub.renew_all();
        }
    }
}

/// Returns the source of the regions that a page may measure.
pub(super) fn regions(cluster: Option<&Cluster>) -> ListRegions {
    match cluster.cloned() {
        Some(cluster) => Box::new(move || cluster.regions()),
        None => Box::new(Vec::new),
    }
}

/// Takes in the secrets of a new configuration.
pub(super) fn renewal(
    cluster: Option<&Cluster>,
    tickets: Live<Tickets>,
    source: SecretSource,
) -> impl Fn(&Config) + Send + Sync + 'static {
    let cluster = cluster.cloned();
    move |config| {
        if let Some(cluster) = &cluster {
            let secrets = source.secrets(config);
            tickets.store(Tickets::of_cluster(&secrets));
            cluster.configure(secrets);
        }
    }
}

/// Returns the source of the cluster's state, for the operator.
pub(super) fn status(cluster: Option<&Cluster>) -> Option<ClusterSource> {
    let cluster = cluster?.clone();
    Some(Box::new(move || cluster.status()))
}

/// Receivers of items from other nodes. Each ignores the items of the others.
struct Listeners(Vec<Box<dyn NodeListener>>);

impl NodeListener for Listeners {
    fn hear(&self, from: &NodeName, item: &RawValue) {
        self.0.iter().for_each(|listener| listener.hear(from, item));
    }

    fn reset(&self, peer: &NodeName, unsent: Vec<Box<RawValue>>) {
        self.0.iter().for_each(|listener| listener.reset(peer, unsent.clone()));
    }

    fn view(&self, view: ClusterView) {
        self.0.iter().for_each(|listener| listener.view(view.clone()));
    }
}

/// Hands the items of other nodes to `listeners`.
pub(super) fn listen(cluster: Option<&Cluster>, listeners: Vec<Box<dyn NodeListener>>) {
    if let Some(cluster) = cluster {
        cluster.listen(Arc::new(Listeners(listeners)));
    }
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
            shares_rooms: true,
            ..NodeState::default()
        }
    }

    /// URLs of this node's relay for clients of other nodes.
    fn urls(&self, cluster: &Cluster) -> Vec<String> {
        let advertised = &cluster.settings().advertise;
        if advertised.is_empty() { self.ice.urls_for_others() } else { advertised.clone() }
    }
}
