//! No received bytes cause a panic, and every returned range lies within its datagram.

use byway_turn::wire::{
    ChannelData, ChannelNumber, Encapsulation, ErrorCode, IntegrityKey, KNOWN_ATTRIBUTES, Kind, Message,
    ParseError, Reply, Response, classify, write_binding_response,
};
use proptest::prelude::*;

use crate::build::with_stun;
use crate::hostile::{HEADER, attribute, message, noise, spoilt};
use crate::plan::{PASSWORD, Plan, addresses, key, plans};
use crate::seeds::config;
use crate::{rfc5769, rfc8489};

/// Calls every function that takes a received datagram.
fn receive(bytes: &[u8]) -> Result<(), TestCaseError> {
    let kind = classify(bytes);
    if let Some(channel_data) = ChannelData::parse(bytes) {
        prop_assert!(bytes.get(channel_data.payload.range()).is_some());
        prop_assert_eq!(kind, Kind::ChannelData);
        // At most padding (RFC 8656 section 12.5).
        prop_assert!(bytes.len() - channel_data.payload.end < 4);
    }
    let Ok(message) = Message::parse(bytes) else { return Ok(()) };
    // First bytes from 4 on belong to other protocols (RFC 7983). Methods from 0x100 on are parsed,
    // but never reached.
    prop_assert_eq!(kind == Kind::Stun, bytes[0] < 4);
    let _ = (message.method(), message.class(), message.transaction(), format!("{message:?}"));

    let attributes = message.attributes();
    let _ = (attributes.username(), attributes.lifetime(), attributes.requested_transport());
    let _ = (attributes.requested_address_family(), attributes.even_port(), attributes.channel_number());
    let _ = (attributes.additional_address_family(), attributes.change_request());
    let _ = (attributes.reservation_token(), attributes.realm(), attributes.nonce());
    let _ = (attributes.userhash(), attributes.password_algorithm(), attributes.password_algorithms());
    prop_assert_eq!(attributes.peer_addresses().next().transpose(), attributes.peer_address());
    for kind in attributes.unknown_required() {
        prop_assert!(kind.0 < 0x8000 && !KNOWN_ATTRIBUTES.contains(&kind));
    }
    for attribute in attributes.iter() {
        prop_assert!(lies_within(attribute.value, bytes));
    }
    if let Some(data) = attributes.data() {
        let first = attributes.iter().find(|attribute| attribute.kind == stun::attributes::ATTR_DATA);
        prop_assert_eq!(bytes.get(data.range()), first.map(|attribute| attribute.value));
    }
    if let Some(integrity) = message.integrity() {
        for key in [IntegrityKey::sha1(&key(PASSWORD)), IntegrityKey::sha256(&key(PASSWORD))] {
            let _ = (integrity.verify(&key), format!("{integrity:?}"));
        }
    }
    answer(&message)
}

/// Every parsed request can be answered, and the responses can be parsed.
fn answer(request: &Message<'_>) -> Result<(), TestCaseError> {
    let mut reply = Reply::new();
    let unknown = request.attributes().unknown_required();
    Response::error(request.head(), ErrorCode::UnknownAttribute)
        .unknown_attributes(unknown)
        .finish(None, &mut reply);
    prop_assert!(Message::parse(reply.as_bytes()).is_ok());
    write_binding_response(request.head(), "192.0.2.1:9".parse().unwrap(), &mut reply);
    prop_assert!(Message::parse(reply.as_bytes()).is_ok());
    Ok(())
}

fn lies_within(part: &[u8], whole: &[u8]) -> bool {
    whole.as_ptr_range().start <= part.as_ptr() && part.as_ptr_range().end <= whole.as_ptr_range().end
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn noise_is_received(bytes in noise()) {
        receive(&bytes)?;
    }

    #[test]
    fn spoilt_messages_are_received(bytes in spoilt()) {
        receive(&bytes)?;
    }

    /// CRC-32 detects every single flipped bit (RFC 8489 section 14.7).
    #[test]
    fn no_flipped_bit_passes_a_fingerprint(plan in plans(), at: prop::sample::Index) {
        let mut bytes = with_stun(&Plan { fingerprint: true, ..plan });
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!Message::parse(&bytes).is_ok_and(|message| message.head().fingerprint));
    }

    /// MESSAGE-INTEGRITY covers header, attributes and padding (section 14.5).
    #[test]
    fn no_flipped_bit_passes_the_integrity_check(plan in plans(), at: prop::sample::Index) {
        let plan = Plan { signed: true, fingerprint: false, ..plan };
        let mut bytes = with_stun(&plan);
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let integrity = Message::parse(&bytes).ok().and_then(|message| message.integrity());
        prop_assert!(!integrity.is_some_and(|it| it.verify(&IntegrityKey::sha1(&key(PASSWORD)))));
    }

    /// Payloads of any length.
    #[test]
    fn a_payload_gets_a_header_if_it_fits(length in 0_usize..70_000, peer in addresses(), channel: bool) {
        let encapsulation = if channel {
            Encapsulation::Channel(ChannelNumber::new(0x4000).unwrap())
        } else {
            Encapsulation::Data { peer, transaction: [7; 12] }
        };
        let header = encapsulation.around(length);
        prop_assert_eq!(header.is_some(), encapsulation.fits(length));
        prop_assert!(header.is_some() || length > 65_000);
        if let Some(header) = header {
            let whole = header.as_bytes().len() + length + header.padding();
            let told = usize::from(u16::from_be_bytes([header.as_bytes()[2], header.as_bytes()[3]]));
            prop_assert_eq!(whole, told + if channel { 4 } else { 20 });
        }
    }
}

const VECTORS: [&[u8]; 5] = [
    &rfc5769::REQUEST,
    &rfc5769::RESPONSE_V4,
    &rfc5769::RESPONSE_V6,
    &rfc5769::LONG_TERM_REQUEST,
    &rfc8489::REQUEST,
];

#[test]
fn no_part_of_a_message_is_one() {
    for vector in VECTORS {
        for end in 0..vector.len() {
            assert!(Message::parse(&vector[..end]).is_err(), "the first {end} bytes");
        }
        let longer = [vector, &[0]].concat();
        assert_eq!(Message::parse(&longer).err(), Some(ParseError::Length));
    }
}

#[test]
fn threat_1_a_datagram_of_any_size_is_received() {
    // The longest possible message, and a datagram whose length exceeds 16 bits.
    let longest = message(1, &[attribute(0x8000, &[0; 65_528])]);
    assert_eq!(longest.len(), HEADER + 65_532);
    receive(&longest).unwrap();
    assert!(Message::parse(&longest).is_ok());
    let mut wrapped = longest;
    wrapped.extend([0; 4]);
    wrapped[2..4].copy_from_slice(&[0, 0]);
    assert_eq!(Message::parse(&wrapped).err(), Some(ParseError::Length));
}
