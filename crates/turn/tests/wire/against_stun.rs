//! Byway's parser against the parser of the `stun` crate. The tests use that crate's builder; Byway
//! does not use its parser.

use byway_turn::wire::{AttributeError, IntegrityKey, Message, ParseError};
use proptest::prelude::*;
use stun::attributes::{
    ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE, ATTR_REALM,
    ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS, ATTR_XORMAPPED_ADDRESS, AttrType, Attributes, RawAttribute,
};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{Getter, Message as Theirs};
use stun::textattrs::TextAttribute;
use turn::proto::channum::ChannelNumber;
use turn::proto::data::Data;
use turn::proto::evenport::EvenPort;
use turn::proto::lifetime::Lifetime;
use turn::proto::peeraddr::PeerAddress;
use turn::proto::reqfamily::RequestedAddressFamily;
use turn::proto::reqtrans::RequestedTransport;
use turn::proto::rsrvtoken::ReservationToken;

use crate::build::with_stun;
use crate::hostile::{self, attribute, message, noise, spoilt, with_fingerprint};
use crate::plan::{PASSWORD, check_reads_as, key, plans};
use crate::seeds::config;

/// Deliberate differences between the parsers. Byway's follows RFC 8489; a test below shows each
/// difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// `stun` accepts a type with its top bits set (section 5).
    TopBits,
    /// `stun` accepts bytes after the message.
    TrailingBytes,
    /// `stun` accepts MESSAGE-INTEGRITY and FINGERPRINT of wrong sizes, and a FINGERPRINT that is
    /// not last (14.7).
    Trailer,
    /// `stun` checks FINGERPRINT only on request.
    Fingerprint,
    /// `stun` honours attributes after MESSAGE-INTEGRITY (14.5).
    BehindIntegrity,
    /// `stun` does not know MESSAGE-INTEGRITY-SHA256, and honours MESSAGE-INTEGRITY before and
    /// after it (9.2.4, 9).
    Sha256,
    /// `stun` reads 0x8020 as XOR-MAPPED-ADDRESS, as in a draft.
    OldMappedAddress,
    /// `stun` pads an address that is too short with zeros.
    ShortAddress,
    /// `stun` rejects an address whose first byte is not zero. Receivers must ignore that byte
    /// (14.1).
    ReservedByte,
    /// `stun` accepts a channel number out of range.
    ChannelRange,
    /// `stun` accepts a USERNAME of any length.
    LongUsername,
}

/// Compares both parsers on `bytes`; fails on a difference that is not listed.
fn compare(bytes: &[u8]) -> Result<Vec<Difference>, TestCaseError> {
    let mut theirs = Theirs::new();
    let accepted = theirs.unmarshal_binary(bytes).is_ok();
    match Message::parse(bytes) {
        Ok(ours) => {
            prop_assert!(accepted, "stun rejects a message that Byway accepts");
            compare_content(&ours, theirs)
        }
        Err(_) if !accepted => Ok(Vec::new()),
        Err(error) => {
            let all = &theirs.attributes.0;
            let stated = hostile::HEADER + usize::try_from(theirs.length).unwrap();
            let (difference, holds) = match error {
                ParseError::Type => (Difference::TopBits, bytes[0] >= 0x40),
                ParseError::Length => (Difference::TrailingBytes, bytes.len() > stated),
                ParseError::Trailer => (Difference::Trailer, is_trailer_wrong(all)),
                ParseError::Fingerprint => (Difference::Fingerprint, FINGERPRINT.check(&theirs).is_err()),
                ParseError::Truncated | ParseError::Cookie => {
                    return Err(TestCaseError::fail("stun accepts a message that Byway rejects"));
                }
            };
            prop_assert!(holds, "Byway rejects it with {:?}, which does not apply", error);
            Ok(vec![difference])
        }
    }
}

fn is_trailer_wrong(attributes: &[RawAttribute]) -> bool {
    let Some((_, but_last)) = attributes.split_last() else { return false };
    let wrong_size = |a: &RawAttribute| match a.typ {
        ATTR_MESSAGE_INTEGRITY => a.value.len() != 20,
        ATTR_MESSAGE_INTEGRITY_SHA256 => ![16, 20, 24, 28, 32].contains(&a.value.len()),
        ATTR_FINGERPRINT => a.value.len() != 4,
        _ => false,
    };
    attributes.iter().any(wrong_size) || but_last.iter().any(|a| a.typ == ATTR_FINGERPRINT)
}

