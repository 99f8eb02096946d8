//! Signaling: rooms in which browsers find each other and exchange what a call needs to begin.
//!
//! `docs/signaling.md` is the specification. [`protocol`], [`codes`], [`room`], [`shared_rooms`],
//! [`schema`], `ticket`, [`timeline`] and [`flood_guard`] are pure. [`shared_rooms`] lets a room
//! have members on several nodes of a cluster.
//!
//! `hub` is what the sessions share, [`session`] the conversation with one client, and `membership`
//! what passes between the two. [`connection`] drives the WebSocket beneath. Its `send_queue`
//! bounds what waits to be written, to one reader and to all together.
//!
//! Beside our own protocol stand two of others, for pages that speak them already: [`peerjs`] and
//! [`y_webrtc`], each with a pure room of its own. `docs/adapters.md` is their manual. Both span
//! the nodes of a cluster by a [`directory`], which is pure, too. [`neighbours`] is their way to
//! it.

pub mod codes;
pub mod connection;
mod counters;
pub mod directory;
pub mod flood_guard;
mod hub;
mod membership;
pub mod neighbours;
pub mod peerjs;
pub mod protocol;
pub mod room;
pub mod schema;
mod send_queue;
pub mod session;
pub mod shared_rooms;
mod ticket;
pub mod timeline;
pub mod y_webrtc;

use std::time::Duration;

use self::flood_guard::Rate;
use self::room::RoomLimits;

pub use connection::SignalingConnections;
pub use counters::SignalingCounters;
pub use hub::{CountUser, EndUser, Hub, HubNode, HubParts, NamedRoom, Present, RoomState, SendToNode};
pub use membership::Visitor;
pub use ticket::Tickets;

/// SignalingSettings of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalingSettings {
    /// Rooms at one time.
    pub max_rooms: usize,
    /// Members of one room, without viewers.
    pub max_members: usize,
    /// Viewers of one room.
    pub max_viewers: usize,
    /// Bytes of one WebSocket message.
    pub max_message: usize,
    /// Time that a member stays whose connection was lost; zero = not at all.
    pub resume_window: Duration,
}

/// Limits and times of connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Limits of the rooms.
    pub rooms: RoomLimits,
    /// Bytes of one message.
    pub max_message: usize,
    /// Bytes that may wait for one reader in a room.
    pub max_queue: usize,
    /// Bytes that may wait for one reader in no room: answers to its messages.
    pub max_stranger_queue: usize,
    /// Bytes that may wait for all readers.
    pub max_queued: usize,
    /// Rate of messages of a client.
    pub rate: Rate,
    /// Time between two pings of the server. A client that answers neither of two is disconnected.
    pub ping_every: Duration,
    /// Time that a connection may be in no room.
    pub idle_after: Duration,
    /// Time for a closing handshake.
    pub close_within: Duration,
    /// Time that a member stays whose connection was lost; zero = not at all.
    pub resume_window: Duration,
}

impl ConnectionLimits {
    /// The limits that follow from the settings; the others are constants of this server.
    #[must_use]
    pub fn of(settings: SignalingSettings) -> Self {
        let SignalingSettings { max_rooms, max_members, max_viewers, max_message, resume_window } = settings;
        // Room for a few of the largest messages: a reader that is merely behind catches up. And
        // for a `joined` with a full room.
        let max_joined = max_members.saturating_add(max_viewers).saturating_mul(512) + 16 * 1_024;
        let max_queue = max_message.saturating_mul(4).max(max_joined);
        Self {
            rooms: RoomLimits {
                rooms: max_rooms,
                members: max_members,
                viewers: max_viewers,
                // A client that was too slow for its queue gets all of it after resuming, and as
                // much again.
                kept: max_queue.saturating_mul(2),
                kept_in_all: 256 << 20,
            },
            max_message,
            max_queue,
            // What a burst is answered with, 200 errors, takes as much.
            max_stranger_queue: (64 * 1_024).min(max_queue),
            max_queued: 256 << 20,
            // A browser gathers a few dozen candidates per peer within a second; with 7 peers that
            // is a burst of 200.
            rate: Rate { interval: Duration::from_millis(20), burst: 200, patience: 500 },
            ping_every: Duration::from_secs(30),
            idle_after: Duration::from_secs(60),
            close_within: Duration::from_secs(2),
            resume_window,
        }
    }
}
