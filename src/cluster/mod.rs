//! Cluster: the relays of several nodes behind one `/ice`, over core NATS.
//!
//! Every node tells the others each second that it lives, with its region, URLs and load
//! ([`NodeState`]). `/ice` and the rooms then give each client the relay of one node, by region and
//! load. A credential that one node revokes is revoked on all.
//!
//! The bus may fail at any time. Nothing here is asked by the relay, the health check or the drain:
//! without the bus a node gives its clients its own relay.
//!
//! - [`message`]: messages on the bus, their tags and the defence against replays.
//! - [`nodes`]: the other nodes, and which of them live.
//! - [`choice`]: the node whose relay a client gets.
//! - [`regions`]: regions that a page may measure its way to.
//! - [`revocation_log`]: revocations for nodes that have missed them.
//! - [`status`]: state for the operator.
//! - [`link`]: streams of items between two nodes.
//! - [`isolation`]: whether this node is alone.
//! - [`credentials`]: credentials for the broker. All of these are pure.
//! - [`NodeListener`]: receiver of the items that other nodes send to this one.
//! - [`Cluster`]: handle that the rest of the server asks. It has the state and knows no broker.
//! - `bus` drives the connection to the broker.
//!
//! Without the feature `nats` there is no `bus`, and `config` refuses brokers.

#[cfg(feature = "nats")]
mod bus;
pub mod choice;
mod counters;
pub mod credentials;
mod handle;
pub mod isolation;
pub mod link;
mod listener;
pub mod message;
pub mod nodes;
pub mod regions;
pub mod revocation_log;
pub mod status;

use std::path::PathBuf;

use byway_turn::auth::Secrets;
use serde::{Deserialize, Serialize};

use crate::access::names::{NodeName, Region};

#[cfg(feature = "nats")]
pub use bus::{Bus, BusParts};
pub use counters::{BusDrop, ClusterCounters};
pub use handle::{Cluster, ClusterParts, RevokeHere};
pub use listener::{ClusterView, NodeListener};

/// Settings of the cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// URLs of the brokers, `nats://host:port` or `tls://host:port`; never empty.
    pub nats: Vec<String>,
    /// File with the credentials for the brokers.
    pub credentials_file: Option<PathBuf>,
    /// Name of this node.
    pub node: NodeName,
    /// Region of this node.
    pub region: Option<Region>,
    /// STUN and TURN URLs of this node for clients of other nodes. Empty: derived from the
    /// listeners.
    pub advertise: Vec<String>,
    /// Request header in which a trusted proxy names the region of a client.
    pub region_header: Option<String>,
    /// Secrets that all nodes share. They authenticate the messages.
    pub secrets: Secrets,
}

/// State of a node, as it tells the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeState {
    /// Version of its program.
    pub version: String,
    /// Its region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Its STUN and TURN URLs, best transport first.
    pub urls: Vec<String>,
    /// Live allocations.
    pub allocations: u64,
    /// Whether it has as many allocations as it allows.
    pub full: bool,
    /// Whether it waits for its calls to end, before it stops.
    pub draining: bool,
    /// Rooms with members on it.
    pub rooms: u64,
    /// Members of those rooms.
    pub members: u64,
    /// Whether its rooms span nodes. It owns no rooms of other nodes otherwise: a node of an
    /// earlier version would not answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shares_rooms: bool,
    /// Number of its connection to the broker, from 1; 0: it does not say. With a new connection it
    /// has missed the messages of the time between.
    #[serde(skip_serializing_if = "is_zero")]
    pub connection: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
