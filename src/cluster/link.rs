//! Streams of items between this node and each other one. Pure: the caller hands in the time.
//!
//! A stream delivers its items once each and in order, over a bus that loses, doubles and reorders.
//! Items have numbers, from 1. The receiver takes the next one only, and acknowledges the last. The
//! sender keeps what is not acknowledged, and sends it again after a timeout.
//!
//! A stream ends if the peer is another process, has died or stopped, or if too much waits for it.
//! That is a reset: the items without an acknowledgement are given back, and a stream with a higher
//! number begins. It cuts both directions, so each side learns of it:
//!
//! ```text
//!   A: resets                                          B
//!      stream 2, ack of B's stream 2 (n = 0) ────────► a new stream of A: reset
//!      nothing of B's stream 1 is taken any more       B's stream 1 ends, its items return
//!      ◄──────────────────────────── stream 2, ack of A's stream 2
//! ```
//!
//! Nothing is sent to a node that is not live. Items for it wait, within bounds.

mod outgoing;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use byway_turn::closed_set;

use self::outgoing::Outgoing;
use super::message::{Ack, Item, Segment};
use crate::access::names::NodeName;

/// Largest item, in bytes of JSON.
pub const MAX_ITEM: usize = 512 << 10;

/// Items that wait for one node.
pub const MAX_ITEMS: usize = 8192;

/// Bytes of items that wait for one node.
pub const MAX_PEER_BYTES: usize = 8 << 20;

/// Bytes of items that wait for all nodes.
pub const MAX_BYTES: usize = 64 << 20;

/// Nodes with streams.
pub const MAX_PEERS: usize = 1024;

/// Longest delay of an acknowledgement. Items that leave before carry it.
const ACK_AFTER: Duration = Duration::from_millis(20);

closed_set! {
    /// Reason to drop an item before it is sent.
    pub enum ItemDrop {
        /// Over [`MAX_ITEM`].
        TooLarge = "too_large",
        /// Too many wait, and those before are being given back.
        QueueFull = "queue_full",
        /// [`MAX_PEERS`] nodes are live, and this is another one.
        TooManyNodes = "too_many_nodes",
        /// This node stops.
        Stopping = "stopping",
    }
}

/// Event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// The next items of a node.
    Items(NodeName, Vec<Item>),
    /// The streams to and from a node were reset. These items were not acknowledged.
    Reset(NodeName, Vec<Item>),
}

/// Counts of items and resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkTotals {
    /// Items that were sent, each once.
    pub sent: u64,
    /// Items that were sent again.
    pub resent: u64,
    /// Items that were delivered to this node.
    pub received: u64,
    /// Items that were given back.
    pub returned: u64,
    /// Resets.
    pub resets: u64,
}

/// Streams to and from all other nodes, at most [`MAX_PEERS`].
#[derive(Debug, Default)]
pub struct Links {
    peers: BTreeMap<NodeName, Peer>,
    /// Bytes of items in all queues.
    bytes: usize,
    is_connected: bool,
    is_closed: bool,
    events: VecDeque<LinkEvent>,
    totals: LinkTotals,
}

/// Streams to and from one node.
#[derive(Debug, Default)]
struct Peer {
    /// Process of the node that was heard last.
    run: Option<u64>,
    presence: Reach,
    out: Outgoing,
    incoming: Incoming,
    /// Time at which an acknowledgement must leave.
    ack_at: Option<Duration>,
    /// Whether a reset waits among the events.
    is_returning: bool,
}

/// Whether a node can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reach {
    /// It was never heard, or has died or stopped.
    #[default]
    Down,
    /// It has been silent for some seconds.
    Suspect,
    Live,
}

/// Stream from a node.
#[derive(Debug, Default)]
struct Incoming {
    /// Its number; 0: none was heard. Lower ones have ended.
    stream: u64,
    /// Number of the last item that came.
    last: u64,
    /// Whether items of it may have come since the last reset.
    is_used: bool,
}

