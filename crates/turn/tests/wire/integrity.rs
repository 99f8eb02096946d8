//! MESSAGE-INTEGRITY-SHA256 with and without MESSAGE-INTEGRITY (RFC 8489 sections 9, 9.2.4 and
//! 14.6).

use byway_turn::wire::{IntegrityKey, Message, ParseError, Reply, Response};
use proptest::prelude::*;
use proptest::sample::Index;
use stun::attributes::{
    ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_USERNAME,
};
use stun_types::attribute::Attribute as _;
use stun_types::message::{
    IntegrityAlgorithm, Message as Theirs, MessageWrite as _, MessageWriteExt as _, MessageWriteVec,
};

use crate::build::{credentials, with_stun, with_stun_types};
use crate::hostile::{HEADER, attribute, message};
use crate::plan::{PASSWORD, Plan, key, plans, sha256_key};
use crate::seeds::config;

/// Builds a plan with `stun-types` and signs it with MESSAGE-INTEGRITY-SHA256. If the plan is
/// signed, a MESSAGE-INTEGRITY precedes it.
fn signed_with_sha256(plan: &Plan) -> Vec<u8> {
    let unfinished = with_stun_types(&Plan { fingerprint: false, ..plan.clone() });
    let theirs = Theirs::from_bytes(&unfinished).unwrap();
    let mut builder = Theirs::builder(theirs.get_type(), theirs.transaction_id(), MessageWriteVec::new());
    for (_, attribute) in theirs.iter_attributes() {
        if attribute.get_type().value() != ATTR_MESSAGE_INTEGRITY.0 {
            builder.add_attribute(&attribute).unwrap();
        }
    }
    if plan.signed {
        builder.add_message_integrity(&credentials(PASSWORD), IntegrityAlgorithm::Sha1).unwrap();
    }
    builder.add_message_integrity(&credentials(PASSWORD), IntegrityAlgorithm::Sha256).unwrap();
    if plan.fingerprint {
        builder.add_fingerprint().unwrap();
    }
    builder.finish()
}

