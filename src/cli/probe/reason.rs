//! Cleans the reason phrase of an error response for `turn::client`, which panics on one that is
//! not UTF-8.
//!
//! That client formats the phrase by a `Display` that fails, and `format!` panics if its argument
//! fails. The probe shows only the code, so the phrase may be altered.

use byway_turn::wire::{Kind, classify};

/// Bytes of a STUN header (RFC 8489 section 5).
const HEADER: usize = 20;
/// Type of the ERROR-CODE attribute (RFC 8489 section 14.8).
const ERROR_CODE: [u8; 2] = [0x00, 0x09];
/// Bytes of an ERROR-CODE before its reason phrase.
const CODE: usize = 4;

/// Replaces non-printable and non-ASCII bytes in every reason phrase of `message`; leaves anything
/// but a STUN message unchanged.
pub(super) fn make_legible(message: &mut [u8]) {
    if classify(message) != Kind::Stun {
        return;
    }
    let mut rest = message.get_mut(HEADER..).unwrap_or_default();
    while let Some((&mut [kind_1, kind_2, length_1, length_2], values)) =
        std::mem::take(&mut rest).split_first_chunk_mut()
    {
        let length = usize::from(u16::from_be_bytes([length_1, length_2])).next_multiple_of(4);
        let (value, next) = values.split_at_mut(length.min(values.len()));
        if [kind_1, kind_2] == ERROR_CODE {
            for byte in value.iter_mut().skip(CODE).filter(|byte| !matches!(**byte, b' '..=b'~')) {
                *byte = b'?';
            }
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &[u8; 28] =
        b"\x01\x13\x00\x08\x21\x12\xa4\x42transaction!\x00\x09\x00\x04\x00\x00\x04\x01";

    #[test]
    fn a_reason_that_is_no_text_becomes_one() {
        let mut message = *b"\x01\x13\x00\x14\x21\x12\xa4\x42transaction!\
                             \x80\x22\x00\x01\xff\0\0\0\
                             \x00\x09\x00\x07\x00\x00\x04\x01\xff\x1bn\0";
        make_legible(&mut message);
        assert_eq!(&message[20..28], b"\x80\x22\x00\x01\xff\0\0\0", "an attribute that is none");
        assert_eq!(&message[28..], b"\x00\x09\x00\x07\x00\x00\x04\x01??n?");
    }

    #[test]
    fn what_is_cut_short_or_no_message_stays_as_it_is() {
        for length in 0..=REFUSED.len() {
            let mut message = *REFUSED;
            make_legible(&mut message[..length]);
            assert_eq!(message, *REFUSED, "{length}");
        }
        let mut lies = *b"\x01\x13\x00\x04\x21\x12\xa4\x42transaction!\x00\x09\xff\xff";
        make_legible(&mut lies);
        assert_eq!(&lies[20..], b"\x00\x09\xff\xff");
        let mut channel_data =
            *b"\x40\x00\x00\x1c________________\x00\x09\x00\x08\x00\x00\x04\x01\xff\xff\xff\xff";
        make_legible(&mut channel_data);
        assert!(channel_data.ends_with(b"\xff\xff\xff\xff"));
    }
}
