//! Gathering: datagrams for many sockets, those of one flow joined to messages.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::flush::Report;
use super::prepare::Prepared;
use super::segmentation::Segmentation;

/// Messages that are gathered at most, and datagrams, and bytes of headers: what the rounds of a
/// busy server come to.
const MESSAGES: usize = 256;
const PARTS: usize = 4096;
const HEADERS: usize = 128 * 1024;

/// Datagrams of one message. The kernel takes 64 (UDP_MAX_SEGMENTS), but some of its versions count
/// the bytes of the UDP header as if they were a datagram's.
const JOINED_MAX: u16 = 63;

/// Bytes of one message, a little below what an IPv4 packet holds.
const MESSAGE_MAX: usize = 65_000;

/// Bytes of the datagrams of a joined message: what any path carries whole, which is what browsers
/// send. The kernel refuses to segment into larger ones than the device takes; and over IPv4
/// without DF it numbers joined datagrams in a way that does not survive being fragmented (its IDs
/// overlap with those of the next message).
const SEGMENT_MAX: usize = 1_280 - 20 - 8;

/// Messages that a datagram looks back at for others of its flow. They are nearly always the last
/// ones, or a batch away.
const NEAR: usize = 16;

/// Destination of a datagram, with its source and the fields of its IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Address to send to.
    pub address: SocketAddr,
    /// Address to send from, where the socket is bound to a wildcard.
    pub source: Option<IpAddr>,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Whether to send with DF, or over IPv6 without a Fragment header.
    pub dont_fragment: bool,
}

/// One datagram to send.
#[derive(Clone, Debug)]
pub struct Transmit<'a, S, T> {
    /// Name of the socket to send from.
    pub socket: S,
    /// Tag that comes back with the [`Outcome`](super::Outcome).
    pub tag: T,
    /// Destination of the datagram.
    pub destination: Destination,
    /// Bytes in front of the payload, which the outbox copies.
    pub header: &'a [u8],
    /// Range of the payload in the bytes that [`Outbox::flush`] is given.
    pub payload: Range<usize>,
    /// Number of zero bytes behind the payload, three at most.
    pub padding: usize,
}

/// Datagrams that wait to be sent. `S` names a socket, `T` tags a datagram for its
/// [`Outcome`](super::Outcome). It does not leave its thread.
pub struct Outbox<S, T> {
    /// Headers of all datagrams.
    pub(super) headers: Vec<u8>,
    /// Bytes of all datagrams.
    pub(super) bytes: usize,
    pub(super) parts: Vec<Part>,
    pub(super) messages: Vec<Message<S, T>>,
    /// Places of the messages, in the order in which they are sent.
    pub(super) order: Vec<u16>,
    pub(super) segmentation: Segmentation,
    pub(super) prepared: Prepared<T>,
    pub(super) report: Report<T>,
}

/// One datagram: a header in the outbox, a payload elsewhere, zero padding.
pub(super) struct Part {
    pub(super) header: Range<usize>,
    pub(super) payload: Range<usize>,
    pub(super) padding: usize,
    /// Place of the next datagram of its message.
    pub(super) next: u16,
}

/// Datagrams of one flow in their order, all as long as the first but the last, which may be
/// shorter.
pub(super) struct Message<S, T> {
    pub(super) socket: S,
    pub(super) tag: T,
    pub(super) destination: Destination,
    pub(super) first: u16,
    last: u16,
    pub(super) count: u16,
    /// Bytes of the first datagram.
    pub(super) size: usize,
    bytes: usize,
    /// Whether no further datagram may join.
    is_closed: bool,
    /// Whether the kernel has refused to segment it.
    pub(super) is_refused: bool,
}

impl<S: Copy + Ord, T: Copy + PartialEq> Outbox<S, T> {
    /// Creates an empty outbox, which joins datagrams if the kernel can segment.
    #[must_use]
    pub fn new(may_segment: bool) -> Self {
        Self {
            headers: Vec::with_capacity(HEADERS),
            bytes: 0,
            parts: Vec::with_capacity(PARTS),
            messages: Vec::with_capacity(MESSAGES),
            order: Vec::with_capacity(MESSAGES),
            segmentation: Segmentation::new(may_segment),
            prepared: Prepared::new(MESSAGES, PARTS),
            report: Report::new(PARTS),
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
    pub fn has_room(&self, header: usize) -> bool {
        self.parts.len() < PARTS && self.messages.len() < MESSAGES && self.headers.len() + header <= HEADERS
    }

    /// Adds a datagram: it joins the latest message of its flow, or begins a message of its own.
    pub fn push(&mut self, transmit: Transmit<'_, S, T>) {
        let Transmit { socket, tag, destination, header, payload, padding } = transmit;
        let start = self.headers.len();
        self.headers.extend_from_slice(header);
        let size = header.len() + payload.len() + padding;
        self.bytes += size;
        let part = place(self.parts.len());
        self.parts.push(Part { header: start..self.headers.len(), payload, padding, next: part });

        // The latest of its flow, whatever its tag and its marks: to join an earlier one would
        // reorder the flow.
        let mut near = self.messages.iter_mut().rev().take(NEAR);
        let latest = near
            .find(|message| message.socket == socket && message.destination.address == destination.address);
        if let Some(message) = latest
            && (message.destination, message.tag) == (destination, tag)
            && message.takes(size)
        {
            self.parts[usize::from(message.last)].next = part;
            message.append(part, size);
            return;
        }
        let may_join = self.segmentation.is_possible() && !destination.dont_fragment;
        self.messages.push(Message {
            socket,
            tag,
            destination,
            first: part,
            last: part,
            count: 1,
            size,
            bytes: size,
            is_closed: !(may_join && (1..=SEGMENT_MAX).contains(&size)),
            is_refused: false,
        });
    }

    /// Removes everything that was gathered.
    pub(super) fn clear(&mut self) {
        self.headers.clear();
        self.bytes = 0;
        self.parts.clear();
        self.messages.clear();
    }
}

impl<S, T> Message<S, T> {
    /// Whether a datagram of so many bytes may join.
    fn takes(&self, size: usize) -> bool {
        let fits = self.count < JOINED_MAX && self.bytes + size <= MESSAGE_MAX;
        !self.is_closed && fits && (1..=self.size).contains(&size)
    }

    /// Adds a datagram behind the last one. A shorter one closes the message.
    fn append(&mut self, part: u16, size: usize) {
        self.last = part;
        self.count += 1;
        self.bytes += size;
        self.is_closed = size < self.size;
    }
}

/// A place in a list that never grows so long.
fn place(index: usize) -> u16 {
    u16::try_from(index).expect("has_room keeps the lists short")
}