impl Links {
    /// Returns streams to nobody, without a connection to the bus.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts so far.
    #[must_use]
    pub fn totals(&self) -> LinkTotals {
        self.totals
    }

    /// Queues an item for a node. If too much waits for it, its streams are reset.
    ///
    /// # Errors
    /// The reason for which the item was dropped.
    pub fn send(&mut self, to: &NodeName, item: Item) -> Result<(), ItemDrop> {
        if self.is_closed {
            return Err(ItemDrop::Stopping);
        }
        let size = item.size();
        if size > MAX_ITEM {
            return Err(ItemDrop::TooLarge);
        }
        let is_full = self.bytes + size > MAX_BYTES;
        let Some(peer) = self.peer(to) else { return Err(ItemDrop::TooManyNodes) };
        let is_full = is_full || peer.out.len() >= MAX_ITEMS || peer.out.bytes() + size > MAX_PEER_BYTES;
        if is_full && peer.is_returning {
            return Err(ItemDrop::QueueFull);
        }
        peer.out.push(item);
        self.bytes += size;
        if is_full {
            self.reset(to);
        }
        Ok(())
    }

    /// Notes that the process `run` of a node is heard for the first time, or again: it may have
    /// missed what was sent.
    pub fn up(&mut self, name: &NodeName, run: u64) {
        let Some(peer) = self.peer(name) else { return };
        if peer.run.is_some_and(|before| before != run) {
            if peer.is_used() {
                self.reset(name);
            }
            let Some(peer) = self.peers.get_mut(name) else { return };
            peer.incoming = Incoming::default();
            peer.ack_at = None;
            peer.out.needs_no_announcement();
        }
        let Some(peer) = self.peers.get_mut(name) else { return };
        peer.run = Some(run);
        peer.presence = Reach::Live;
        peer.out.rewind();
    }

