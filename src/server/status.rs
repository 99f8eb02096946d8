//! Facts about the running server, for `/status`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cluster::status::ClusterStatus;
use crate::events::Traffic;
use crate::http::admin::status::{CertificateFacts, Relayed, ServerFacts};
use crate::live::Live;
use crate::shard::{Allocations, Direction, RelayCounters};
use crate::tls::{Certificate, Identity};

/// Returns the state of the cluster at the moment it is called.
pub(super) type ClusterSource = Box<dyn Fn() -> ClusterStatus + Send + Sync>;

/// Parts that the facts come from.
pub(super) struct FactParts {
    /// Start, in seconds since 1970.
    pub(super) began: u64,
    /// Configuration file.
    pub(super) file: Option<PathBuf>,
    /// The line that names every address that is served.
    pub(super) line: Live<String>,
    /// Certificate in use.
    pub(super) identity: Arc<Identity>,
    /// All allocations.
    pub(super) allocations: Allocations,
    /// Counters of the shards.
    pub(super) counters: Arc<RelayCounters>,
    /// State of the cluster, if the server is one of its nodes.
    pub(super) cluster: Option<ClusterSource>,
}

/// Returns a function that collects the facts.
pub(super) fn facts(parts: FactParts) -> impl Fn() -> ServerFacts + Send + Sync + 'static {
    move || ServerFacts {
        began: parts.began,
        configuration: parts.file.as_ref().map(|file| file.display().to_string()),
        listening: String::clone(&parts.line.load()),
        allocations: parts.allocations.live() as u64,
        certificate: parts.identity.certificate().as_deref().map(named),
        relayed: Relayed {
            to_peer: relayed(&parts.counters, Direction::ToPeer),
            to_client: relayed(&parts.counters, Direction::ToClient),
            between_clients: relayed(&parts.counters, Direction::BetweenClients),
        },
        cluster: parts.cluster.as_ref().map(|cluster| cluster()),
    }
}

fn named(certificate: &Certificate) -> CertificateFacts {
    let names = certificate.names().as_slice().iter().map(ToString::to_string).collect();
    CertificateFacts { names, expires: certificate.expires() }
}

fn relayed(counters: &RelayCounters, direction: Direction) -> Traffic {
    let mut traffic = Traffic::default();
    for shard in &counters.shards {
        let (packets, bytes) = shard.relayed_so_far(direction);
        traffic.packets += packets;
        traffic.bytes += bytes;
    }
    traffic
}