fn compare_content(ours: &Message<'_>, mut theirs: Theirs) -> Result<Vec<Difference>, TestCaseError> {
    let mut differences = Vec::new();
    prop_assert_eq!(ours.method(), theirs.typ.method);
    prop_assert_eq!(ours.class(), theirs.typ.class);
    prop_assert_eq!(ours.transaction(), theirs.transaction_id.0);

    prop_assert_eq!(ours.head().fingerprint, theirs.contains(ATTR_FINGERPRINT));
    if ours.head().fingerprint {
        prop_assert!(FINGERPRINT.check(&theirs).is_ok());
    }
    for password in [PASSWORD, "another"] {
        let verdict = ours.integrity().map(|integrity| integrity.verify(&IntegrityKey::sha1(&key(password))));
        let their_verdict = match MessageIntegrity(key(password)).check(&mut theirs) {
            Ok(()) => Some(true),
            Err(stun::Error::ErrAttributeNotFound) => None,
            Err(_) => Some(false),
        };
        if verdict != their_verdict {
            // A key for one attribute verifies nothing with the other.
            prop_assert!(theirs.contains(ATTR_MESSAGE_INTEGRITY_SHA256) && verdict == Some(false));
            differences.push(Difference::Sha256);
        }
    }
    differences.dedup();

    let all = std::mem::take(&mut theirs.attributes.0);
    let end = all.iter().position(|a| is_ending(a.typ)).unwrap_or(all.len());
    let (counting, behind) = all.split_at(end);
    if behind.iter().any(|a| !is_ending(a.typ)) {
        differences.push(Difference::BehindIntegrity);
    }
    prop_assert_eq!(ours.attributes().iter().count(), counting.len());
    for (ours, theirs) in ours.attributes().iter().zip(counting) {
        prop_assert_eq!(ours.value, &theirs.value);
        if ours.kind != theirs.typ {
            prop_assert_eq!((ours.kind, theirs.typ), (AttrType(0x8020), ATTR_XORMAPPED_ADDRESS));
            differences.push(Difference::OldMappedAddress);
        }
    }
    theirs.attributes = Attributes(counting.to_vec());
    compare_typed(ours, &theirs, &mut differences)?;
    Ok(differences)
}

fn is_ending(kind: AttrType) -> bool {
    [ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_FINGERPRINT].contains(&kind)
}

/// Compares the values of the attributes that the relay reads.
fn compare_typed(
    ours: &Message<'_>,
    theirs: &Theirs,
    differences: &mut Vec<Difference>,
) -> Result<(), TestCaseError> {
    let attributes = ours.attributes();
    prop_assert_eq!(attributes.realm().map(Vec::from), theirs.get(ATTR_REALM).ok());
    prop_assert_eq!(attributes.nonce().map(Vec::from), theirs.get(ATTR_NONCE).ok());
    let lifetime = read(theirs, Lifetime::default(), |it| it.0);
    prop_assert_eq!(comparable(attributes.lifetime()), lifetime);
    let transport = read(theirs, RequestedTransport::default(), |it| it.protocol.0);
    prop_assert_eq!(comparable(attributes.requested_transport()), transport);
    let token = read(theirs, ReservationToken::default(), |it| it.0);
    prop_assert_eq!(comparable(attributes.reservation_token()).map(|t| t.map(Vec::from)), token);
    let even_port = read(theirs, EvenPort::default(), |it| it.to_string() == "reserve: true");
    prop_assert_eq!(comparable(attributes.even_port()), even_port);
    let data = read(theirs, Data::default(), |it| it.0);
    prop_assert_eq!(Ok(attributes.data().map(byway_turn::wire::Span::len)), data.map(|d| d.map(|d| d.len())));
    // An unknown family is an error for `stun`, and for Byway a value that leads to a 440.
    let family = comparable(attributes.requested_address_family()).and_then(|it| match it {
        Some(None) => Err(()),
        Some(Some(family)) => Ok(Some(if family == byway_turn::wire::AddressFamily::V4 { 1 } else { 2 })),
        None => Ok(None),
    });
    prop_assert_eq!(family, read(theirs, RequestedAddressFamily::default(), |it| it.0));

    let channel =
        comparable(attributes.channel_number()).map(|it| it.map(byway_turn::wire::ChannelNumber::get));
    match (channel, read(theirs, ChannelNumber::default(), |it| it.0)) {
        (Err(()), Ok(Some(number))) if !(0x4000..0x8000).contains(&number) => {
            differences.push(Difference::ChannelRange);
        }
        (ours, theirs) => prop_assert_eq!(ours, theirs),
    }
    let username = comparable(attributes.username()).map(|it| it.map(String::from));
    let text = TextAttribute::new(ATTR_USERNAME, String::new());
    match (username, read(theirs, text, |it| it.text)) {
        (Err(()), Ok(Some(name))) if name.len() > 763 => differences.push(Difference::LongUsername),
        (ours, theirs) => prop_assert_eq!(ours, theirs),
    }
    let value = theirs.get(ATTR_XOR_PEER_ADDRESS).unwrap_or_default();
    let peer = read(theirs, PeerAddress::default(), |it| std::net::SocketAddr::new(it.ip, it.port));
    match (comparable(attributes.peer_address()), peer) {
        (Err(()), Ok(Some(_))) if ![8, 20].contains(&value.len()) || value.len() == 8 && value[1] == 2 => {
            differences.push(Difference::ShortAddress);
        }
        (Ok(Some(_)), Err(())) if value[0] != 0 => differences.push(Difference::ReservedByte),
        (ours, theirs) => prop_assert_eq!(ours, theirs),
    }
    Ok(())
}

