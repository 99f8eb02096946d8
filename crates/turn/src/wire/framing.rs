//! Framing of messages in a byte stream (RFC 8489 section 6.2.2, RFC 8656 section 12.5).
//!
//! Over TCP and TLS no delimiter stands between messages; each states its own length. ChannelData
//! is padded there to a multiple of four bytes, which its length field does not count.

use stun::message::MAGIC_COOKIE;

use super::channel_data::CHANNEL_HEADER;
use super::message::HEADER;
use super::{Kind, classify, padded};

/// Bytes of the longest message in a stream: a STUN header and the largest value of its length
/// field.
pub const FRAME_MAX: usize = HEADER + 0xFFFC;

/// Error: the stream has a byte that no message may have there. The rest cannot be framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither STUN nor ChannelData")]
pub struct NotTurn;

/// Returns the length in bytes of the first message in `stream`, including padding. It is at most
/// [`FRAME_MAX`].
///
/// `None` while the header is incomplete.
///
/// # Errors
/// [`NotTurn`] at the first impossible byte.
pub fn frame_length(stream: &[u8]) -> Result<Option<usize>, NotTurn> {
    let length_field =
        |at| stream.get(at..at + 2).map(|field| usize::from(field[0]) << 8 | usize::from(field[1]));
    match classify(stream) {
        Kind::ChannelData => Ok(length_field(2).map(|length| CHANNEL_HEADER + padded(length))),
        Kind::Stun => {
            let cookie = stream.get(4..).unwrap_or_default();
            let length = length_field(2);
            let is_impossible = length.is_some_and(|length| length % 4 != 0)
                || cookie.iter().zip(MAGIC_COOKIE.to_be_bytes()).any(|(&stated, cookie)| stated != cookie);
            if is_impossible { Err(NotTurn) } else { Ok(length.map(|length| HEADER + length)) }
        }
        Kind::Other if stream.is_empty() => Ok(None),
        Kind::Other => Err(NotTurn),
    }
}

/// Zero bytes that follow a message of `length` bytes in a stream.
#[must_use]
pub fn frame_padding(length: usize) -> &'static [u8] {
    &[0; 3][..padded(length) - length]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BINDING: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!";

    #[test]
    fn a_message_says_how_long_it_is() {
        for (stream, length) in [
            (&BINDING[..], 20),
            (&[BINDING, BINDING].concat(), 20),
            (b"\x00\x01\x00\x08\x21\x12\xa4\x42", 28),
            (b"\x00\x01\xff\xfc", FRAME_MAX),
            (b"\x40\x00\x00\x00", 4),
            (b"\x40\x00\x00\x05hello", 12),
            (b"\x7f\xff\xff\xff", 4 + 65_536),
        ] {
            assert_eq!(frame_length(stream), Ok(Some(length)), "{stream:02x?}");
            assert!(length <= FRAME_MAX);
        }
    }

    #[test]
    fn a_header_that_is_not_all_there_says_nothing_yet() {
        for length in 0..4 {
            assert_eq!(frame_length(&BINDING[..length]), Ok(None));
            assert_eq!(frame_length(&b"\x40\x00\x00\x05"[..length]), Ok(None));
        }
    }

    /// Bad input: a garbage stream is rejected at its first impossible byte.
    #[test]
    fn garbage_is_found_out_at_its_first_impossible_byte() {
        for garbage in [
            &b"GET / HTTP/1.1"[..4],
            b"\x16\x03\x01",
            b"\x04",
            b"\xff",
            b"\x80",
            b"\x00\x01\x00\x01",
            b"\x00\x01\x00\x02",
        ] {
            // `G` (0x47) is a possible first byte of ChannelData; the caller must check the
            // content.
            let expected = if garbage[0] == b'G' { Ok(Some(4 + padded(0x5420))) } else { Err(NotTurn) };
            assert_eq!(frame_length(garbage), expected, "{garbage:02x?}");
        }
        for at in 4..8 {
            let mut garbage = BINDING;
            garbage[at] ^= 1;
            assert_eq!(frame_length(&garbage[..at]), Ok(Some(20)));
            assert_eq!(frame_length(&garbage[..=at]), Err(NotTurn));
        }
    }

    proptest! {
        #[test]
        fn more_of_a_stream_never_changes_what_was_said(stream in proptest::collection::vec(any::<u8>(), 0..32)) {
            let mut said = None;
            for length in 0..=stream.len() {
                match (said, frame_length(&stream[..length])) {
                    (None, Ok(now)) => said = now,
                    (Some(before), Ok(now)) => prop_assert_eq!(now, Some(before)),
                    (_, Err(NotTurn)) => {
                        for longer in length..=stream.len() {
                            prop_assert_eq!(frame_length(&stream[..longer]), Err(NotTurn));
                        }
                        break;
                    }
                }
            }
        }
    }
}
