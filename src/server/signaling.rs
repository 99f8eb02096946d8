//! The rooms, and the ICE configuration for browsers in them.

use std::sync::Arc;

use byway_turn::auth::Secrets;

use super::cluster::NameEnds;
use super::relaying::Relaying;
use super::secrets::ServerSecrets;
use super::supervise::Supervisor;
use super::{ServerError, cluster, consumers};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::events::{EventReceiver, EventSender, Timed};
use crate::ice::{Endpoints, IceServers, IceSettings};
use crate::live::Live;
use crate::phase::PhaseWatch;
use crate::signaling::{ConnectionLimits, Hub, HubParts, SignalingConnections, SignalingCounters, Tickets};
use crate::tls::CertificateNames;

/// ICE servers for browsers, without the listeners, which follow the machine's addresses.
pub(super) fn ice(
    config: &Config,
    names: Option<CertificateNames>,
    secrets: &ServerSecrets,
) -> Arc<IceServers> {
    let endpoints = Endpoints {
        public: config.relay.public_addresses.clone(),
        names: names.unwrap_or_default(),
        ..Endpoints::default()
    };
    let settings = ice_settings(config, secrets.source().secrets(config));
    Arc::new(IceServers::new(settings, endpoints))
}

/// Settings of ICE servers by a configuration.
pub(super) fn ice_settings(config: &Config, secrets: Secrets) -> IceSettings {
    IceSettings {
        urls: config.ice.urls.clone(),
        secrets,
        ttl: config.credentials.ttl,
        policy: config.ice.transport_policy,
    }
}

/// Parts of the rooms.
pub(super) struct RoomParts<'a> {
    pub(super) config: &'a Config,
    pub(super) ice: Arc<IceServers>,
    pub(super) secrets: &'a ServerSecrets,
    pub(super) relaying: &'a Relaying,
    pub(super) cluster: Option<&'a Cluster>,
    pub(super) name_ends: &'a NameEnds,
    pub(super) tickets: Live<Tickets>,
    pub(super) clock: Clock,
    pub(super) counters: Arc<SignalingCounters>,
    pub(super) phase: PhaseWatch,
    pub(super) events: EventSender,
}

/// Builds the rooms. When a member leaves, its allocations on the relay end.
pub(super) fn rooms(parts: RoomParts<'_>) -> Result<Arc<Hub>, ServerError> {
    let RoomParts {
        config,
        ice,
        secrets,
        relaying,
        cluster,
        name_ends,
        tickets,
        clock,
        counters,
        phase,
        events,
    } = parts;
    let hub = Arc::new(Hub::new(HubParts {
        connections: Arc::new(SignalingConnections::new(
            ConnectionLimits::of(config.signaling.settings),
            clock,
            counters,
            phase,
        )),
        ice,
        revocations: secrets.revocations.clone(),
        access: secrets.access.clone(),
        end_user: name_ends.of_members(),
        count_user: relaying.count_user(),
        events,
        tickets,
        node: cluster::hub_node(cluster)?,
    }));
    Ok(hub)
}

/// Starts the background tasks of the rooms. One removes members whose resume window has expired,
/// one detects that the clock was set, and two keep the timelines.
pub(super) fn keep(hub: &Arc<Hub>, for_timelines: EventReceiver, supervisor: &Supervisor) {
    consumers::keep("timelines", for_timelines, supervisor, {
        let hub = hub.clone();
        move |timed: Timed| hub.record_relay(&timed.event)
    });
    let recorded = hub.clone();
    supervisor.keep("old-timelines", move || {
        let hub = recorded.clone();
        async move { until_the_end(hub.discard_timelines()).await }
    });
    let absent = hub.clone();
    supervisor.keep("absent-members", move || {
        let hub = absent.clone();
        async move { until_the_end(hub.give_up_the_absent()).await }
    });
    let hub = hub.clone();
    supervisor.keep("clock", move || {
        let hub = hub.clone();
        async move { until_the_end(hub.follow_the_clock()).await }
    });
}

/// Runs a task that returns only when the server ends.
async fn until_the_end(task: impl Future<Output = ()>) {
    task.await;
    std::future::pending().await
}
