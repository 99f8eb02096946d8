//! Gathering datagrams for many sockets, and joining those of one flow to messages.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::flush::Report;
use super::prepare::Prepared;
use super::segmentation::Segmentation;

/// Maximum numbers of messages, of datagrams and of header bytes. A round of a busy server stays
/// within them.
const MESSAGES: usize = 256;
const PARTS: usize = 4096;
const HEADERS: usize = 128 * 1024;

/// Maximum number of datagrams in a message. The kernel takes 64 (UDP_MAX_SEGMENTS), but some
/// versions count the bytes of the UDP header as a datagram's.
const JOINED_MAX: u16 = 63;

/// Maximum bytes of a message, a little below the capacity of an IPv4 packet.
const MESSAGE_MAX: usize = 65_000;

/// Maximum bytes of a datagram that may join a message. Any path carries such datagrams whole, and
/// browsers send them.
///
/// Larger ones stay alone for two reasons. The kernel does not segment into datagrams that exceed
/// the device's packet size. And over IPv4 without DF, the IP IDs of joined datagrams overlap with
/// those of the next message, so their fragments cannot be told apart.
const SEGMENT_MAX: usize = 1_280 - 20 - 8;

/// Number of recent messages that `push` searches for the flow of a datagram. The flow's latest
/// message is nearly always the last one, or one batch away.
const NEAR: usize = 16;

/// Destination of a datagram, its source, and fields of its IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Address and port to send to.
    pub address: SocketAddr,
    /// Address to send from, if the socket is bound to a wildcard address.
    pub source: Option<IpAddr>,
    /// DSCP and ECN, as one byte.
    pub traffic_class: u8,
    /// Whether to set DF, or over IPv6 to send without a Fragment header.
    pub dont_fragment: bool,
}

/// One datagram to send.
#[derive(Clone, Debug)]
pub struct Transmit<'a, S, T> {
    /// Name of the socket to send from. [`Outbox::flush`] maps it to a socket.
    pub socket: S,
    /// Tag that the [`Outcome`](super::Outcome) returns.
    pub tag: T,
    /// Destination of the datagram.
    pub destination: Destination,
    /// Bytes before the payload, which the outbox copies.
    pub header: &'a [u8],
    /// Range of the payload in the bytes that [`Outbox::flush`] takes.
    pub payload: Range<usize>,
    /// Number of zero bytes after the payload, three at most.
    pub padding: usize,
}

/// Queue of datagrams to send. `S` names a socket, and `T` tags a datagram for its
/// [`Outcome`](super::Outcome). An outbox is not `Send`.
pub struct Outbox<S, T> {
    /// Headers of all datagrams, one after the other.
    pub(super) headers: Vec<u8>,
    /// Bytes of all datagrams.
    pub(super) bytes: usize,
    pub(super) parts: Vec<Part>,
    pub(super) messages: Vec<Message<S, T>>,
    /// Indices of the messages, in the order in which they are sent.
    pub(super) order: Vec<u16>,
    pub(super) segmentation: Segmentation,
    pub(super) prepared: Prepared<T>,
    pub(super) report: Report<T>,
}

/// One datagram: a header in the outbox, a payload elsewhere, and zero padding.
pub(super) struct Part {
    pub(super) header: Range<usize>,
    pub(super) payload: Range<usize>,
    pub(super) padding: usize,
    /// Index of the next datagram in its message.
    pub(super) next: u16,
}

/// Datagrams of one flow in order. All are as long as the first; only the last may be shorter.
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
    /// Whether the kernel refused to segment it.
    pub(super) is_refused: bool,
}

impl<S: Copy + Ord, T: Copy + PartialEq> Outbox<S, T> {
    /// Creates an empty outbox, which joins datagrams if `may_segment`.
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

    /// Whether the outbox holds no datagrams.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes of all queued datagrams, with headers and padding.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one more datagram with `header` bytes of header fits. If not, call
    /// [`flush`](Self::flush) first.
    #[must_use]
    pub fn has_room(&self, header: usize) -> bool {
        self.parts.len() < PARTS && self.messages.len() < MESSAGES && self.headers.len() + header <= HEADERS
    }

    /// Adds a datagram: it joins the latest message of its flow, or begins a new message.
    pub fn push(&mut self, transmit: Transmit<'_, S, T>) {
        let Transmit { socket, tag, destination, header, payload, padding } = transmit;
        let start = self.headers.len();
        self.headers.extend_from_slice(header);
        let size = header.len() + payload.len() + padding;
        self.bytes += size;
        let part = place(self.parts.len());
        self.parts.push(Part { header: start..self.headers.len(), payload, padding, next: part });

        // Find the latest message of the flow, with any tag and traffic class. Joining an earlier
        // one would reorder the flow.
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

    /// Removes all datagrams.
    pub(super) fn clear(&mut self) {
        self.headers.clear();
        self.bytes = 0;
        self.parts.clear();
        self.messages.clear();
    }
}

impl<S, T> Message<S, T> {
    /// Whether a datagram of `size` bytes may join.
    fn takes(&self, size: usize) -> bool {
        let fits = self.count < JOINED_MAX && self.bytes + size <= MESSAGE_MAX;
        !self.is_closed && fits && (1..=self.size).contains(&size)
    }

    /// Appends a datagram. A datagram that is shorter than the first closes the message.
    fn append(&mut self, part: u16, size: usize) {
        self.last = part;
        self.count += 1;
        self.bytes += size;
        self.is_closed = size < self.size;
    }
}

/// Converts an index, which [`Outbox::has_room`] keeps small.
fn place(index: usize) -> u16 {
    u16::try_from(index).expect("has_room keeps the lists short")
}