/// Absent, parsed, or malformed.
type Reading<T> = Result<Option<T>, ()>;

fn comparable<T>(ours: Result<Option<T>, AttributeError>) -> Reading<T> {
    ours.map_err(|_| ())
}

fn read<G: Getter, T>(theirs: &Theirs, mut getter: G, value: impl FnOnce(G) -> T) -> Reading<T> {
    match getter.get_from(theirs) {
        Ok(()) => Ok(Some(value(getter))),
        Err(stun::Error::ErrAttributeNotFound) => Ok(None),
        Err(_) => Err(()),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_theirs_builds_reads_as_it_was_planned(plan in plans()) {
        let bytes = with_stun(&plan);
        check_reads_as(&bytes, &plan)?;
        prop_assert_eq!(compare(&bytes)?, []);
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
fn each_named_difference_is_one() {
    let integrity = || attribute(ATTR_MESSAGE_INTEGRITY.0, &[0; 20]);
    let peer = |value: &[u8]| message(1, &[attribute(ATTR_XOR_PEER_ADDRESS.0, value)]);
    let bad_fingerprint = message(1, &[attribute(ATTR_FINGERPRINT.0, &[0; 4])]);
    let sha256 = || attribute(ATTR_MESSAGE_INTEGRITY_SHA256.0, &[0; 32]);
    let username = attribute(ATTR_USERNAME.0, &[b'a'; 764]);
    let behind_fingerprint = [with_fingerprint(message(1, &[])), attribute(0x8022, b"")].concat();
    let body = behind_fingerprint[hostile::HEADER..].to_vec();
    for (difference, bytes) in [
        (Difference::TopBits, message(0x4001, &[])),
        (Difference::TopBits, message(0x8001, &[])),
        (Difference::TrailingBytes, [message(1, &[]), vec![0; 4]].concat()),
        (Difference::Trailer, message(1, &[attribute(ATTR_MESSAGE_INTEGRITY.0, &[0; 16])])),
        (Difference::Trailer, message(1, &[attribute(ATTR_FINGERPRINT.0, &[0; 8])])),
        (Difference::Trailer, message(1, &[body])),
        (Difference::Fingerprint, bad_fingerprint),
        (Difference::BehindIntegrity, message(1, &[integrity(), attribute(ATTR_USERNAME.0, b"mallory")])),
        (Difference::Sha256, message(1, &[sha256()])),
        (Difference::Trailer, message(1, &[attribute(ATTR_MESSAGE_INTEGRITY_SHA256.0, &[0; 36])])),
        (Difference::OldMappedAddress, message(1, &[attribute(0x8020, &[0, 1, 0, 0, 0, 0, 0, 0])])),
        (Difference::ShortAddress, peer(&[0, 1, 0, 0, 0])),
        (Difference::ShortAddress, peer(&[0, 2, 0, 0, 0, 0, 0, 0])),
        (Difference::ReservedByte, peer(&[1, 1, 0, 0, 0, 0, 0, 0])),
        (Difference::ChannelRange, message(9, &[attribute(0x0C, &[0x80, 0, 0, 0])])),
        (Difference::LongUsername, message(1, &[username])),
    ] {
        assert_eq!(compare(&bytes).unwrap(), [difference], "{bytes:02x?}");
    }
}
