//! Items for other nodes, and the view of the nodes that may own rooms.
//!
//! The listener is called under the lock `told` only, which no caller of [`Cluster::send`] takes.
//! The listener may therefore send, and a caller may hold a lock that the listener takes.

use std::sync::Arc;
use std::time::Duration;

use byway_turn::lock::lock;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{Cluster, View};
use crate::access::names::NodeName;
use crate::cluster::link::{ItemDrop, LinkEvent, MAX_ITEM};
use crate::cluster::listener::{ClusterView, NodeListener};
use crate::cluster::message::{Item, Message};
use crate::cluster::nodes::{Node, NodeChange, Presence};

/// Longest sleep of a driver for which nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

impl Cluster {
    /// Sends an item to `to`, behind those that were sent before. Never waits.
    ///
    /// An item of more than [`MAX_ITEM`] bytes is dropped, as is one for too many nodes.
    pub fn send(&self, to: &NodeName, item: Box<RawValue>) {
        let item = Item::from(item);
        let size = item.size();
        match lock(&self.0.links).send(to, item) {
            Ok(()) => self.0.queued.notify_one(),
            Err(reason) => {
                let is_first = self.0.counters.item_dropped(reason);
                if reason == ItemDrop::TooLarge && is_first {
                    tracing::warn!(
                        "an item of {size} bytes for node {to} is over {MAX_ITEM} and was dropped"
                    );
                }
            }
        }
    }

    /// Hands items and views to `listener` from now on, and the current view at once. Only the
    /// first listener counts.
    pub fn listen(&self, listener: Arc<dyn NodeListener>) {
        let _ = self.0.listener.set(listener);
        self.deliver();
    }
}

/// Side of the driver.
impl Cluster {
    /// Waits until [`Cluster::exchange`] has something to do.
    pub async fn stirred(&self) {
        let now = self.0.clock.now().mono;
        let poll = lock(&self.0.links).next_poll();
        let change = self.lock().isolation.next_change();
        let due = poll.into_iter().chain(change).min();
        let pause = due.map_or(IDLE, |due| due.saturating_sub(now));
        // Timers of tokio count milliseconds, and end after their time.
        let _ = timeout(pause, self.0.queued.notified()).await;
    }

    /// Tells the listener what is new. Returns messages with items and acknowledgements, each with
    /// its receiver.
    pub fn exchange(&self) -> Vec<(NodeName, Vec<u8>)> {
        self.deliver();
        let now = self.0.clock.now().mono;
        let segments = lock(&self.0.links).poll(now);
        let sealed = segments.into_iter().map(|segment| {
            let to = segment.to.clone();
            (to, self.seal(&mut self.lock(), &Message::Link(segment)))
        });
        let sealed = sealed.collect();
        self.count();
        sealed
    }

    /// Tells the listener which nodes there are now, and which items came.
    ///
    /// The view comes before a reset: what a dead node did not take goes to the node that follows
    /// it. Events are taken before the view, which so has the change that each of them follows
    /// from.
    pub(super) fn deliver(&self) {
        let mut told = lock(&self.0.told);
        let listener = self.0.listener.get();
        loop {
            let events: Vec<_> = std::iter::from_fn(|| lock(&self.0.links).next_event()).collect();
            let view = self.lock().seen(self.0.clock.now().mono, told.is_none());
            if let (Some(view), Some(listener)) = (view, listener)
                && told.as_ref() != Some(&view)
            {
                *told = Some(view.clone());
                listener.view(view);
            }
            if events.is_empty() {
                break;
            }
            for event in events {
                match (event, listener) {
                    (_, None) => {}
                    (LinkEvent::Items(from, items), Some(listener)) => {
                        items.iter().for_each(|item| listener.hear(&from, item.json()));
                    }
                    (LinkEvent::Reset(peer, unsent), Some(listener)) => {
                        listener.reset(&peer, unsent.into_iter().map(Item::into_json).collect());
                    }
                }
            }
        }
        self.count();
    }

    fn count(&self) {
        self.0.counters.items(&lock(&self.0.links).totals());
    }

    /// Lets the streams follow a change of the nodes.
    pub(super) fn follow(&self, view: &View, change: &NodeChange) {
        let mut links = lock(&self.0.links);
        let name = change.name();
        match change {
            NodeChange::Joined(_) | NodeChange::Restarted(_) | NodeChange::Recovered(_) => {
                if let Some(node) = view.nodes.get(name) {
                    links.up(name, node.run);
                }
            }
            NodeChange::Suspected(_) => links.suspect(name),
            NodeChange::Died(_) | NodeChange::Left(_) | NodeChange::Forgotten(_) => links.down(name),
        }
        self.0.queued.notify_one();
    }
}

impl View {
    /// Returns the nodes that may own rooms, if they may have changed or must be told.
    fn seen(&mut self, now: Duration, must_tell: bool) -> Option<ClusterView> {
        let is_due = self.isolation.next_change().is_some_and(|at| at <= now);
        self.isolation.tick(now);
        if !std::mem::take(&mut self.has_changed) && !is_due && !must_tell {
            return None;
        }
        let alone = self.isolation.is_alone();
        if alone {
            self.owners.clear();
        } else if !self.isolation.is_interrupted() {
            let is_owner = |node: &&Node| {
                node.presence != Presence::Dead && node.state.shares_rooms && !node.state.draining
            };
            self.owners = self.nodes.list().filter(is_owner).map(|node| node.name.clone()).collect();
        }
        Some(ClusterView { nodes: self.owners.clone(), alone, draining: self.own.draining })
    }
}
