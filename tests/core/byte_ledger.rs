//! Threat 5: nothing that a stranger sends is worth a reflector's while.

use stun::attributes::{
    ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_NONCE, ATTR_REALM, ATTR_SOFTWARE, ATTR_USERNAME, AttrType,
};
use stun::message::{METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH};

use super::support::{Client, Request, Seen, Server, at};

/// Bytes of the IP and UDP headers around a datagram.
fn headers(address: &str) -> usize {
    if at(address).is_ipv4() { 28 } else { 48 }
}

/// Sends a request as a stranger; returns the bytes on the wire both ways.
fn ledger(server: &mut Server, address: &str, request: &Request) -> (usize, usize) {
    let mut client = Client::new(server, address, "alice");
    let datagram = request.encode(client.transaction(), None);
    let out = match client.send(server, &datagram) {
        Seen::Reply(_, _, reply) => reply.len() + headers(address),
        other => panic!("{other:?}"),
    };
    (datagram.len() + headers(address), out)
}

fn turn_requests() -> [Request; 6] {
    [
        Request::bare(METHOD_ALLOCATE),
        Request::allocate(),
        Request::allocate_v6(),
        Request::bare(METHOD_REFRESH),
        Request::bare(METHOD_CREATE_PERMISSION),
        Request::bare(METHOD_CHANNEL_BIND),
    ]
}

#[test]
fn a_401_is_at_most_seven_fourths_of_any_request_for_a_realm_of_four_characters() {
    let mut server = Server::with(1, |settings| settings.realm = "a.bc".into());
    for address in ["203.0.113.9:5000", "[2001:db8::9]:5000"] {
        for request in
            turn_requests().into_iter().flat_map(|request| [request.clone(), request.fingerprint()])
        {
            let (sent, got) = ledger(&mut server, address, &request);
            assert!(got * 4 <= sent * 7, "{address}: {sent} bytes brought {got}");
        }
    }
}

#[test]
fn a_401_is_at_most_seven_fourths_of_a_real_allocate_for_a_realm_of_sixteen_characters() {
    let mut server = Server::with(1, |settings| settings.realm = "turn.example.org".into());
    for address in ["203.0.113.9:5000", "[2001:db8::9]:5000"] {
        for request in [Request::allocate(), Request::allocate().fingerprint()] {
            let (sent, got) = ledger(&mut server, address, &request);
            assert!(got * 4 <= sent * 7, "{address}: {sent} bytes brought {got}");
        }
    }
}

/// The sizes themselves, so that a byte more is noticed.
#[test]
fn the_challenge_has_three_attributes_and_no_byte_to_spare() {
    let mut server = Server::with(1, |settings| settings.realm = "a.bc".into());
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    for request in turn_requests() {
        let response = client.ask_unsigned(&mut server, &request.clone().with(ATTR_SOFTWARE, b"test"));
        assert_eq!(response.code(), 401);
        assert_eq!(response.kinds(), [ATTR_ERROR_CODE, ATTR_REALM, ATTR_NONCE]);
        assert_eq!(response.bytes().len(), 20 + 8 + 8 + 20);
        let response = client.ask_unsigned(&mut server, &request.fingerprint());
        assert_eq!(response.kinds(), [ATTR_ERROR_CODE, ATTR_REALM, ATTR_NONCE, ATTR_FINGERPRINT]);
    }
}

/// Errors that strangers can provoke otherwise.
#[test]
fn a_400_and_a_420_are_at_most_seven_fourths_of_their_request() {
    let mut server = Server::new();
    for count in [1, 2, 16, 17, 300] {
        let request =
            (0..count).fold(Request::binding(), |request, n| request.with(AttrType(0x7000 + n), &[]));
        let (sent, got) = ledger(&mut server, "203.0.113.9:5000", &request);
        assert!(got * 4 <= sent * 7, "420: {sent} bytes brought {got}");
    }
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let datagram =
        Request::allocate().with(ATTR_USERNAME, b"x").encode(client.transaction(), Some(&client.key()));
    let Seen::Reply(_, _, reply) = client.send(&mut server, &datagram) else { panic!("not answered") };
    assert_eq!(reply.len(), 28, "400: a header and an ERROR-CODE");
    assert!(reply.len() < datagram.len());
}
