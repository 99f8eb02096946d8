//! Counters of rooms, their members and their WebSockets.

use std::fmt;

use super::codes::{Ending, ErrorCode};
use crate::metrics::{Counters, Family, Page, SharedCount};

/// Counters of the signaling.
#[derive(Debug, Default)]
pub struct SignalingCounters {
    /// Rooms; set under the hub's lock.
    pub rooms: SharedCount,
    /// Rooms that are locked; set under the hub's lock.
    pub locked: SharedCount,
    /// Members of this node, viewers among them; set under the hub's lock.
    pub members: SharedCount,
    /// Viewers of all rooms, those of other nodes among them; set under the hub's lock.
    pub viewers: SharedCount,
    /// Members without a connection, those of other nodes among them; set under the hub's lock.
    pub absent: SharedCount,
    /// Bytes of signals kept until they have arrived; set under the hub's lock.
    pub kept: SharedCount,
    /// Bytes that wait to be written to WebSockets.
    pub queued: SharedCount,
    /// Clients of PeerJS; set under the lock of their registry.
    pub peerjs: SharedCount,
    /// Topics of y-webrtc; set under the lock of their board.
    pub topics: SharedCount,
    /// Memberships that were resumed.
    pub resumed: SharedCount,
    /// Members that a host has removed.
    pub removed_by_hosts: SharedCount,
    /// Join tokens that hosts have got for guests.
    pub invitations: SharedCount,
    /// Open connections.
    pub connections: SharedCount,
    /// WebSocket messages received, of any kind.
    pub received: SharedCount,
    /// Signals passed on, those of other protocols among them: one for each receiver.
    pub signals: SharedCount,
    /// Signals of other nodes that were dropped, because their sender never joined; set under the
    /// hub's lock.
    pub strangers: SharedCount,
    errors: Family<ErrorCode, SharedCount>,
    closed: Family<Ending, SharedCount>,
}

impl SignalingCounters {
    /// Counts a frame that was answered with an error.
    pub fn refused(&self, code: ErrorCode) {
        self.errors[code].add(1);
    }

    /// Counts a connection that ended.
    pub fn closed(&self, ending: Ending) {
        self.closed[ending].add(1);
    }
}

impl Counters for SignalingCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("rooms", "Rooms of the signaling.", self.rooms.get())?;
        page.gauge("rooms_locked", "Rooms that a host has locked.", self.locked.get())?;
        page.gauge("members", "Members that are connected to this server, or were.", self.members.get())?;
        page.gauge(
            "members_viewing",
            "Viewers, those of other nodes in the same rooms among them.",
            self.viewers.get(),
        )?;
        page.gauge(
            "members_absent",
            "Members whose connection was lost, those of other nodes among them.",
            self.absent.get(),
        )?;
        page.gauge("signals_kept_bytes", "Signals kept until they have arrived.", self.kept.get())?;
        page.gauge(
            "signals_queued_bytes",
            "Messages that wait to be written to WebSockets.",
            self.queued.get(),
        )?;
        page.gauge("peerjs_peers", "Clients of PeerJS.", self.peerjs.get())?;
        page.gauge("topics", "Topics of y-webrtc.", self.topics.get())?;
        page.counter("members_resumed", "Memberships resumed over another connection.", self.resumed.get())?;
        page.counter("members_removed_by_hosts", "Members removed by a host.", self.removed_by_hosts.get())?;
        page.counter("host_invitations", "Join tokens issued to hosts.", self.invitations.get())?;
        page.gauge("websockets", "Open signaling connections.", self.connections.get())?;
        page.counter("messages_received", "WebSocket messages received.", self.received.get())?;
        page.counter("signals", "Messages passed on, one for each receiver.", self.signals.get())?;
        page.counter(
            "signals_of_strangers",
            "Signals of other nodes dropped, because their sender never joined.",
            self.strangers.get(),
        )?;
        page.family("signaling_errors", "Frames answered with `error`, by code.", "code", |code| {
            self.errors[code].get()
        })?;
        page.family("websockets_closed", "Signaling connections ended, by reason.", "reason", |ending| {
            self.closed[ending].get()
        })
    }
}
