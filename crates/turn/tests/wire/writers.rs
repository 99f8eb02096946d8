//! Messages that Byway writes, read by `stun` and `stun-types`.

use std::net::SocketAddr;
use std::time::Duration;

use byway_turn::wire::{
    ChannelData, ChannelNumber, Encapsulation, ErrorCode, IntegrityKey, Message, Reply, Response,
    write_binding_response,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use stun::attributes::AttrType;
use stun::error_code::ErrorCodeAttribute;
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_INDICATION, CLASS_SUCCESS_RESPONSE, Getter, METHOD_BINDING, METHOD_DATA,
};
use stun::textattrs::TextAttribute;
use stun::uattrs::UnknownAttributes;
use stun::xoraddr::XorMappedAddress;
use stun_types::message::IntegrityAlgorithm;
use turn::proto::data::Data;
use turn::proto::lifetime::Lifetime;
use turn::proto::peeraddr::PeerAddress;
use turn::proto::relayaddr::RelayedAddress;
use turn::proto::rsrvtoken::ReservationToken;

use crate::build::{credentials, with_stun};
use crate::plan::{PASSWORD, Plan, addresses, binding_requests, key, plans};
use crate::seeds::config;

type Theirs = stun::message::Message;
type Others<'a> = stun_types::message::Message<'a>;

/// Parses a written message with both crates, after the checks that apply to all messages.
fn read(bytes: &[u8], fingerprint: bool, signed: bool) -> Result<(Theirs, Others<'_>), TestCaseError> {
    let ours = Message::parse(bytes).map_err(|error| TestCaseError::fail(format!("Byway: {error}")))?;
    prop_assert_eq!(ours.head().fingerprint, fingerprint);
    let mut theirs = Theirs::new();
    theirs.unmarshal_binary(bytes).map_err(|error| TestCaseError::fail(format!("stun: {error}")))?;
    let others =
        Others::from_bytes(bytes).map_err(|error| TestCaseError::fail(format!("stun-types: {error}")))?;

    prop_assert_eq!(stun::fingerprint::FINGERPRINT.check(&theirs).is_ok(), fingerprint);
    prop_assert_eq!(others.has_attribute(0x8028.into()), fingerprint);
    for (password, right) in [(PASSWORD, true), ("another", false)] {
        let valid = signed && right;
        let verdict = ours.integrity().is_some_and(|it| it.verify(&IntegrityKey::sha1(&key(password))));
        prop_assert_eq!(verdict, valid);
        prop_assert_eq!(MessageIntegrity(key(password)).check(&mut theirs).is_ok(), valid);
        let verdict = others.validate_integrity(&credentials(password));
        prop_assert_eq!(matches!(verdict, Ok(IntegrityAlgorithm::Sha1)), valid);
    }
    prop_assert_eq!(ours.transaction(), theirs.transaction_id.0);
    Ok((theirs, others))
}

/// Reads an attribute with `stun`.
fn get<G: Getter>(theirs: &Theirs, mut getter: G) -> Result<G, TestCaseError> {
    getter.get_from(theirs).map_err(|error| TestCaseError::fail(error.to_string()))?;
    Ok(getter)
}

/// Reads an address attribute with `stun-types`.
fn address(others: &Others<'_>, kind: AttrType) -> Option<SocketAddr> {
    let raw = others.raw_attribute(kind.0.into())?;
    let address = stun_types::attribute::XorSocketAddr::from_raw(&raw).ok()?;
    Some(address.addr(others.transaction_id()))
}

/// Reads any other attribute with `stun-types`.
fn value(others: &Others<'_>, kind: AttrType) -> Option<Vec<u8>> {
    Some(others.raw_attribute(kind.0.into())?.value.to_vec())
}

fn requests() -> impl Strategy<Value = Plan> {
    plans().prop_map(|plan| Plan { class: 0, ..plan })
}

