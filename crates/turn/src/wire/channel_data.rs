//! ChannelData messages (RFC 8656 section 12.4).

use super::Span;

/// Bytes of a ChannelData header.
pub(super) const CHANNEL_HEADER: usize = 4;

/// Channel number, 0x4000 to 0x7FFF.
///
/// RFC 8656 section 12 limits new clients to 0x4000 to 0x4FFF. That keeps other first bytes free
/// where protocols share a port (RFC 7983). Clients of RFC 5766, including coturn's, pick from its
/// whole range. They are served, because no other protocol uses those first bytes on a TURN
/// server's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// Checks a number; `None` outside 0x4000 to 0x7FFF.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if 0x4000 <= number && number <= 0x7FFF { Some(Self(number)) } else { None }
    }

    /// Number as an integer.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Parsed ChannelData message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelData {
    /// Channel number.
    pub number: ChannelNumber,
    /// Payload, as a span of the datagram.
    pub payload: Span,
}

impl ChannelData {
    /// Parses a datagram. `None` if it is truncated, over-long, or its channel number is out of
    /// range.
    ///
    /// Up to three bytes of padding may follow the payload (RFC 8656 section 12.5).
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let (&[n0, n1, l0, l1], body) = datagram.split_first_chunk::<CHANNEL_HEADER>()?;
        let number = ChannelNumber::new(u16::from_be_bytes([n0, n1]))?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let padding = body.len().checked_sub(length)?;
        (padding < 4)
            .then_some(Self { number, payload: Span { start: CHANNEL_HEADER, end: CHANNEL_HEADER + length } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_payload_is_where_its_length_says() {
        let number = ChannelNumber::new(0x4001).unwrap();
        let parsed = ChannelData::parse(&[0x40, 0x01, 0, 3, b'a', b'b', b'c']);
        assert_eq!(parsed, Some(ChannelData { number, payload: Span { start: 4, end: 7 } }));
        let empty = ChannelData::parse(&[0x40, 0x01, 0, 0]);
        assert_eq!(empty, Some(ChannelData { number, payload: Span { start: 4, end: 4 } }));
    }

    #[test]
    fn padding_is_at_most_three_bytes() {
        assert!(ChannelData::parse(&[0x40, 0, 0, 1, 9, 0, 0, 0]).is_some());
        assert!(ChannelData::parse(&[0x40, 0, 0, 1, 9, 0, 0, 0, 0]).is_none());
    }

    #[test]
    fn truncated_or_out_of_range_is_none() {
        for bad in [
            &[][..],
            &[0x40],
            &[0x40, 0, 0],
            &[0x40, 0, 0, 1],
            &[0x40, 0, 0xFF, 0xFF, 1],
            &[0x3F, 0, 0, 0],
            &[0x80, 0, 0, 0],
        ] {
            assert_eq!(ChannelData::parse(bad), None, "{bad:02x?}");
        }
    }

    proptest! {
        #[test]
        fn a_span_never_leaves_its_datagram(datagram in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(parsed) = ChannelData::parse(&datagram) {
                prop_assert!(datagram.get(parsed.payload.range()).is_some());
            }
        }
    }
}
