//! Send and Data indications (RFC 8656 sections 11.2 to 11.4; threats 2 and 3).

use byway_test_support::turn::{Client, Request, Response, Seen, Server, at, permitted};
use stun::attributes::{ATTR_DATA, ATTR_XOR_PEER_ADDRESS};
use stun::message::{CLASS_INDICATION, METHOD_DATA, METHOD_SEND, MessageType};

use byway_turn::server::DropReason;

#[test]
fn the_payload_reaches_the_peer_from_the_relay_socket() {
    let (mut server, mut client) = permitted();
    let from = server.sockets()[0];
    for length in [0, 1, 2, 3, 4, 5, 1200, 65_000] {
        let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
        let seen = client.send_unsigned(&mut server, &Request::send(at("8.8.8.8:53"), &payload));
        assert_eq!(seen, Seen::ToPeer { from, peer: at("8.8.8.8:53"), payload });
    }
}

/// The whole Data indication, byte by byte except for its transaction ID. Its padding contains no
/// stale bytes (threat 3).
#[test]
fn threat_3_what_a_peer_sends_comes_as_a_data_indication_with_zero_padding() {
    let (mut server, client) = permitted();
    let relayed = server.sockets()[0];
    let mut transactions = Vec::new();
    for payload in [&b""[..], b"h", b"he", b"hel", b"hell", b"hello"] {
        let Seen::ToClient(to, bytes) = server.peer_datagram(relayed, at("8.8.8.8:53"), payload) else {
            panic!("not delivered")
        };
        assert_eq!(to, client.address());
        let padded = payload.len().next_multiple_of(4);
        let mut expected = vec![0x00, 0x17, 0x00, u8::try_from(16 + padded).unwrap(), 0x21, 0x12, 0xA4, 0x42];
        expected.extend_from_slice(&bytes[8..20]);
        // 53 ^ 0x2112 and 8.8.8.8 ^ 0x2112A442.
        expected.extend_from_slice(&[0x00, 0x12, 0x00, 0x08, 0x00, 0x01, 0x21, 0x27, 0x29, 0x1A, 0xAC, 0x4A]);
        expected.extend_from_slice(&[0x00, 0x13, 0x00, u8::try_from(payload.len()).unwrap()]);
        expected.extend_from_slice(payload);
        expected.resize(36 + padded, 0);
        assert_eq!(bytes, expected);
        transactions.push(Response::read(&bytes).transaction());
    }
    transactions.dedup();
    assert_eq!(transactions.len(), 6, "each has its own transaction ID");
}

#[test]
fn it_works_over_ipv6() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let relayed = client.granted(&mut server, &Request::allocate_v6()).relayed();
    let peer = at("[2a00::8]:53");
    client.granted(&mut server, &Request::permission(peer));
    let sent = Seen::ToPeer { from: relayed, peer, payload: b"ping".to_vec() };
    assert_eq!(client.send_unsigned(&mut server, &Request::send(peer, b"ping")), sent);
    let Seen::ToClient(_, bytes) = server.peer_datagram(relayed, peer, b"pong") else {
        panic!("not delivered")
    };
    let data = Response::read(&bytes);
    assert_eq!(data.kind(), MessageType::new(METHOD_DATA, CLASS_INDICATION));
    assert_eq!((data.peer(), data.data()), (peer, b"pong".to_vec()));
    assert_eq!(data.kinds(), [ATTR_XOR_PEER_ADDRESS, ATTR_DATA]);
}

/// Threat 2: the address that is checked is the address that is used.
#[test]
fn threat_2_of_two_peers_the_first_is_checked_and_used() {
    let (mut server, mut client) = permitted();
    let two = |first: &str, second: &str| {
        Request::bare(METHOD_SEND)
            .class(CLASS_INDICATION)
            .peer(at(first))
            .peer(at(second))
            .with(ATTR_DATA, b"x")
    };
    for other in ["9.9.9.9:53", "10.0.0.1:53", "45.0.0.1:3478", "[2a00::1]:53"] {
        let seen = client.send_unsigned(&mut server, &two("8.8.8.8:53", other));
        assert!(matches!(seen, Seen::ToPeer { peer, .. } if peer == at("8.8.8.8:53")), "{seen:?}");
        let seen = client.send_unsigned(&mut server, &two(other, "8.8.8.8:53"));
        assert_eq!(seen, Seen::Dropped(DropReason::NoPermission));
    }
}

#[test]
fn of_two_payloads_the_first_counts() {
    let (mut server, mut client) = permitted();
    let request = Request::send(at("8.8.8.8:53"), b"first").with(ATTR_DATA, b"second");
    let seen = client.send_unsigned(&mut server, &request);
    assert!(matches!(seen, Seen::ToPeer { payload, .. } if payload == b"first"));
}

#[test]
fn without_a_permission_it_is_dropped() {
    let (mut server, mut client) = permitted();
    for peer in ["8.8.8.9:53", "[2a00::1]:53"] {
        let seen = client.send_unsigned(&mut server, &Request::send(at(peer), b"x"));
        assert_eq!(seen, Seen::Dropped(DropReason::NoPermission));
    }
    let zero = client.send_unsigned(&mut server, &Request::send(at("8.8.8.8:0"), b"x"));
    assert_eq!(zero, Seen::Dropped(DropReason::PeerDenied), "port 0 is invalid");
}

/// Section 11.2: DATA and XOR-PEER-ADDRESS are both required.
#[test]
fn without_peer_or_payload_it_is_dropped() {
    let (mut server, mut client) = permitted();
    let bare = || Request::bare(METHOD_SEND).class(CLASS_INDICATION);
    let short = bare().with(ATTR_XOR_PEER_ADDRESS, &[0, 1, 0, 0]).with(ATTR_DATA, b"x");
    for request in [bare(), bare().peer(at("8.8.8.8:53")), bare().with(ATTR_DATA, b"x"), short] {
        assert_eq!(client.send_unsigned(&mut server, &request), Seen::Dropped(DropReason::Malformed));
    }
}

#[test]
fn without_an_allocation_it_is_dropped() {
    let (mut server, client) = permitted();
    let mut other = client.at("203.0.113.9:5001");
    let seen = other.send_unsigned(&mut server, &Request::send(at("8.8.8.8:53"), b"x"));
    assert_eq!(seen, Seen::Dropped(DropReason::NoAllocation));
}

/// A request of the Send method is unsupported and gets no response.
#[test]
fn a_send_request_is_dropped() {
    let (mut server, mut client) = permitted();
    let request = Request::send(at("8.8.8.8:53"), b"x").class(stun::message::CLASS_REQUEST);
    assert_eq!(client.send_unsigned(&mut server, &request), Seen::Dropped(DropReason::Unexpected));
}
