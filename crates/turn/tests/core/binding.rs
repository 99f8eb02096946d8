//! Binding (RFC 8489 sections 6.3.1, 7 and 14.2): the mapped address, and no byte that was not
//! requested.

use byway_test_support::turn::{Client, Request, Server};
use stun::attributes::{ATTR_FINGERPRINT, ATTR_SOFTWARE, ATTR_XORMAPPED_ADDRESS};

/// The whole response, byte by byte.
#[test]
fn threat_5_ipv4_is_answered_in_32_bytes() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let response = client.ask_unsigned(&mut server, &Request::binding());
    let mut expected = vec![0x01, 0x01, 0x00, 0x0c, 0x21, 0x12, 0xa4, 0x42];
    expected.extend_from_slice(&response.transaction());
    // 5000 ^ 0x2112 and 203.0.113.9 ^ 0x2112a442.
    expected.extend_from_slice(&[0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0x32, 0x9a, 0xea, 0x12, 0xd5, 0x4b]);
    assert_eq!(response.bytes(), expected);
}

#[test]
fn threat_5_ipv6_is_answered_in_44_bytes() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "[2001:db8::9]:5000", "alice");
    let response = client.ask_unsigned(&mut server, &Request::binding());
    assert_eq!(response.mapped(), client.address());
    assert_eq!(response.kinds(), [ATTR_XORMAPPED_ADDRESS]);
    assert_eq!(response.bytes().len(), 44);
}

/// RFC 8489 section 7: FINGERPRINT if the request had one (threat 5: only then).
#[test]
fn threat_5_fingerprint_alone_is_answered_with_fingerprint() {
    let mut server = Server::new();
    for (address, length) in [("203.0.113.9:5000", 40), ("[2001:db8::9]:5000", 52)] {
        let mut client = Client::new(&server, address, "alice");
        let response = client.ask_unsigned(&mut server, &Request::binding().fingerprint());
        assert_eq!(response.mapped(), client.address());
        assert_eq!(response.kinds(), [ATTR_XORMAPPED_ADDRESS, ATTR_FINGERPRINT]);
        assert_eq!(response.bytes().len(), length);
    }
}

/// RFC 8489 section 14: unknown comprehension-optional attributes are ignored.
#[test]
fn optional_attributes_change_nothing() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let request =
        Request::binding().with(ATTR_SOFTWARE, b"test").with(stun::attributes::AttrType(0xC0FF), &[1]);
    let response = client.ask_unsigned(&mut server, &request);
    assert_eq!((response.code(), response.bytes().len()), (0, 32));
}

/// RFC 8489 section 6.3.1: a Binding request needs no credentials, and credentials make no
/// difference.
#[test]
fn credentials_change_nothing() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    let (datagram, transaction) = client.sign(&Request::binding());
    let response = client.answer(&mut server, &datagram, transaction);
    assert_eq!((response.code(), response.bytes().len()), (0, 32));
    assert_eq!(server.allocations(), 0);
}