const ERRORS: [ErrorCode; 12] = [
    ErrorCode::BadRequest,
    ErrorCode::Unauthenticated,
    ErrorCode::Forbidden,
    ErrorCode::UnknownAttribute,
    ErrorCode::AllocationMismatch,
    ErrorCode::StaleNonce,
    ErrorCode::AddressFamilyNotSupported,
    ErrorCode::WrongCredentials,
    ErrorCode::UnsupportedTransportProtocol,
    ErrorCode::PeerAddressFamilyMismatch,
    ErrorCode::AllocationQuotaReached,
    ErrorCode::InsufficientCapacity,
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_success_response(
        plan in requests(),
        signed: bool,
        mapped in option::of(addresses()),
        relayed in option::of(addresses()),
        lifetime in option::of(any::<u32>()),
        token in option::of(any::<[u8; 8]>()),
    ) {
        let request = with_stun(&plan);
        let request = Message::parse(&request).unwrap();
        let mut response = Response::success(request.head());
        if let Some(relayed) = relayed {
            response = response.relayed_address(relayed);
        }
        if let Some(seconds) = lifetime {
            response = response.lifetime(Duration::from_secs(u64::from(seconds)));
        }
        if let Some(token) = token {
            response = response.reservation_token(token);
        }
        if let Some(mapped) = mapped {
            response = response.mapped_address(mapped);
        }
        let mut reply = Reply::new();
        response.finish(signed.then(|| IntegrityKey::sha1(&key(PASSWORD))).as_ref(), &mut reply);

        let (theirs, others) = read(reply.as_bytes(), plan.fingerprint, signed)?;
        prop_assert_eq!((theirs.typ.method, theirs.typ.class), (request.method(), CLASS_SUCCESS_RESPONSE));
        prop_assert_eq!(theirs.transaction_id.0, plan.transaction);
        let optional = [mapped.is_some(), relayed.is_some(), lifetime.is_some(), token.is_some()];
        let parts = [&optional[..], &[signed, plan.fingerprint]].concat();
        prop_assert_eq!(theirs.attributes.0.len(), parts.iter().filter(|&&part| part).count());
        prop_assert_eq!(address(&others, AttrType(0x20)), mapped);
        prop_assert_eq!(address(&others, AttrType(0x16)), relayed);
        prop_assert_eq!(value(&others, AttrType(0x0D)), lifetime.map(|it| it.to_be_bytes().to_vec()));
        prop_assert_eq!(value(&others, AttrType(0x22)), token.map(Vec::from));
        if let Some(mapped) = mapped {
            let found = get(&theirs, XorMappedAddress::default())?;
            prop_assert_eq!(SocketAddr::new(found.ip, found.port), mapped);
        }
        if let Some(relayed) = relayed {
            let found = get(&theirs, RelayedAddress::default())?;
            prop_assert_eq!(SocketAddr::new(found.ip, found.port), relayed);
        }
        if let Some(seconds) = lifetime {
            prop_assert_eq!(get(&theirs, Lifetime::default())?.0.as_secs(), u64::from(seconds));
        }
        if let Some(token) = token {
            prop_assert_eq!(get(&theirs, ReservationToken::default())?.0, token);
        }
    }

    #[test]
    fn an_error_response(
        plan in requests(),
        signed: bool,
        error in select(ERRORS.to_vec()),
        challenge in option::of(("\\PC{1,127}", "[!-~]{1,60}")),
        unknown in vec(0_u16..0x8000, 0..40),
    ) {
        let request = with_stun(&plan);
        let request = Message::parse(&request).unwrap();
        let mut response = Response::error(request.head(), error);
        if let Some((realm, nonce)) = &challenge {
            response = response.realm(realm).nonce(nonce.as_bytes());
        }
        if !unknown.is_empty() {
            response = response.unknown_attributes(unknown.iter().map(|&kind| AttrType(kind)));
        }
        let mut reply = Reply::new();
        response.finish(signed.then(|| IntegrityKey::sha1(&key(PASSWORD))).as_ref(), &mut reply);

        let (theirs, others) = read(reply.as_bytes(), plan.fingerprint, signed)?;
        prop_assert_eq!((theirs.typ.method, theirs.typ.class), (request.method(), CLASS_ERROR_RESPONSE));
        prop_assert_eq!(theirs.transaction_id.0, plan.transaction);
        let found = get(&theirs, ErrorCodeAttribute::default())?;
        prop_assert_eq!((found.code.0, &found.reason[..]), (error.code(), &b""[..]));
        let found = others.attribute::<stun_types::attribute::ErrorCode>().unwrap();
        prop_assert_eq!((found.code(), found.reason()), (error.code(), ""));
        if let Some((realm, nonce)) = &challenge {
            for (kind, text) in [(0x14, realm), (0x15, nonce)] {
                let found = TextAttribute::get_from_as(&theirs, AttrType(kind)).unwrap();
                prop_assert_eq!(&found.text, text);
            }
            let found = others.attribute::<stun_types::attribute::Realm>().unwrap();
            prop_assert_eq!(found.realm(), realm);
            let found = others.attribute::<stun_types::attribute::Nonce>().unwrap();
            prop_assert_eq!(found.nonce(), nonce);
        }
        if !unknown.is_empty() {
            // At most as many as are useful, in order.
            let named = get(&theirs, UnknownAttributes(Vec::new()))?.0;
            prop_assert_eq!(named.len(), unknown.len().min(16));
            prop_assert!(named.iter().zip(&unknown).all(|(named, kind)| named.0 == *kind));
            let found = others.attribute::<stun_types::attribute::UnknownAttributes>().unwrap();
            prop_assert!(unknown.iter().take(16).all(|&kind| found.has_attribute(kind.into())));
        }
    }

    #[test]
    fn a_binding_response(plan in binding_requests(), mapped in addresses()) {
        let request = with_stun(&plan);
        let mut reply = Reply::new();
        write_binding_response(Message::parse(&request).unwrap().head(), mapped, &mut reply);
        let (theirs, others) = read(reply.as_bytes(), plan.fingerprint, false)?;
        prop_assert_eq!((theirs.typ.method, theirs.typ.class), (METHOD_BINDING, CLASS_SUCCESS_RESPONSE));
        prop_assert_eq!(theirs.transaction_id.0, plan.transaction);
        let found = get(&theirs, XorMappedAddress::default())?;
        prop_assert_eq!(SocketAddr::new(found.ip, found.port), mapped);
        prop_assert_eq!(address(&others, AttrType(0x20)), Some(mapped));
    }

    /// The message written in place equals the built one.
    #[test]
    fn a_binding_response_is_the_one_that_would_be_built(plan in binding_requests(), mapped in addresses()) {
        let request = with_stun(&plan);
        let request = Message::parse(&request).unwrap();
        let (mut written, mut built) = (Reply::new(), Reply::new());
        write_binding_response(request.head(), mapped, &mut written);
        Response::success(request.head()).mapped_address(mapped).finish(None, &mut built);
        prop_assert_eq!(written.as_bytes(), built.as_bytes());
    }

    #[test]
    fn a_data_indication(payload in vec(any::<u8>(), 0..200), peer in addresses(), transaction: [u8; 12]) {
        let bytes = wrap(Encapsulation::Data { peer, transaction }, &payload);
        let (theirs, others) = read(&bytes, false, false)?;
        prop_assert_eq!((theirs.typ.method, theirs.typ.class), (METHOD_DATA, CLASS_INDICATION));
        prop_assert_eq!(theirs.transaction_id.0, transaction);
        prop_assert_eq!(theirs.attributes.0.len(), 2);
        // The padding contains no stale bytes (RFC 8489 section 14).
        let padding = payload.len().next_multiple_of(4) - payload.len();
        prop_assert!(bytes.iter().rev().take(padding).all(|&byte| byte == 0));
        prop_assert_eq!(&get(&theirs, Data::default())?.0, &payload);
        let found = get(&theirs, PeerAddress::default())?;
        prop_assert_eq!(SocketAddr::new(found.ip, found.port), peer);
        prop_assert_eq!(address(&others, AttrType(0x12)), Some(peer));
        prop_assert_eq!(value(&others, AttrType(0x13)), Some(payload));
    }

    #[test]
    fn a_channel_data_message(payload in vec(any::<u8>(), 0..200), number in 0x4000_u16..=0x7FFF) {
        let number = ChannelNumber::new(number).unwrap();
        let bytes = wrap(Encapsulation::Channel(number), &payload);
        let ours = ChannelData::parse(&bytes).unwrap();
        prop_assert_eq!((ours.number, &bytes[ours.payload.range()]), (number, &payload[..]));
        let mut theirs = turn::proto::chandata::ChannelData { raw: bytes, ..Default::default() };
        prop_assert!(theirs.decode().is_ok());
        prop_assert_eq!((theirs.number.0, theirs.data), (number.get(), payload));
    }
}

/// Returns the message with this payload.
fn wrap(encapsulation: Encapsulation, payload: &[u8]) -> Vec<u8> {
    encapsulation.around(payload.len()).unwrap().with(payload)
}

#[test]
fn a_reply_that_does_not_fit_is_empty() {
    let request = crate::hostile::message(3, &[]);
    let request = Message::parse(&request).unwrap();
    let mut reply = Reply::new();
    let longest = "\u{10348}".repeat(127);
    Response::error(request.head(), ErrorCode::StaleNonce)
        .realm(&longest)
        .nonce(&[b'n'; 60])
        .finish(None, &mut reply);
    assert!(Message::parse(reply.as_bytes()).is_ok());
    Response::error(request.head(), ErrorCode::StaleNonce)
        .realm(&longest)
        .nonce(&[b'n'; 2000])
        .finish(None, &mut reply);
    assert_eq!(reply.as_bytes(), b"");
}
