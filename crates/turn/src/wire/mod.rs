//! Stateless parsers and writers: STUN (RFC 8489), TURN's attributes and ChannelData (RFC 8656).
//!
//! Input is parsed once, into views that borrow it. Access to a parsed view cannot fail or panic,
//! except for attributes whose value is malformed.
//!
//! Payloads are never copied. A [`Span`] locates the payload in the datagram that it came in, and
//! its new [`Header`] is sent beside it.

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

/// Range of bytes in a datagram. Unlike `std::ops::Range` it is `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset one past the last byte.
    pub end: usize,
}

impl Span {
    /// Number of bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether the range is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.end == self.start
    }

    /// Returns the range for indexing.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start..self.end
    }
}

/// Protocol of a datagram by its first byte (RFC 7983; for ChannelData see [`ChannelNumber`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// STUN message: 0 to 3.
    Stun,
    /// ChannelData message: 64 to 127.
    ChannelData,
    /// Any other protocol, such as DTLS (20 to 63), or an empty datagram.
    Other,
}

/// Demuxes a datagram by its first byte.
#[must_use]
pub fn classify(datagram: &[u8]) -> Kind {
    match datagram.first() {
        Some(0..=3) => Kind::Stun,
        Some(64..=127) => Kind::ChannelData,
        _ => Kind::Other,
    }
}

/// Bytes of an attribute with a value of `length` bytes, including header and padding.
#[must_use]
pub const fn attribute_size(length: usize) -> usize {
    message::ATTRIBUTE_HEADER + padded(length)
}

/// `length` rounded up to a multiple of four, to which STUN attributes and ChannelData over streams
/// are padded.
const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}
