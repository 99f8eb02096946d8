//! The relays, and the data plane that serves them.

use std::sync::Arc;

use byway_turn::address_set::AddressSet;
use byway_turn::auth::Secrets;
use byway_turn::server::{self, Discovery, PeerPolicy, Relay, Rules, Shared};

use super::host_addresses::HostState;
use super::secrets::ServerSecrets;
use super::sockets::{Files, Listening, Sockets};
use super::{ServerError, seed, system};
use crate::clock::Clock;
use crate::config::Config;
use crate::events::EventSender;
use crate::net::connection_limit::{ConnectionCounters, ConnectionLimiter, PER_ADDRESS};
use crate::net::local_ports;
use crate::shard::{Allocations, DataPlane, RelayCounters, ShardConfig};
use crate::signaling::CountUser;

/// Simultaneous TCP and TLS connections to TURN. Each may hold 200 kB if clients do their utmost.
const MAX_STREAMS: usize = 16_384;

/// The running relays.
pub(super) struct Relaying {
    pub(super) data_plane: DataPlane,
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<RelayCounters>,
}

impl Relaying {
    /// Starts a shard for each set of listeners and moves the listeners into it.
    pub(super) fn start(
        config: &Config,
        sockets: &mut Sockets,
        host: &HostState,
        files: &Files,
        secrets: &ServerSecrets,
        clock: Clock,
        events: &EventSender,
    ) -> Result<Self, ServerError> {
        let shared = shared(config, &sockets.listening, host, secrets)?;
        let tuning = config.relay.tuning;
        if let Some(cut) = sockets.turn.first().and_then(|listeners| listeners.cut_buffers(&tuning)) {
            tracing::info!("{cut}");
        }
        if let Some(remark) = local_ports::remark(&config.relay.addresses, &config.relay.ports) {
            tracing::info!("{remark}");
        }
        let listeners = std::mem::take(&mut sockets.turn);
        let connections = Arc::<ConnectionCounters>::default();
        let shards_count = listeners.len();
        let per_shard = |places: usize| places.div_ceil(shards_count);
        let (streams, per_address) = (per_shard(files.streams.min(MAX_STREAMS)), per_shard(PER_ADDRESS));
        let shard = |listeners| {
            Ok(ShardConfig {
                listeners,
                relay: Relay::new(shared.clone(), &seed()?),
                counters: Arc::default(),
                events: events.clone(),
                limiter: ConnectionLimiter::new(streams, per_address, connections.clone()),
            })
        };
        let shards = listeners.into_iter().map(shard).collect::<Result<Vec<_>, ServerError>>()?;
        let shard_counters = shards.iter().map(|shard| Arc::clone(&shard.counters)).collect();
        let data_plane = DataPlane::start(shards, tuning, clock).map_err(system("start the data plane"))?;
        let counters = Arc::new(RelayCounters { shards: shard_counters, connections });
        Ok(Self { data_plane, shared, counters })
    }

    /// The error for a shard that has ended.
    pub(super) fn lost(&self) -> ServerError {
        ServerError::ShardEnded(self.data_plane.down()())
    }

    /// Counts the allocations of a name on all shards.
    pub(super) fn count_user(&self) -> CountUser {
        let allocations = self.allocations();
        Box::new(move |name| allocations.of(name))
    }

    /// The allocations of all shards.
    pub(super) fn allocations(&self) -> Allocations {
        self.data_plane.allocations(self.shared.clone())
    }
}

/// State that the relays of all shards share.
fn shared(
    config: &Config,
    listening: &Listening,
    host: &HostState,
    secrets: &ServerSecrets,
) -> Result<Arc<Shared>, ServerError> {
    let Rules { realm, secrets: signing, users, strict_expiry, port_rest, allow, deny, own, quota } =
        rules(config, listening, secrets.source().secrets(config));
    let settings = server::Settings {
        realm,
        secrets: signing,
        users,
        revocations: secrets.revocations.clone(),
        strict_expiry,
        addresses: Vec::new(),
        ports: config.relay.ports.clone(),
        port_rest,
        peer_policy: PeerPolicy { allow, deny, own, listeners: Vec::new() },
        quota,
        discovery: Discovery::default(),
    };
    let shared = Shared::new(settings, &seed()?);
    shared.set_host_addresses(host.for_relay(listening));
    Ok(shared)
}

/// The relay's rules by a configuration.
pub(super) fn rules(config: &Config, listening: &Listening, secrets: Secrets) -> Rules {
    // A listener's address is the server's own even while no interface has it.
    let own: AddressSet = listening.0.iter().map(|listener| listener.address.ip()).collect();
    let told: AddressSet = config.relay.public_addresses.iter().copied().collect();
    Rules {
        realm: config.realm.clone(),
        secrets,
        users: config.users.clone(),
        strict_expiry: config.credentials.strict_expiry,
        port_rest: config.relay.port_rest,
        allow: config.peers.allow.clone(),
        deny: config.peers.deny.clone(),
        own: own.union(&told),
        quota: config.quota,
    }
}
