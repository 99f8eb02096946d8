//! Byte counts of responses to unauthenticated clients, so that the server does not amplify.

use byway_turn::wire::{BINDING_RESPONSE_MAX, ErrorCode, Message, Reply, Response, write_binding_response};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::build::with_stun;
use crate::hostile::{attribute, message};
use crate::plan::{addresses, binding_requests, plans};
use crate::seeds::config;

/// Bytes of the headers of IPv4 and UDP, which are the shortest.
const IP_UDP: usize = 28;

proptest! {
    #![proptest_config(config())]

    /// XOR-MAPPED-ADDRESS, FINGERPRINT if the request had one, and nothing else, for any request.
    #[test]
    fn a_binding_response_is_as_short_as_can_be(plan in binding_requests(), mapped in addresses()) {
        let request = with_stun(&plan);
        let mut reply = Reply::new();
        write_binding_response(Message::parse(&request).unwrap().head(), mapped, &mut reply);
        let bare = if mapped.is_ipv4() { 32 } else { 44 };
        let fingerprint = if plan.fingerprint { 8 } else { 0 };
        prop_assert_eq!(reply.as_bytes().len(), bare + fingerprint);
        prop_assert!(reply.as_bytes().len() <= BINDING_RESPONSE_MAX);
        prop_assert_eq!(Message::parse(reply.as_bytes()).unwrap().attributes().iter().count(), 1);
    }

    /// The response has no SOFTWARE and no reason phrase.
    #[test]
    fn a_challenge_has_nothing_but_what_it_is_for(
        plan in plans(),
        realm in "[a-z.]{1,60}",
        nonce in "[!-~]{1,60}",
    ) {
        let request = with_stun(&plan);
        let request = Message::parse(&request).unwrap();
        let mut reply = Reply::new();
        Response::error(request.head(), ErrorCode::Unauthenticated)
            .realm(&realm)
            .nonce(nonce.as_bytes())
            .finish(None, &mut reply);
        let texts = [realm.len(), nonce.len()].map(|length| 4 + length.next_multiple_of(4));
        let fingerprint = if plan.fingerprint { 8 } else { 0 };
        prop_assert_eq!(reply.as_bytes().len(), 20 + 8 + texts[0] + texts[1] + fingerprint);
    }

    /// The response lists at most sixteen unknown attributes, even if the request has a hundred.
    #[test]
    fn an_error_about_unknown_attributes_is_no_amplifier(kinds in vec(0x4000_u16..0x8000, 1..200)) {
        let attributes: Vec<_> = kinds.iter().map(|&kind| attribute(kind, &[])).collect();
        let request = message(1, &attributes);
        let parsed = Message::parse(&request).unwrap();
        let mut reply = Reply::new();
        Response::error(parsed.head(), ErrorCode::UnknownAttribute)
            .unknown_attributes(parsed.attributes().unknown_required())
            .finish(None, &mut reply);
        let named = 2 * kinds.len().min(16);
        prop_assert_eq!(reply.as_bytes().len(), 20 + 8 + 4 + named.next_multiple_of(4));
        // With IPv4 and UDP headers, the response has at most 1.75 times the bytes of the request.
        prop_assert!(4 * (IP_UDP + reply.as_bytes().len()) <= 7 * (IP_UDP + request.len()));
    }
}
