//! Messages that no honest client sends: random bytes, and well-formed messages that were
//! corrupted.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use stun::attributes::{
    ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_REQUESTED_TRANSPORT,
    ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS,
};
use stun::fingerprint::fingerprint_value;

use crate::build::with_stun;
use crate::plan::plans;

/// Bytes of a STUN header.
pub(crate) const HEADER: usize = 20;

/// Returns a message with this type, a matching length field, and these attributes.
pub(crate) fn message(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..2].copy_from_slice(&kind.to_be_bytes());
    bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    bytes.extend(attributes.concat());
    state_length(&mut bytes);
    bytes
}

/// Returns an attribute with padding.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    let mut bytes = [kind.to_be_bytes(), length.to_be_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Returns `bytes` with a valid FINGERPRINT at the end.
pub(crate) fn with_fingerprint(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(attribute(ATTR_FINGERPRINT.0, &[0; 4]));
    state_length(&mut bytes);
    let at = bytes.len() - 8;
    let value = fingerprint_value(&bytes[..at]);
    bytes[at + 4..].copy_from_slice(&value.to_be_bytes());
    bytes
}

/// Any bytes. Some begin like STUN or ChannelData, so that later checks are reached.
pub(crate) fn noise() -> impl Strategy<Value = Vec<u8>> {
    let body = vec(any::<u8>(), 0..120);
    // A quarter of the types have a top bit set.
    let types = || prop_oneof![3 => 0_u16..0x4000, 1 => 0x4000_u16..];
    let stun = (types(), vec((kinds(), vec(any::<u8>(), 0..30)), 0..6)).prop_map(|(kind, attributes)| {
        let attributes: Vec<_> = attributes.iter().map(|(kind, value)| attribute(*kind, value)).collect();
        message(kind, &attributes)
    });
    let unstructured = (types(), body.clone()).prop_map(|(kind, body)| message(kind, &[body]));
    let channel = (0x40_u8..0x50, 0_u8..80, body.clone())
        .prop_map(|(number, length, body)| [vec![number, 0, 0, length], body].concat());
    prop_oneof![body, stun, unstructured, channel]
}

/// Well-formed messages, corrupted up to four times; some end up well-formed again.
pub(crate) fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    (plans(), vec(damage(), 1..5)).prop_map(|(plan, damages)| {
        let mut bytes = with_stun(&plan);
        for damage in damages {
            damage.apply(&mut bytes);
        }
        bytes
    })
}

/// Corruption of a message.
#[derive(Clone, Debug)]
enum Damage {
    FlipBit(Index, u8),
    Truncate(Index),
    Extend(Vec<u8>),
    /// Replaces the length field of the message.
    Length(u16),
    /// Replaces the length field of an attribute.
    AttributeLength(Index, u16),
    /// Appends a copy of an attribute.
    Duplicate(Index),
    /// Appends an attribute, even after MESSAGE-INTEGRITY and FINGERPRINT.
    Append(u16, Vec<u8>),
    /// Moves an attribute to the front, so that the last attribute may no longer be last.
    ToFront(Index),
    /// Appends a FINGERPRINT that is valid for the message so far.
    Fingerprint,
}

fn damage() -> impl Strategy<Value = Damage> {
    let short = || vec(any::<u8>(), 0..24);
    prop_oneof![
        (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Damage::FlipBit(at, bit)),
        any::<Index>().prop_map(Damage::Truncate),
        short().prop_map(Damage::Extend),
        prop_oneof![0_u16..200, any::<u16>()].prop_map(Damage::Length),
        (any::<Index>(), prop_oneof![0_u16..40, any::<u16>()])
            .prop_map(|(which, length)| Damage::AttributeLength(which, length)),
        any::<Index>().prop_map(Damage::Duplicate),
        (kinds(), short()).prop_map(|(kind, value)| Damage::Append(kind, value)),
        (select(vec![ATTR_MESSAGE_INTEGRITY.0, ATTR_MESSAGE_INTEGRITY_SHA256.0]), vec(any::<u8>(), 20..=20))
            .prop_map(|(kind, value)| Damage::Append(kind, value)),
        any::<Index>().prop_map(Damage::ToFront),
        Just(Damage::Fingerprint),
    ]
}

/// Attribute types, mostly those whose position or size matters.
fn kinds() -> impl Strategy<Value = u16> {
    let special = select(vec![
        ATTR_MESSAGE_INTEGRITY.0,
        ATTR_MESSAGE_INTEGRITY_SHA256.0,
        ATTR_FINGERPRINT.0,
        ATTR_XOR_PEER_ADDRESS.0,
        ATTR_USERNAME.0,
        ATTR_REQUESTED_TRANSPORT.0,
        0x8020,
    ]);
    prop_oneof![4 => special, 2 => 0x0C_u16..0x23, 1 => any::<u16>()]
}

impl Damage {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::FlipBit(at, bit) => {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << bit;
                }
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Self::Extend(more) => bytes.extend(more),
            Self::Length(length) => {
                if let Some(field) = bytes.get_mut(2..4) {
                    field.copy_from_slice(&length.to_be_bytes());
                }
            }
            Self::AttributeLength(which, length) => {
                if let Some((start, _)) = pick(bytes, which) {
                    bytes[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
                }
            }
            Self::Duplicate(which) => {
                if let Some((start, end)) = pick(bytes, which) {
                    bytes.extend_from_within(start..end);
                    state_length(bytes);
                }
            }
            Self::Append(kind, value) => {
                bytes.extend(attribute(kind, &value));
                state_length(bytes);
            }
            Self::ToFront(which) => {
                if let Some((start, end)) = pick(bytes, which) {
                    bytes[HEADER..end].rotate_right(end - start);
                }
            }
            Self::Fingerprint => *bytes = with_fingerprint(std::mem::take(bytes)),
        }
    }
}

/// Returns the start and end of one of the attributes.
fn pick(bytes: &[u8], which: Index) -> Option<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = HEADER;
    while let Some(&[_, _, l0, l1]) = bytes.get(at..at + 4) {
        let end = at + 4 + usize::from(u16::from_be_bytes([l0, l1])).next_multiple_of(4);
        if end > bytes.len() {
            break;
        }
        found.push((at, end));
        at = end;
    }
    (!found.is_empty()).then(|| *which.get(&found))
}

/// Corrects the length field, if the message has one.
fn state_length(bytes: &mut [u8]) {
    if let Some(body) = bytes.len().checked_sub(HEADER) {
        bytes[2..4].copy_from_slice(&u16::try_from(body).unwrap().to_be_bytes());
    }
}
