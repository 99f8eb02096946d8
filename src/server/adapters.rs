//! PeerJS and y-webrtc, on this node and by way of the others.

use std::sync::Arc;

use byway_turn::auth::Secrets;
use serde_json::value::RawValue;

use crate::access::names::NodeName;
use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterView, NodeListener};
use crate::signaling::SignalingConnections;
use crate::signaling::neighbours::Neighbours;
use crate::signaling::peerjs::PeerJs;
use crate::signaling::y_webrtc::Topics;

/// The clients of both.
#[derive(Clone)]
pub(super) struct Adapters {
    pub(super) peerjs: Arc<PeerJs>,
    pub(super) topics: Arc<Topics>,
}

impl Adapters {
    /// No clients. The nodes of a cluster share the secrets.
    pub(super) fn new(
        connections: &Arc<SignalingConnections>,
        cluster: Option<&Cluster>,
        secrets: Secrets,
        clock: Clock,
    ) -> Self {
        let neighbours = cluster.cloned().map(|cluster| Neighbours {
            node: cluster.settings().node.clone(),
            began_ms: clock.unix_ms(),
            send: Arc::new(move |to, item| cluster.send(to, item)),
        });
        Self {
            topics: Arc::new(Topics::new(connections.clone(), neighbours.clone())),
            peerjs: Arc::new(PeerJs::new(connections.clone(), neighbours.map(|others| (others, secrets)))),
        }
    }
}

impl NodeListener for Adapters {
    fn hear(&self, from: &NodeName, item: &RawValue) {
        self.topics.hear(from, item);
        self.peerjs.hear(from, item);
    }

    fn reset(&self, peer: &NodeName, unsent: Vec<Box<RawValue>>) {
        self.topics.reset(peer, &unsent);
        self.peerjs.reset(peer, &unsent);
    }

    fn view(&self, view: ClusterView) {
        self.topics.set_view(&view.nodes, view.alone);
        self.peerjs.set_view(&view.nodes, view.alone);
    }
}
