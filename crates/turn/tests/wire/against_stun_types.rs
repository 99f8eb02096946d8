//! Byway's parser against the parser of the `stun-types` crate, which shares no code with `stun`.

use byway_turn::wire::{IntegrityKey, Message, ParseError};
use proptest::prelude::*;
use stun::attributes::{
    ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE, ATTR_REALM,
    ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS,
};
use stun_types::attribute::{Attribute as _, Username, XorSocketAddr};
use stun_types::message::{Message as Theirs, ValidateError};

use crate::build::{CLASSES, credentials, transaction, with_stun, with_stun_types};
use crate::hostile::{HEADER, attribute, message, noise, spoilt, with_fingerprint};
use crate::plan::{self, PASSWORD, Plan, check_reads_as, plans};
use crate::seeds::config;
use crate::{rfc5769, rfc8489};

/// Deliberate differences between the parsers. Byway's follows RFC 8489; a test below shows each
/// difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// `stun-types` accepts bytes after the message if they look like attributes.
    TrailingBytes,
    /// `stun-types` checks the size of either MESSAGE-INTEGRITY only during verification.
    IntegritySize,
    /// `stun-types` sees MESSAGE-INTEGRITY-SHA256 only directly after MESSAGE-INTEGRITY. Byway
    /// skips ignored attributes in between (9).
    Sha256Unseen,
    /// `stun-types` stops at the first attribute that it ignores. Byway checks all attributes, up
    /// to FINGERPRINT (14.7).
    UncheckedTail,
    /// `stun-types` does not see a valid FINGERPRINT after an ignored attribute.
    FingerprintUnseen,
    /// `stun-types` rejects a USERNAME of more than 513 bytes, as in RFC 5389. Section 14.3
    /// requires 763.
    LongUsername,
}

/// Compares both parsers on `bytes`; fails on a difference that is not listed.
fn compare(bytes: &[u8]) -> Result<Vec<Difference>, TestCaseError> {
    match (Message::parse(bytes), Theirs::from_bytes(bytes)) {
        (Ok(ours), Ok(theirs)) => compare_content(&ours, &theirs),
        (Ok(_), Err(error)) => {
            Err(TestCaseError::fail(format!("stun-types rejects a message that Byway accepts: {error}")))
        }
        (Err(_), Err(_)) => Ok(Vec::new()),
        (Err(error), Ok(theirs)) => {
            let stated = HEADER + usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            let difference = if error == ParseError::Length && bytes.len() > stated {
                Difference::TrailingBytes
            } else if is_tail_ignored(&theirs) {
                Difference::UncheckedTail
            } else {
                let size = |kind: u16| theirs.raw_attribute(kind.into()).map(|raw| raw.length());
                let sha256 = [None, Some(16), Some(20), Some(24), Some(28), Some(32)];
                prop_assert_eq!(error, ParseError::Trailer);
                prop_assert!(
                    !matches!(size(ATTR_MESSAGE_INTEGRITY.0), None | Some(20))
                        || !sha256.contains(&size(ATTR_MESSAGE_INTEGRITY_SHA256.0))
                );
                Difference::IntegritySize
            };
            Ok(vec![difference])
        }
    }
}

/// Whether `stun-types` ignores the last of its attributes, and so any error in the rest.
fn is_tail_ignored(theirs: &Theirs<'_>) -> bool {
    let read = theirs.iter_attributes().last();
    let end = read.map_or(HEADER, |(at, a)| at + 4 + usize::from(a.length()).next_multiple_of(4));
    end < theirs.as_bytes().len()
}

