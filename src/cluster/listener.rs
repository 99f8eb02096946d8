//! Interface between the cluster and the rooms: items for other nodes, and what becomes of them.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::access::names::NodeName;

/// Receiver of items from other nodes. Nothing here may wait.
///
/// It is called by one task, and never under a lock of the cluster: it may send items itself.
pub trait NodeListener: Send + Sync {
    /// Takes the next item of `from`.
    fn hear(&self, from: &NodeName, item: &RawValue);

    /// Notes that the stream to or from `peer` was reset: items on the way are lost. `unsent` are
    /// the own ones that were not acknowledged, in order.
    fn reset(&self, peer: &NodeName, unsent: Vec<Box<RawValue>>);

    /// Notes that the set of nodes has changed.
    fn view(&self, view: ClusterView);
}

/// Nodes that may own rooms, as this node sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// Other nodes that live or are suspect, and do not drain. Empty while this node is alone.
    pub nodes: BTreeSet<NodeName>,
    /// Whether nothing is known about the others: the bus is away, or came back a moment ago.
    pub alone: bool,
    /// Whether this node drains.
    pub draining: bool,
}