    /// Notes that a node has been silent for some seconds.
    pub fn suspect(&mut self, name: &NodeName) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.presence = Reach::Suspect;
        }
    }

    /// Notes that a node has died or stopped.
    pub fn down(&mut self, name: &NodeName) {
        let Some(peer) = self.peers.get_mut(name) else { return };
        peer.presence = Reach::Down;
        if peer.is_used() {
            self.reset(name);
        }
    }

    /// Notes whether the bus is there.
    pub fn connected(&mut self, is_connected: bool) {
        self.is_connected = is_connected;
        self.peers.values_mut().for_each(|peer| peer.out.rewind());
    }

    /// Ends all streams, because this node stops.
    pub fn close(&mut self) {
        *self = Self { is_closed: true, totals: self.totals, ..Self::default() };
    }

    /// Takes a segment that the process `run` of a node sent to this one.
    pub fn receive(&mut self, now: Duration, from: &NodeName, run: u64, segment: Segment) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        if peer.run != Some(run) || peer.presence == Reach::Down {
            return;
        }
        let Segment { stream, first, items, ack, .. } = segment;
        let mut unsent = None;
        if let Some(Ack { stream, n }) = ack {
            let before = peer.out.bytes();
            if stream > peer.out.stream() {
                unsent = Some(peer.out.restart(stream));
            } else if stream == peer.out.stream() {
                peer.out.acknowledge(now, n);
            }
            self.bytes -= before - peer.out.bytes();
        }
        let incoming = &mut peer.incoming;
        if stream > incoming.stream {
            if incoming.is_used {
                unsent = Some(unsent.unwrap_or_default());
            }
            *incoming = Incoming { stream, ..Incoming::default() };
        }
        if let Some(unsent) = unsent {
            incoming.is_used = false;
            peer.is_returning = true;
            self.totals.resets += 1;
            self.totals.returned += unsent.len() as u64;
            self.events.push_back(LinkEvent::Reset(from.clone(), unsent));
        }
        if first == 0 {
            return;
        }
        peer.ack_at.get_or_insert(now + ACK_AFTER);
        if stream < incoming.stream {
            return;
        }
        incoming.is_used = true;
        // Items that came before lead, unless some are missing.
        let known = (incoming.last + 1).checked_sub(first).and_then(|known| usize::try_from(known).ok());
        let Some(known) = known.filter(|known| *known < items.len()) else { return };
        let next: Vec<_> = items.into_iter().skip(known).collect();
        incoming.last += next.len() as u64;
        self.totals.received += next.len() as u64;
        self.events.push_back(LinkEvent::Items(from.clone(), next));
    }

    /// Returns the segments to send now, with the runs of their receivers.
    pub fn poll(&mut self, now: Duration) -> Vec<Segment> {
        let mut segments = Vec::new();
        if !self.is_connected {
            return segments;
        }
        for (name, peer) in &mut self.peers {
            let (Some(to_run), Reach::Live) = (peer.run, peer.presence) else { continue };
            let ack = peer.incoming.ack();
            let of = |stream, first, items| Segment { to: name.clone(), to_run, stream, first, items, ack };
            let stream = peer.out.stream();
            while let Some((first, items)) = peer.out.next(now, &mut self.totals) {
                peer.ack_at = None;
                segments.push(of(stream, first, items));
            }
            if peer.ack_at.is_some_and(|at| at <= now) {
                peer.ack_at = None;
                segments.push(of(stream, 0, Vec::new()));
            }
        }
        segments
    }

    /// Time at which [`Links::poll`] must be called again, if no item comes or is sent before.
    #[must_use]
    pub fn next_poll(&self) -> Option<Duration> {
        let live = self.peers.values().filter(|peer| peer.presence == Reach::Live);
        live.filter_map(|peer| peer.out.next_timeout().into_iter().chain(peer.ack_at).min())
            .min()
            .filter(|_| self.is_connected)
    }

    /// Takes the next event.
    pub fn next_event(&mut self) -> Option<LinkEvent> {
        let event = self.events.pop_front()?;
        if let LinkEvent::Reset(name, _) = &event
            && let Some(peer) = self.peers.get_mut(name)
        {
            peer.is_returning = false;
        }
        Some(event)
    }

    /// Returns the streams to and from a node, which may be new. `None` if there are too many.
    fn peer(&mut self, name: &NodeName) -> Option<&mut Peer> {
        if !self.peers.contains_key(name) && self.peers.len() >= MAX_PEERS {
            let down = self.peers.iter().filter(|(_, peer)| peer.presence == Reach::Down);
            let (other, _) = down.min_by_key(|(_, peer)| peer.out.len())?;
            let other = other.clone();
            self.down(&other);
            self.peers.remove(&other);
        }
        Some(self.peers.entry(name.clone()).or_default())
    }

    /// Gives back all items without an acknowledgement, and takes no more of the current stream in
    /// the other direction.
    fn reset(&mut self, name: &NodeName) {
        let Some(peer) = self.peers.get_mut(name) else { return };
        self.bytes -= peer.out.bytes();
        let unsent = peer.out.restart(peer.out.stream().saturating_add(1));
        peer.out.announce();
        peer.incoming.cut();
        peer.is_returning = true;
        self.totals.resets += 1;
        self.totals.returned += unsent.len() as u64;
        self.events.push_back(LinkEvent::Reset(name.clone(), unsent));
    }
}

impl Peer {
    /// Whether the peer may have to do with an item since the last reset.
    fn is_used(&self) -> bool {
        self.out.is_used() || self.incoming.is_used
    }
}

impl Incoming {
    fn ack(&self) -> Option<Ack> {
        (self.stream > 0).then_some(Ack { stream: self.stream, n: self.last })
    }

    /// Takes nothing more of the stream.
    fn cut(&mut self) {
        if self.stream > 0 {
            *self = Self { stream: self.stream.saturating_add(1), ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests;