/// Returns a message with `length` bytes of MESSAGE-INTEGRITY-SHA256.
fn truncated(length: usize) -> Vec<u8> {
    let sha256 = attribute(ATTR_MESSAGE_INTEGRITY_SHA256.0, &vec![0; length]);
    let mut bytes = message(1, &[attribute(ATTR_USERNAME.0, b"alice"), sha256]);
    sign_first(&mut bytes, ATTR_MESSAGE_INTEGRITY_SHA256.0, &sha256_key(PASSWORD));
    bytes
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac: Hmac<sha2::Sha256> = Hmac::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn verdict(bytes: &[u8], key: &IntegrityKey) -> Option<bool> {
    Message::parse(bytes).unwrap().integrity().map(|integrity| integrity.verify(key))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_theirs_signs_ours_verifies(plan in plans()) {
        let bytes = signed_with_sha256(&plan);
        prop_assert_eq!(verdict(&bytes, &IntegrityKey::sha256(&sha256_key(PASSWORD))), Some(true));
        prop_assert_eq!(verdict(&bytes, &IntegrityKey::sha256(&sha256_key("another"))), Some(false));
        // If both are present, MESSAGE-INTEGRITY-SHA256 counts (section 9.2.4).
        prop_assert_eq!(verdict(&bytes, &IntegrityKey::sha1(&key(PASSWORD))), Some(false));
        let attributes = Message::parse(&bytes).unwrap().attributes().iter().count();
        prop_assert_eq!(attributes, plan.attributes.len());
    }

    #[test]
    fn what_ours_signs_theirs_verifies(plan in plans()) {
        let request = with_stun(&plan);
        let mut reply = Reply::new();
        let key = IntegrityKey::sha256(&sha256_key(PASSWORD));
        Response::success(Message::parse(&request).unwrap().head()).finish(Some(&key), &mut reply);
        prop_assert_eq!(verdict(reply.as_bytes(), &key), Some(true));
        let theirs = Theirs::from_bytes(reply.as_bytes()).unwrap();
        prop_assert_eq!(theirs.has_attribute(ATTR_FINGERPRINT.0.into()), plan.fingerprint);
        let verdict = theirs.validate_integrity(&credentials(PASSWORD));
        prop_assert!(matches!(verdict, Ok(IntegrityAlgorithm::Sha256)));
        prop_assert!(theirs.validate_integrity(&credentials("another")).is_err());
    }

    #[test]
    fn no_flipped_bit_passes(plan in plans(), at: Index) {
        let mut bytes = signed_with_sha256(&Plan { fingerprint: false, ..plan });
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let integrity = Message::parse(&bytes).ok().and_then(|message| message.integrity());
        prop_assert!(!integrity.is_some_and(|it| it.verify(&IntegrityKey::sha256(&sha256_key(PASSWORD)))));
    }
}

/// Section 14.6: 16 to 32 bytes, a multiple of four.
#[test]
fn a_signature_may_be_truncated_to_sixteen_bytes() {
    let key = IntegrityKey::sha256(&sha256_key(PASSWORD));
    for length in 0..40 {
        let bytes = truncated(length);
        if (16..=32).contains(&length) && length % 4 == 0 {
            assert_eq!(verdict(&bytes, &key), Some(true), "{length} bytes");
            let mut forged = bytes;
            *forged.last_mut().unwrap() ^= 1;
            assert_eq!(verdict(&forged, &key), Some(false), "{length} bytes");
        } else {
            assert_eq!(Message::parse(&bytes).err(), Some(ParseError::Trailer), "{length} bytes");
        }
    }
}

/// Section 9: after MESSAGE-INTEGRITY, everything but MESSAGE-INTEGRITY-SHA256 is ignored. After
/// that one, everything is.
#[test]
fn what_stands_behind_a_signature_does_not_count() {
    let sha1 = || attribute(ATTR_MESSAGE_INTEGRITY.0, &[0; 20]);
    let sha256 = || attribute(ATTR_MESSAGE_INTEGRITY_SHA256.0, &[0; 32]);
    let name = || attribute(ATTR_USERNAME.0, b"mallory");
    let (md5_key, sha256_key) = (key(PASSWORD), sha256_key(PASSWORD));
    for (attributes, is_sha256) in [
        (vec![sha1()], false),
        (vec![sha1(), name()], false),
        (vec![sha1(), sha1()], false),
        (vec![sha256()], true),
        (vec![sha256(), name()], true),
        (vec![sha256(), sha1(), name()], true),
        (vec![sha1(), sha256(), name()], true),
        (vec![sha1(), name(), sha256()], true),
        (vec![sha1(), name(), sha256(), sha1(), sha256()], true),
    ] {
        let mut bytes = message(1, &attributes);
        let at = if is_sha256 { ATTR_MESSAGE_INTEGRITY_SHA256.0 } else { ATTR_MESSAGE_INTEGRITY.0 };
        sign_first(&mut bytes, at, if is_sha256 { &sha256_key } else { &md5_key });
        let message = Message::parse(&bytes).unwrap();
        let integrity = message.integrity().unwrap();
        assert!(integrity.verify(&integrity.key(if is_sha256 { &sha256_key } else { &md5_key })));
        assert_eq!(message.attributes().iter().count(), 0, "{bytes:02x?}");
        assert_eq!(message.attributes().username(), Ok(None));
    }
}

/// A second attribute is ignored even if it is malformed. The one that counts is not.
#[test]
fn the_size_of_the_signature_that_counts_is_checked() {
    let sha1 = |size| attribute(ATTR_MESSAGE_INTEGRITY.0, &vec![0; size]);
    let sha256 = |size| attribute(ATTR_MESSAGE_INTEGRITY_SHA256.0, &vec![0; size]);
    for (attributes, is_good) in [
        (vec![sha256(32), sha256(3), sha1(3)], true),
        (vec![sha1(20), sha1(3)], true),
        (vec![sha1(20), sha256(12)], false),
        (vec![sha256(12), sha1(20)], false),
        (vec![sha1(16), sha256(32)], false),
    ] {
        let parsed = Message::parse(&message(1, &attributes)).map(|_| ());
        assert_eq!(parsed, if is_good { Ok(()) } else { Err(ParseError::Trailer) });
    }
}

/// Fills in the first attribute of this type, so that it signs the message before it.
fn sign_first(bytes: &mut [u8], kind: u16, key: &[u8]) {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut at = HEADER;
    while bytes[at..at + 2] != kind.to_be_bytes() {
        at += 4 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])).next_multiple_of(4);
    }
    let size = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
    let mut covered = bytes[..at].to_vec();
    covered[2..4].copy_from_slice(&u16::try_from(at + 4 + size - HEADER).unwrap().to_be_bytes());
    let digest = if kind == ATTR_MESSAGE_INTEGRITY.0 {
        let mut mac: Hmac<sha1::Sha1> = Hmac::new_from_slice(key).unwrap();
        mac.update(&covered);
        mac.finalize().into_bytes().to_vec()
    } else {
        hmac_sha256(key, &covered)
    };
    let stated = size.min(digest.len());
    bytes[at + 4..at + 4 + stated].copy_from_slice(&digest[..stated]);
}
