//! Way of PeerJS and y-webrtc to the other nodes of a cluster.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::access::names::NodeName;

/// Sends an item to a node. Must not wait.
pub type SendItem = Arc<dyn Fn(&NodeName, Box<RawValue>) + Send + Sync>;

/// This node and its way to the others.
#[derive(Clone)]
pub struct Neighbours {
    /// Name of this node.
    pub node: NodeName,
    /// Time in milliseconds since 1970 at which this process began.
    pub began_ms: u64,
    /// Sends an item.
    pub send: SendItem,
}

impl Neighbours {
    /// Returns a number below those of the messages of this process, and above those of earlier
    /// ones.
    pub(super) fn first_number(&self) -> u64 {
        self.began_ms.saturating_mul(1_000)
    }

    pub(super) fn send(&self, items: Vec<(NodeName, Box<RawValue>)>) {
        for (to, item) in items {
            (self.send)(&to, item);
        }
    }
}

impl fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Neighbours({})", self.node)
    }
}
