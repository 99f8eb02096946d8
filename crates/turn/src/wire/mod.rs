//! Bytes to values and back, without state: STUN (RFC 8489), TURN's attributes and ChannelData (RFC
//! 8656).
//!
//! Input is parsed once, into views that borrow it; nothing behind a parsed view can fail or panic.
//! Media is never copied: a payload is named by a [`Span`] of the datagram it came in, and its new
//! [`Header`] goes beside it.

mod attributes;
mod binding;
mod channel_data;
mod framing;
mod icmp;
mod indication;
mod integrity;
mod long_term;
mod message;
mod response;

pub use attributes::{AddressFamily, AttributeError, Attributes, ChangeRequest, KNOWN_ATTRIBUTES};
pub use binding::{BINDING_RESPONSE_MAX, write_binding_response, write_discovery_response};
pub use channel_data::{ChannelData, ChannelNumber};
pub use framing::{FRAME_MAX, NotTurn, frame_length, frame_padding};
pub use icmp::{Icmp, write_icmp_indication};
pub use indication::{Encapsulation, Header};
pub use integrity::{Integrity, IntegrityKey};
pub use long_term::{PasswordAlgorithm, userhash};
pub use message::{Attribute, Head, Message, ParseError, TransactionId};
pub use response::{ErrorCode, REPLY_MAX, Reply, Response};

/// A range of bytes in a datagram. Unlike `std::ops::Range` it is `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// How many bytes it covers.
    #[must_use]
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether it covers none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.end == self.start
    }

    /// The bytes it covers, for indexing.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start..self.end
    }
}

/// What a datagram is by its first byte (RFC 7983, and [`ChannelNumber`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 0 to 3: a STUN message.
    Stun,
    /// 64 to 127: a ChannelData message.
    ChannelData,
    /// Anything else, DTLS (20 to 63) included, and the empty datagram.
    Other,
}

/// Tells what a datagram is.
#[must_use]
pub fn classify(datagram: &[u8]) -> Kind {
    match datagram.first() {
        Some(0..=3) => Kind::Stun,
        Some(64..=127) => Kind::ChannelData,
        _ => Kind::Other,
    }
}

/// Bytes of an attribute with a value of `length` bytes, header and padding included.
#[must_use]
pub const fn attribute_size(length: usize) -> usize {
    message::ATTRIBUTE_HEADER + padded(length)
}

/// `length` rounded up to the multiple of four that STUN attributes and ChannelData over streams
/// are padded to.
const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}
