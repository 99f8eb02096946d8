//! Rejected Allocate requests, in the order of RFC 8656 section 7.2. A rejected request leaves no
//! state.

use byway_test_support::turn::{Client, Request, Server};
use stun::attributes::{
    ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT,
    ATTR_RESERVATION_TOKEN, ATTR_XOR_PEER_ADDRESS, AttrType,
};
use stun::message::METHOD_ALLOCATE;

/// Returns the error of a server with a single port. Another client must still get that port.
fn refused(request: &Request) -> u16 {
    let mut server = Server::with(1, |settings| {
        settings.ports = 50_000..=50_000;
        settings.quota.allocations = 1;
    });
    let code = Client::new(&server, "203.0.113.9:5000", "alice").refused(&mut server, request);
    assert_eq!((server.allocations(), server.sockets().len()), (0, 0));
    Client::new(&server, "203.0.113.9:5001", "alice").granted(&mut server, &Request::allocate());
    code
}

fn with(kind: AttrType, value: &[u8]) -> Request {
    Request::allocate().with(kind, value)
}

#[test]
fn without_requested_transport_it_is_400() {
    assert_eq!(refused(&Request::bare(METHOD_ALLOCATE)), 400);
}

#[test]
fn any_transport_but_udp_is_442() {
    for protocol in [0, 1, 6, 16, 18, 255] {
        let request = Request::bare(METHOD_ALLOCATE).with(ATTR_REQUESTED_TRANSPORT, &[protocol, 0, 0, 0]);
        assert_eq!(refused(&request), 442, "protocol {protocol}");
    }
}

#[test]
fn a_family_that_does_not_exist_is_440() {
    for family in [0, 3, 255] {
        assert_eq!(refused(&with(ATTR_REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0])), 440);
    }
}

#[test]
fn a_family_without_a_relay_address_is_440() {
    let mut server = Server::with(1, |settings| settings.addresses.truncate(1));
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    assert_eq!(client.refused(&mut server, &Request::allocate_v6()), 440);
    assert_eq!(server.allocations(), 0);
}

#[test]
fn a_token_that_comes_with_a_family_or_even_port_is_400() {
    let token = with(ATTR_RESERVATION_TOKEN, &[7; 8]);
    assert_eq!(refused(&token.clone().with(ATTR_REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0])), 400);
    assert_eq!(refused(&token.with(ATTR_EVEN_PORT, &[0])), 400);
}

#[test]
fn a_token_that_nobody_was_given_is_508() {
    assert_eq!(refused(&with(ATTR_RESERVATION_TOKEN, &[7; 8])), 508);
}

#[test]
fn an_even_port_with_its_neighbour_is_508_where_there_is_no_pair() {
    assert_eq!(refused(&with(ATTR_EVEN_PORT, &[0x80])), 508);
}

#[test]
fn attributes_of_a_wrong_size_are_400() {
    for wrong in [
        Request::bare(METHOD_ALLOCATE).with(ATTR_REQUESTED_TRANSPORT, &[17]),
        with(ATTR_LIFETIME, &[0, 0]),
        with(ATTR_REQUESTED_ADDRESS_FAMILY, &[1]),
        with(ATTR_EVEN_PORT, &[]),
        with(ATTR_EVEN_PORT, &[0x80, 0, 0, 0]),
        with(ATTR_RESERVATION_TOKEN, &[7; 4]),
        with(ATTR_RESERVATION_TOKEN, &[7; 12]),
    ] {
        assert_eq!(refused(&wrong), 400);
    }
}

/// Allocate ignores attributes of other methods.
#[test]
fn attributes_of_other_methods_are_ignored() {
    let mut server = Server::new();
    let request = with(ATTR_XOR_PEER_ADDRESS, &[1, 2, 3]);
    Client::new(&server, "203.0.113.9:5000", "alice").granted(&mut server, &request);
}

#[test]
fn a_server_without_a_free_port_says_508() {
    let mut server = Server::with(1, |settings| settings.ports = 50_000..=50_003);
    for n in 0..4 {
        Client::allocated(&mut server, &format!("203.0.113.9:{}", 5000 + n), "alice");
    }
    let mut late = Client::new(&server, "203.0.113.9:5004", "alice");
    assert_eq!(late.refused(&mut server, &Request::allocate()), 508);
    assert_eq!(server.allocations(), 4);
}
