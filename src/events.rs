//! Events of rooms and allocations, for those who record them: webhooks, usage and timelines.
//!
//! Shards and rooms send them and never wait. A consumer that falls behind loses events, which are
//! counted.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use byway_turn::closed_set;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// Events that may wait for a consumer.
const CAPACITY: usize = 4096;

/// Identifies an allocation of the server. It is never reused while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationKey {
    /// Shard that owns the allocation.
    pub shard: u16,
    /// Slot in the shard's table.
    pub slot: u32,
    /// Running number of the allocation in its shard.
    pub generation: u32,
}

impl fmt::Display for AllocationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.shard, self.slot, self.generation)
    }
}

impl FromStr for AllocationKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<u32>().map_err(|_| ()));
        let mut next = || parts.next().ok_or(())?;
        let (shard, slot, generation) = (next()?, next()?, next()?);
        Ok(Self { shard: shard.try_into().map_err(|_| ())?, slot, generation })
    }
}

closed_set! {
    /// Transport between a client and the server.
    pub enum ClientTransport {
        /// UDP.
        Udp = "udp",
        /// TCP.
        Tcp = "tcp",
        /// TLS over TCP.
        Tls = "tls",
    }
}

closed_set! {
    /// Reason for which an allocation ended.
    pub enum EndReason {
        /// The client deleted it with a lifetime of 0.
        Deleted = "deleted",
        /// The client did not refresh it.
        Expired = "expired",
        /// The client's TCP or TLS connection ended.
        Disconnected = "disconnected",
        /// An operator ended it, or its name was revoked: the member has left or was removed.
        Revoked = "revoked",
        /// The server lost its address or listener, or stopped.
        Server = "server",
    }
}

/// Payload that was relayed in one direction, also as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Datagrams.
    pub packets: u64,
    /// Bytes of payload, without headers.
    pub bytes: u64,
}

/// Relayed traffic of an allocation, and what the relay refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From the client to its peers.
    pub to_peer: Traffic,
    /// From its peers to the client.
    pub to_client: Traffic,
    /// Dropped datagrams by the label of their reason, without those whose count is 0.
    pub drops: Vec<(&'static str, u64)>,
    /// Error responses to the client's requests by code, without those whose count is 0.
    pub refused: Vec<(u16, u64)>,
}

/// Facts about an allocation that do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationFacts {
    /// Key of the allocation.
    pub key: AllocationKey,
    /// Name in its credentials, without the expiry: `room.member`, a static user, or another name.
    pub user: Arc<str>,
    /// Transport between the client and the server.
    pub transport: ClientTransport,
    /// Client's transport address.
    pub client: SocketAddr,
    /// Relayed transport addresses as the client knows them, at most one of each family.
    pub relayed: Vec<SocketAddr>,
    /// Start, in seconds since 1970-01-01 UTC.
    pub began: u64,
}

/// Event.
#[derive(Clone, Debug)]
pub enum Event {
    /// An allocation began.
    AllocationBegan(Arc<AllocationFacts>),
    /// An allocation ended.
    AllocationEnded {
        /// Facts about it.
        facts: Arc<AllocationFacts>,
        /// Its traffic, in total.
        usage: Usage,
        /// Cause.
        reason: EndReason,
    },
    /// The relay refused a request of a client that is authenticated.
    RequestRefused {
        /// Name in the credentials, without the expiry.
        user: Arc<str>,
        /// Method of the request: `Allocate`, `Refresh`, `CreatePermission` or `ChannelBind`.
        method: &'static str,
        /// Error code (RFC 8656 section 18).
        code: u16,
        /// Peer of the request, if it names one.
        peer: Option<SocketAddr>,
    },
    /// A room has its first member.
    RoomOpened {
        /// Name of the room.
        room: Arc<str>,
    },
    /// A member has joined.
    MemberJoined {
        /// Name of the room.
        room: Arc<str>,
        /// Id of the member in the room.
        member: Arc<str>,
        /// Name in the member's credentials, without the expiry.
        user: Arc<str>,
        /// Whether it receives only.
        viewer: bool,
    },
    /// A member has left, was removed, or was lost for too long.
    MemberLeft {
        /// Name of the room.
        room: Arc<str>,
        /// Id of the member in the room.
        member: Arc<str>,
        /// Name in the member's credentials, without the expiry.
        user: Arc<str>,
        /// Label of the cause.
        reason: &'static str,
    },
    /// The last member of a room has left.
    RoomClosed {
        /// Name of the room.
        room: Arc<str>,
    },
}

/// Event with its time, in seconds since 1970-01-01 UTC.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Time of the event.
    pub unix: u64,
    /// Event.
    pub event: Event,
}

/// Receiving end of a consumer.
pub type EventReceiver = mpsc::Receiver<Timed>;

/// Sends events to every consumer.
#[derive(Clone, Default)]
pub struct EventSender {
    consumers: Arc<[mpsc::Sender<Timed>]>,
    lost: Arc<AtomicU64>,
}

impl EventSender {
    /// Creates a sender with `N` consumers.
    #[must_use]
    pub fn to_consumers<const N: usize>() -> (Self, [EventReceiver; N]) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..N).map(|_| mpsc::channel(CAPACITY)).unzip();
        let receivers = receivers.try_into().unwrap_or_else(|_| unreachable!("there are N of them"));
        (Self { consumers: senders.into(), lost: Arc::default() }, receivers)
    }

    /// Whether nobody listens, so that an event need not be made.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.consumers.is_empty()
    }

    /// Sends an event. It never waits.
    pub fn send(&self, unix: u64, event: Event) {
        let event = Timed { unix, event };
        for consumer in self.consumers.iter() {
            if consumer.try_send(event.clone()).is_err() {
                self.lost.fetch_add(1, Relaxed);
            }
        }
    }

    /// Returns the number of events that a consumer was too slow for.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

impl fmt::Debug for EventSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventSender({} consumers)", self.consumers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let key = AllocationKey { shard: 1, slot: 22, generation: 333 };
        assert_eq!(key.to_string().parse(), Ok(key));
        for text in ["", "1", "1-2", "1-2-", "1-2-3-4", "70000-1-1", "a-1-1", "1-4294967296-1"] {
            assert_eq!(text.parse::<AllocationKey>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_slow_consumer_loses_events_and_delays_nobody() {
        let (sender, [mut slow, mut quick]) = EventSender::to_consumers::<2>();
        for unix in 0..=CAPACITY as u64 {
            sender.send(unix, Event::RoomOpened { room: "r".into() });
            assert_eq!(quick.try_recv().map(|event| event.unix), Ok(unix));
        }
        assert_eq!(sender.lost(), 1);
        assert_eq!(slow.try_recv().map(|event| event.unix), Ok(0));
    }
}
