//! Encapsulation of payloads sent to a client: ChannelData or a Data indication (RFC 8656 sections
//! 11.3 and 12.7).

use std::net::SocketAddr;

use stun::attributes::{ATTR_DATA, ATTR_XOR_PEER_ADDRESS};
use stun::message::{CLASS_INDICATION, METHOD_DATA, MessageType};

use super::attributes::{HEAD_MAX, length_field, write_head};
use super::channel_data::CHANNEL_HEADER;
use super::message::{ATTRIBUTE_HEADER, HEADER};
use super::{ChannelNumber, TransactionId, padded};

/// Bytes of the longest [`Header`]: a STUN header, XOR-PEER-ADDRESS with an IPv6 address, and the
/// header of DATA.
const LONGEST: usize = HEAD_MAX + ATTRIBUTE_HEADER;

/// Encapsulation of a payload sent to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// ChannelData on a bound channel, with a header of four bytes.
    Channel(ChannelNumber),
    /// Data indication, which names the peer.
    Data {
        /// Transport address of the peer that sent the payload.
        peer: SocketAddr,
        /// Transaction ID, different for each indication.
        transaction: TransactionId,
    },
}

impl Encapsulation {
    /// Whether a payload of this many bytes fits into one message.
    #[must_use]
    pub fn fits(&self, payload: usize) -> bool {
        match self {
            Self::Channel(_) => payload <= usize::from(u16::MAX),
            // The indication's length field counts attributes and padding, and is a multiple of
            // four.
            Self::Data { .. } => payload <= usize::from(u16::MAX) - LONGEST,
        }
    }

    /// Returns the header and padding for a payload of this many bytes. `None` if it does not fit.
    #[must_use]
    pub fn around(&self, payload: usize) -> Option<Header> {
        // From here on every length fits its field.
        if !self.fits(payload) {
            return None;
        }
        let mut bytes = [0; LONGEST];
        let (length, padding) = match *self {
            Self::Channel(number) => {
                bytes[..2].copy_from_slice(&number.get().to_be_bytes());
                bytes[2..CHANNEL_HEADER].copy_from_slice(&length_field(payload));
                (CHANNEL_HEADER, 0)
            }
            Self::Data { peer, transaction } => {
                let kind = MessageType::new(METHOD_DATA, CLASS_INDICATION);
                let end = write_head(&mut bytes, kind, transaction, (ATTR_XOR_PEER_ADDRESS, peer))
                    + ATTRIBUTE_HEADER;
                bytes[2..4].copy_from_slice(&length_field(end - HEADER + padded(payload)));
                bytes[end - 4..end - 2].copy_from_slice(&ATTR_DATA.0.to_be_bytes());
                bytes[end - 2..end].copy_from_slice(&length_field(payload));
                (end, padded(payload) - payload)
            }
        };
        Some(Header { bytes, length, padding })
    }
}

/// Bytes in front of a payload, and the amount of padding behind it.
///
/// The payload is not moved. A batch of datagrams has no room around each one, so the kernel
/// gathers the message from its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; LONGEST],
    length: usize,
    padding: usize,
}

impl Header {
    /// Bytes in front of the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Number of zero bytes behind the payload, at most three: the padding of DATA.
    ///
    /// ChannelData has padding over streams only, which [`super::frame_padding`] returns.
    #[must_use]
    pub fn padding(&self) -> usize {
        self.padding
    }

    /// Returns the whole message as one buffer.
    #[must_use]
    pub fn with(&self, payload: &[u8]) -> Vec<u8> {
        [self.as_bytes(), payload, &[0; 3][..self.padding]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn channel_data_has_a_header_of_four_bytes() {
        let channel = Encapsulation::Channel(ChannelNumber::new(0x4abc).unwrap());
        assert_eq!(channel.around(5).unwrap().with(b"hello"), b"\x4a\xbc\x00\x05hello");
    }

    #[test]
    fn a_payload_too_long_for_the_length_field_does_not_fit() {
        let peer = "[2001:db8::1]:9".parse().unwrap();
        let data = Encapsulation::Data { peer, transaction: [0; 12] };
        let longest = usize::from(u16::MAX) - LONGEST;
        assert!(data.around(longest).is_some());
        assert!(data.around(longest + 1).is_none());
        let channel = Encapsulation::Channel(ChannelNumber::new(0x4000).unwrap());
        assert!(channel.around(65_535).is_some());
        assert!(channel.around(65_536).is_none());
    }

    proptest! {
        #[test]
        fn a_data_indication_reads_back(
            payload in proptest::collection::vec(any::<u8>(), 0..50),
            peer: SocketAddr,
            transaction: TransactionId,
        ) {
            let peer = SocketAddr::new(peer.ip(), peer.port());
            let bytes = Encapsulation::Data { peer, transaction }.around(payload.len()).unwrap().with(&payload);
            let message = Message::parse(&bytes).unwrap();
            prop_assert_eq!(message.method(), METHOD_DATA);
            prop_assert_eq!(message.class(), CLASS_INDICATION);
            prop_assert_eq!(message.transaction(), transaction);
            prop_assert_eq!(message.attributes().peer_address(), Ok(Some(peer)));
            prop_assert_eq!(message.attributes().data().map(|data| &bytes[data.range()]), Some(&payload[..]));
            prop_assert!(bytes[bytes.len() - (padded(payload.len()) - payload.len())..].iter().all(|&b| b == 0));
        }
    }
}
