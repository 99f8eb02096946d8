//! Counters of the cluster.

use std::fmt;

use byway_turn::closed_set;
use byway_turn::closed_set::ClosedSet as _;

use super::link::{ItemDrop, LinkTotals};
use super::message::Rejection;
use crate::metrics::{Counters, Family, Page, SharedCount};

closed_set! {
    /// Reason to drop a message before it is sent or read.
    pub enum BusDrop {
        /// There was no connection to the broker.
        Disconnected = "disconnected",
        /// Too many waited to be sent.
        QueueFull = "queue_full",
        /// The client of the broker refused it.
        Refused = "refused",
        /// Too many waited to be read.
        Overrun = "overrun",
    }
}

/// Counters of the cluster.
#[derive(Debug, Default)]
pub struct ClusterCounters {
    /// 1 if the broker answers.
    pub connected: SharedCount,
    /// Other nodes that live.
    pub live: SharedCount,
    /// Other nodes that have been silent for some seconds.
    pub suspect: SharedCount,
    /// Other nodes that have died.
    pub dead: SharedCount,
    /// Messages that were handed to the client of the broker.
    pub sent: SharedCount,
    /// Messages of the broker, whatever became of them.
    pub received: SharedCount,
    /// Messages of a type that this version does not know.
    pub unknown: SharedCount,
    /// Names that other nodes revoked. They say so again from time to time.
    pub revoked: SharedCount,
    /// Names of these that could not be remembered.
    pub unremembered: SharedCount,
    /// Revocations that nodes which come back do not learn, because too many are in force.
    pub forgotten: SharedCount,
    items_sent: SharedCount,
    items_resent: SharedCount,
    items_received: SharedCount,
    items_returned: SharedCount,
    items_resets: SharedCount,
    items_dropped: Family<ItemDrop, SharedCount>,
    dropped: Family<BusDrop, SharedCount>,
    rejected: Family<Rejection, SharedCount>,
}

impl ClusterCounters {
    /// Counts a message that was dropped.
    pub fn dropped(&self, reason: BusDrop) {
        self.dropped[reason].add(1);
    }

    /// Counts an item that was dropped. Returns whether it is the first for this reason.
    pub(super) fn item_dropped(&self, reason: ItemDrop) -> bool {
        let count = &self.items_dropped[reason];
        count.add(1);
        count.get() == 1
    }

    /// Takes over the counts of all streams.
    pub(super) fn items(&self, totals: &LinkTotals) {
        self.items_sent.set(totals.sent);
        self.items_resent.set(totals.resent);
        self.items_received.set(totals.received);
        self.items_returned.set(totals.returned);
        self.items_resets.set(totals.resets);
    }

    /// Counts a message that was rejected.
    pub(super) fn rejected(&self, reason: Rejection) {
        self.rejected[reason].add(1);
    }

    /// Returns the reasons for which messages were rejected, with their counts.
    pub(super) fn rejections(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = Rejection::ALL.iter().map(|reason| (reason.label(), self.rejected[*reason].get()));
        counted.filter(|(_, count)| *count > 0)
    }
}

impl Counters for ClusterCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "cluster_connected",
            "Whether the broker of the cluster answers, 1 or 0.",
            self.connected.get(),
        )?;
        page.gauges(
            "cluster_nodes",
            "Other nodes of the cluster, by presence.",
            "presence",
            [("live", self.live.get()), ("suspect", self.suspect.get()), ("dead", self.dead.get())],
        )?;
        page.counter("cluster_messages_sent", "Messages to the other nodes.", self.sent.get())?;
        page.counter("cluster_messages_received", "Messages of the broker.", self.received.get())?;
        page.family(
            "cluster_messages_dropped",
            "Messages that were neither sent nor read, by reason.",
            "reason",
            |reason| self.dropped[reason].get(),
        )?;
        page.family(
            "cluster_messages_rejected",
            "Messages of the broker that were rejected, by reason.",
            "reason",
            |reason| self.rejected[reason].get(),
        )?;
        page.counter(
            "cluster_messages_unknown",
            "Messages of other nodes of a type that this version does not know.",
            self.unknown.get(),
        )?;
        page.counter(
            "cluster_revocations",
            "Names that other nodes revoked, each as often as they say so.",
            self.revoked.get(),
        )?;
        page.counter(
            "cluster_revocations_unremembered",
            "Names that other nodes revoked, and that this node has no room to remember.",
            self.unremembered.get(),
        )?;
        page.counter(
            "cluster_revocations_forgotten",
            "Revocations that nodes which come back do not learn, because too many are in force.",
            self.forgotten.get(),
        )?;
        page.counter(
            "cluster_items_sent",
            "Items of rooms to other nodes, each once.",
            self.items_sent.get(),
        )?;
        page.counter(
            "cluster_items_resent",
            "Items of rooms that were sent again, because no acknowledgement came.",
            self.items_resent.get(),
        )?;
        page.counter(
            "cluster_items_received",
            "Items of rooms from other nodes.",
            self.items_received.get(),
        )?;
        page.counter(
            "cluster_items_returned",
            "Items of rooms that may not have reached another node.",
            self.items_returned.get(),
        )?;
        page.counter(
            "cluster_items_resets",
            "Times that the streams to and from another node began again.",
            self.items_resets.get(),
        )?;
        page.family(
            "cluster_items_dropped",
            "Items of rooms that were not sent, by reason.",
            "reason",
            |reason| self.items_dropped[reason].get(),
        )
    }
}
