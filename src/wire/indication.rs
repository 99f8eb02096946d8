//! What a payload is wrapped in on its way to a client: ChannelData or a Data indication (RFC 8656 sections 11.3, 12.7).

use std::net::SocketAddr;

use stun::attributes::{ATTR_DATA, ATTR_XOR_PEER_ADDRESS};
use stun::message::{CLASS_INDICATION, METHOD_DATA, MessageType};

use super::attributes::{HEAD_MAX, length_field, write_head};
use super::channel_data::CHANNEL_HEADER;
use super::message::{ATTRIBUTE_HEADER, HEADER};
use super::{ChannelNumber, Span, TransactionId, padded};

/// Room to keep in front of a received payload: a STUN header, XOR-PEER-ADDRESS with an IPv6 address and the header of
/// DATA.
pub const HEADROOM: usize = HEAD_MAX + ATTRIBUTE_HEADER;

/// Room to keep behind a received payload: the padding of DATA.
pub const TAILROOM: usize = 3;

/// How a payload reaches a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// On a bound channel, under a header of four bytes.
    Channel(ChannelNumber),
    /// In a Data indication, which names its peer.
    Data {
        /// Whom it came from.
        peer: SocketAddr,
        /// Different for each.
        transaction: TransactionId,
    },
}

impl Encapsulation {
    /// Whether a payload of this many bytes still fits into one message.
    #[must_use]
    pub fn fits(&self, payload: usize) -> bool {
        match self {
            Self::Channel(_) => payload <= usize::from(u16::MAX),
            // The length field of the indication counts attributes and padding, and is a multiple of four.
            Self::Data { .. } => payload <= usize::from(u16::MAX) - HEADROOM,
        }
    }

    /// Writes the header into the [`HEADROOM`] in front of `payload` and zero padding into the [`TAILROOM`] behind it;
    /// returns where the message lies. The payload itself stays where it is.
    ///
    /// `None` if the room is missing or the payload does not fit: the datagram is then dropped.
    #[must_use]
    pub fn wrap(&self, buffer: &mut [u8], payload: Span) -> Option<Span> {
        let mut header = [0; HEADROOM];
        let length = self.write_header(&mut header, payload.len())?;
        let start = payload.start.checked_sub(length)?;
        let end = match self {
            Self::Channel(_) => payload.end,
            Self::Data { .. } => payload.start + padded(payload.len()),
        };
        buffer.get_mut(payload.end..end)?.fill(0);
        buffer.get_mut(start..payload.start)?.copy_from_slice(header.get(..length)?);
        Some(Span { start, end })
    }

    /// Writes the header of a payload of `length` bytes to the front of `out`; returns how long the header is.
    fn write_header(&self, out: &mut [u8; HEADROOM], length: usize) -> Option<usize> {
        // From here on every length fits its field.
        if !self.fits(length) {
            return None;
        }
        match *self {
            Self::Channel(number) => {
                out[..2].copy_from_slice(&number.get().to_be_bytes());
                out[2..CHANNEL_HEADER].copy_from_slice(&length_field(length));
                Some(CHANNEL_HEADER)
            }
            Self::Data { peer, transaction } => {
                let kind = MessageType::new(METHOD_DATA, CLASS_INDICATION);
                let end =
                    write_head(out, kind, transaction, (ATTR_XOR_PEER_ADDRESS, peer)) + ATTRIBUTE_HEADER;
                out[2..4].copy_from_slice(&length_field(end - HEADER + padded(length)));
                out[end - 4..end - 2].copy_from_slice(&ATTR_DATA.0.to_be_bytes());
                out[end - 2..end].copy_from_slice(&length_field(length));
                Some(end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn channel_data_is_written_in_front_of_its_payload() {
        let mut buffer = *b"....hello...";
        let channel = Encapsulation::Channel(ChannelNumber::new(0x4abc).unwrap());
        let message = channel.wrap(&mut buffer, Span { start: 4, end: 9 }).unwrap();
        assert_eq!(&buffer[message.range()], b"\x4a\xbc\x00\x05hello");
    }

    #[test]
    fn without_room_nothing_is_written() {
        let mut buffer = *b"...hello";
        let channel = Encapsulation::Channel(ChannelNumber::new(0x4000).unwrap());
        assert_eq!(channel.wrap(&mut buffer, Span { start: 3, end: 8 }), None);
        let data = Encapsulation::Data { peer: "192.0.2.1:9".parse().unwrap(), transaction: [0; 12] };
        assert_eq!(data.wrap(&mut buffer, Span { start: 3, end: 8 }), None);
        assert_eq!(&buffer, b"...hello");
    }

    #[test]
    fn a_payload_too_long_for_the_length_field_does_not_fit() {
        let peer = "[2001:db8::1]:9".parse().unwrap();
        let data = Encapsulation::Data { peer, transaction: [0; 12] };
        let longest = usize::from(u16::MAX) - HEADROOM;
        let mut buffer = vec![0; HEADROOM + longest + 1 + TAILROOM];
        assert!(data.wrap(&mut buffer, Span { start: HEADROOM, end: HEADROOM + longest }).is_some());
        assert!(data.wrap(&mut buffer, Span { start: HEADROOM, end: HEADROOM + longest + 1 }).is_none());
    }

    proptest! {
        #[test]
        fn a_data_indication_reads_back(
            payload in proptest::collection::vec(any::<u8>(), 0..50),
            peer: SocketAddr,
            transaction: TransactionId,
        ) {
            let peer = SocketAddr::new(peer.ip(), peer.port());
            // Stale bytes all around: none may show in the padding.
            let mut buffer = vec![0xEE; HEADROOM];
            buffer.extend_from_slice(&payload);
            buffer.extend_from_slice(&[0xEE; TAILROOM]);
            let span = Span { start: HEADROOM, end: HEADROOM + payload.len() };
            let message = Encapsulation::Data { peer, transaction }.wrap(&mut buffer, span).unwrap();
            let bytes = &buffer[message.range()];
            let message = Message::parse(bytes).unwrap();
            prop_assert_eq!(message.method(), METHOD_DATA);
            prop_assert_eq!(message.class(), CLASS_INDICATION);
            prop_assert_eq!(message.transaction(), transaction);
            prop_assert_eq!(message.attributes().peer_address(), Ok(Some(peer)));
            prop_assert_eq!(message.attributes().data().map(|data| &bytes[data.range()]), Some(&payload[..]));
            prop_assert!(bytes[bytes.len() - (padded(payload.len()) - payload.len())..].iter().all(|&b| b == 0));
        }
    }
}
