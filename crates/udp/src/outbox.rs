//! Gathering: datagrams for many sockets, those of one flow joined to messages.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::transmit::{Kernel, Segmentation};

/// Messages that are gathered at most, and datagrams, and bytes of headers: what the rounds of a busy server come to.
const MESSAGES: usize = 256;
const PARTS: usize = 4096;
const OWN: usize = 128 * 1024;

/// Datagrams of one message. The kernel takes 64 (UDP_MAX_SEGMENTS), but some of its versions count the bytes of the UDP
/// header as if they were a datagram's.
const JOINED_MAX: u16 = 63;

/// Bytes of one message, a little below what an IPv4 packet holds.
const MESSAGE_MAX: usize = 65_000;

/// Bytes of the datagrams of a joined message: what any path carries whole, which is what browsers send. The kernel refuses
/// to segment into larger ones than the device takes; and over IPv4 without DF it numbers joined datagrams in a way that
/// does not survive being fragmented (its IDs overlap with those of the next message).
const SEGMENT_MAX: usize = 1_280 - 20 - 8;

/// How far back a datagram looks for others of its flow. They are nearly always the last ones, or a batch away.
const NEAR: usize = 16;

/// How a datagram is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its destination.
    pub to: SocketAddr,
    /// Its source, where the socket is not bound to one address.
    pub from: Option<IpAddr>,
    /// Its DSCP and ECN.
    pub traffic_class: u8,
    /// Nobody is to fragment it.
    pub dont_fragment: bool,
}

/// Datagrams on their way out. `S` names a socket, `T` is what its owner wants to be told of a datagram's fate. It does not
/// leave its thread.
pub struct Outbox<S, T> {
    /// Headers, and what has no other place.
    pub(super) own: Vec<u8>,
    /// Bytes of all datagrams.
    pub(super) bytes: usize,
    pub(super) parts: Vec<Part>,
    pub(super) messages: Vec<Message<S, T>>,
    pub(super) order: Vec<u16>,
    pub(super) segmentation: Segmentation,
    pub(super) kernel: Kernel,
}

/// One datagram: a header in the outbox, a payload elsewhere, zero padding.
pub(super) struct Part {
    pub(super) head: Range<usize>,
    pub(super) payload: Range<usize>,
    pub(super) padding: usize,
    /// The next one of its message.
    pub(super) next: u16,
}

/// Datagrams of one flow in their order, all as long as the first but the last, which may be shorter.
pub(super) struct Message<S, T> {
    pub(super) socket: S,
    pub(super) tag: T,
    pub(super) outgoing: Outgoing,
    pub(super) first: u16,
    last: u16,
    pub(super) count: u16,
    /// Bytes of the first datagram.
    pub(super) size: usize,
    bytes: usize,
    /// Nothing more goes into it.
    is_closed: bool,
    /// The kernel has refused to segment it.
    pub(super) is_refused: bool,
}

impl<S: Copy + Ord, T: Copy + PartialEq> Outbox<S, T> {
    /// An empty outbox, which joins datagrams if the kernel can segment.
    #[must_use]
    pub fn new(may_segment: bool) -> Self {
        Self {
            own: Vec::with_capacity(OWN),
            bytes: 0,
            parts: Vec::with_capacity(PARTS),
            messages: Vec::with_capacity(MESSAGES),
            order: Vec::with_capacity(MESSAGES),
            segmentation: Segmentation::new(may_segment),
            kernel: Kernel::new(MESSAGES, PARTS),
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes of the datagrams that wait, headers included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is room for one more datagram with so many bytes of header; else it is time to
    /// [flush](Self::flush).
    #[must_use]
    pub fn has_room(&self, head: usize) -> bool {
        self.parts.len() < PARTS && self.messages.len() < MESSAGES && self.own.len() + head <= OWN
    }

    /// Puts a datagram in: `head`, which is copied, then what `payload` names in the bytes that [`Self::flush`] is given,
    /// then zero bytes, three at most.
    pub fn push(
        &mut self,
        (socket, tag): (S, T),
        outgoing: Outgoing,
        (head, payload, padding): (&[u8], Range<usize>, usize),
    ) {
        let start = self.own.len();
        self.own.extend_from_slice(head);
        let head = start..self.own.len();
        let size = head.len() + payload.len() + padding;
        self.bytes += size;
        let part = place(self.parts.len());
        self.parts.push(Part { head, payload, padding, next: part });

        // The latest of its flow, however that one is to be sent, or there would be reordering.
        let mut near = self.messages.iter_mut().rev().take(NEAR);
        let latest = near.find(|message| message.socket == socket && message.outgoing.to == outgoing.to);
        let may_join = |message: &&mut Message<S, T>| {
            (message.outgoing, message.tag) == (outgoing, tag) && message.takes(size)
        };
        if let Some(message) = latest.filter(may_join) {
            self.parts[usize::from(message.last)].next = part;
            message.last = part;
            message.count += 1;
            message.bytes += size;
            message.is_closed = size < message.size;
            return;
        }
        let may_grow =
            self.segmentation.is_possible() && !outgoing.dont_fragment && (1..=SEGMENT_MAX).contains(&size);
        self.messages.push(Message {
            socket,
            tag,
            outgoing,
            first: part,
            last: part,
            count: 1,
            size,
            bytes: size,
            is_closed: !may_grow,
            is_refused: false,
        });
    }
}

impl<S, T> Message<S, T> {
    /// Whether a datagram of so many bytes may join.
    fn takes(&self, size: usize) -> bool {
        let fits = self.count < JOINED_MAX && self.bytes + size <= MESSAGE_MAX;
        !self.is_closed && fits && (1..=self.size).contains(&size)
    }
}

/// A place in a list that never grows so long.
fn place(index: usize) -> u16 {
    u16::try_from(index).expect("has_room keeps the lists short")
}