fn compare_content(ours: &Message<'_>, theirs: &Theirs<'_>) -> Result<Vec<Difference>, TestCaseError> {
    let mut differences = Vec::new();
    let class = (0..4).find(|&class| CLASSES[usize::from(class)] == theirs.class()).unwrap();
    let kind = plan::message_type(theirs.method().value(), class);
    prop_assert_eq!((ours.method(), ours.class()), (kind.method, kind.class));
    prop_assert_eq!(transaction(ours.transaction()), theirs.transaction_id());

    let their_fingerprint = theirs.has_attribute(ATTR_FINGERPRINT.0.into());
    if ours.head().fingerprint != their_fingerprint {
        prop_assert!(ours.head().fingerprint && is_tail_ignored(theirs));
        differences.push(Difference::FingerprintUnseen);
    }
    for password in [PASSWORD, "another"] {
        // `stun-types` uses the MD5 key for one attribute and the SHA-256 key for the other.
        let keys =
            [IntegrityKey::sha1(&plan::key(password)), IntegrityKey::sha256(&plan::sha256_key(password))];
        let verdict = ours.integrity().map(|integrity| keys.iter().any(|key| integrity.verify(key)));
        let their_verdict = match theirs.validate_integrity(&credentials(password)) {
            Ok(_) => Some(true),
            Err(ValidateError::IntegrityFailed) => Some(false),
            Err(ValidateError::Parse(_)) => None,
        };
        if verdict != their_verdict {
            prop_assert!(is_tail_ignored(theirs) && verdict.is_some());
            differences.push(Difference::Sha256Unseen);
        }
    }
    differences.dedup();

    let ending = [ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_FINGERPRINT];
    let counting: Vec<_> = theirs
        .iter_attributes()
        .map(|(_, raw)| raw)
        .take_while(|raw| ending.iter().all(|kind| kind.0 != raw.get_type().value()))
        .collect();
    let ours_all: Vec<_> = ours.attributes().iter().map(|a| (a.kind.0, a.value)).collect();
    let theirs_all: Vec<_> = counting.iter().map(|a| (a.get_type().value(), &*a.value)).collect();
    prop_assert_eq!(ours_all, theirs_all);

    let first = |kind: u16| counting.iter().find(|raw| raw.get_type().value() == kind);
    prop_assert_eq!(ours.attributes().realm(), first(ATTR_REALM.0).map(|raw| &*raw.value));
    prop_assert_eq!(ours.attributes().nonce(), first(ATTR_NONCE.0).map(|raw| &*raw.value));
    let their_name = first(ATTR_USERNAME.0).map(Username::try_from).transpose();
    match (ours.attributes().username(), their_name) {
        (Ok(Some(name)), Err(_)) if name.len() > 513 => differences.push(Difference::LongUsername),
        (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs.as_ref().map(Username::username)),
        (ours, theirs) => prop_assert!(ours.is_err() && theirs.is_err()),
    }
    let ours_all: Vec<_> = ours.attributes().peer_addresses().map(Result::ok).collect();
    let theirs_all: Vec<_> = counting
        .iter()
        .filter(|raw| raw.get_type().value() == ATTR_XOR_PEER_ADDRESS.0)
        .map(|raw| Some(XorSocketAddr::from_raw(raw).ok()?.addr(theirs.transaction_id())))
        .collect();
    prop_assert_eq!(ours_all, theirs_all);
    Ok(differences)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_theirs_builds_reads_as_it_was_planned(plan in plans()) {
        let bytes = with_stun_types(&plan);
        check_reads_as(&bytes, &plan)?;
        prop_assert_eq!(compare(&bytes)?, []);
        prop_assert_eq!(bytes, with_stun(&plan));
    }

    #[test]
    fn noise_reads_alike(bytes in noise()) {
        compare(&bytes)?;
    }

    #[test]
    fn spoilt_messages_read_alike(bytes in spoilt()) {
        compare(&bytes)?;
    }
}

#[test]
fn the_published_vectors_read_alike() {
    let vectors: [&[u8]; 5] = [
        &rfc5769::REQUEST,
        &rfc5769::RESPONSE_V4,
        &rfc5769::RESPONSE_V6,
        &rfc5769::LONG_TERM_REQUEST,
        &rfc8489::REQUEST,
    ];
    for vector in vectors {
        assert_eq!(compare(vector).unwrap(), []);
    }
}

#[test]
fn each_named_difference_is_one() {
    let integrity = || attribute(ATTR_MESSAGE_INTEGRITY.0, &[0; 20]);
    let software = || attribute(0x8022, b"");
    let bad_fingerprint = || attribute(ATTR_FINGERPRINT.0, &[0; 4]);
    let truncated = vec![0x80, 0x22, 0, 9, 0, 0, 0, 0];
    let username = attribute(ATTR_USERNAME.0, &[b'a'; 763]);
    for (difference, bytes) in [
        (Difference::TrailingBytes, [message(1, &[]), software()].concat()),
        (Difference::IntegritySize, message(1, &[attribute(ATTR_MESSAGE_INTEGRITY.0, &[0; 16])])),
        (Difference::IntegritySize, message(1, &[attribute(ATTR_MESSAGE_INTEGRITY_SHA256.0, &[0; 12])])),
        (Difference::Sha256Unseen, sha256_behind_another()),
        (Difference::UncheckedTail, message(1, &[integrity(), software(), bad_fingerprint()])),
        (Difference::UncheckedTail, message(1, &[integrity(), software(), truncated])),
        (Difference::FingerprintUnseen, with_fingerprint(message(1, &[integrity(), software()]))),
        (Difference::LongUsername, message(1, &[username])),
    ] {
        assert_eq!(compare(&bytes).unwrap(), [difference], "{bytes:02x?}");
    }
}

/// Returns a valid MESSAGE-INTEGRITY, an ignored attribute, and an invalid
/// MESSAGE-INTEGRITY-SHA256.
fn sha256_behind_another() -> Vec<u8> {
    let signed = Plan { signed: true, fingerprint: false, ..Plan::bare() };
    let attributes = with_stun(&signed)[HEADER..].to_vec();
    let sha256 = attribute(ATTR_MESSAGE_INTEGRITY_SHA256.0, &[0; 32]);
    let mut bytes = message(1, &[attributes, attribute(0x8022, b""), sha256]);
    bytes[8..HEADER].fill(0);
    bytes
}
