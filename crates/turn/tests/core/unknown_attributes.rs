//! 420 with UNKNOWN-ATTRIBUTES (RFC 8489 sections 6.3.1 and 14.13).

use byway_test_support::turn::{Client, Request, Seen, Server, at};
use stun::attributes::{ATTR_ERROR_CODE, ATTR_MESSAGE_INTEGRITY, ATTR_UNKNOWN_ATTRIBUTES, AttrType};

use byway_turn::server::DropReason;

#[test]
fn an_authenticated_request_gets_a_signed_420_and_has_no_effect() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let mut stranger = Client::new(&server, "203.0.113.10:5000", "bob");
    let peer = at("8.8.8.8:53");
    for request in [Request::refresh(0), Request::permission(peer), Request::channel_bind(0x4000, peer)] {
        let response = client.ask(&mut server, &request.with(AttrType(0x7FFF), &[1, 2, 3]));
        assert_eq!(response.code(), 420);
        assert_eq!(response.kinds(), [ATTR_ERROR_CODE, ATTR_UNKNOWN_ATTRIBUTES, ATTR_MESSAGE_INTEGRITY]);
        assert_eq!(response.get(ATTR_UNKNOWN_ATTRIBUTES), [0x7F, 0xFF]);
    }
    let response = stranger.ask(&mut server, &Request::allocate().with(AttrType(0x7FFF), &[]));
    assert_eq!(response.code(), 420);
    assert_eq!((server.allocations(), server.announced_channels()), (1, 0));
}

#[test]
fn a_binding_request_gets_an_unsigned_one() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let request = Request::binding().with(AttrType(0x0003), &[0; 4]).with(AttrType(0x0030), &[]);
    let response = client.ask_unsigned(&mut server, &request);
    assert_eq!(response.code(), 420);
    assert_eq!(response.kinds(), [ATTR_ERROR_CODE, ATTR_UNKNOWN_ATTRIBUTES]);
    assert_eq!(response.get(ATTR_UNKNOWN_ATTRIBUTES), [0x00, 0x03, 0x00, 0x30]);
}

/// Authentication comes first (RFC 8489 section 9.2.4): an unauthenticated client does not learn
/// which attributes are known.
#[test]
fn a_stranger_gets_401_instead() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let request = Request::allocate().with(AttrType(0x7FFF), &[]);
    assert_eq!(client.ask_unsigned(&mut server, &request).code(), 401);
}

/// RFC 8489 section 6.3.2: an indication with such an attribute is discarded.
#[test]
fn a_send_indication_with_one_is_dropped() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let peer = at("8.8.8.8:53");
    client.granted(&mut server, &Request::permission(peer));
    let request = Request::send(peer, b"hello").with(AttrType(0x7FFF), &[]);
    assert_eq!(client.send_unsigned(&mut server, &request), Seen::Dropped(DropReason::Malformed));
    let optional = Request::send(peer, b"hello").with(AttrType(0x8000), &[]);
    assert!(matches!(client.send_unsigned(&mut server, &optional), Seen::ToPeer { .. }));
}
