//! Counters of the cluster.

use std::fmt;

use byway_turn::closed_set;
use byway_turn::closed_set::ClosedSet as _;

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
    dropped: Family<BusDrop, SharedCount>,
    rejected: Family<Rejection, SharedCount>,
}

impl ClusterCounters {
    /// Counts a message that was dropped.
    pub fn dropped(&self, reason: BusDrop) {
        self.dropped[reason].add(1);
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
        )
    }
}
