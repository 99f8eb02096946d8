//! ChannelBind (RFC 8656 section 12.2; threat 15).

use byway_test_support::turn::{Client, Request, Seen, Server, at};
use stun::attributes::{ATTR_CHANNEL_NUMBER, ATTR_MESSAGE_INTEGRITY, ATTR_XOR_PEER_ADDRESS};
use stun::message::METHOD_CHANNEL_BIND;

fn allocated() -> (Server, Client) {
    let mut server = Server::new();
    let (client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    (server, client)
}

#[test]
fn it_binds_and_permits() {
    let (mut server, mut client) = allocated();
    let peer = at("8.8.8.8:53");
    let response = client.granted(&mut server, &Request::channel_bind(0x4000, peer));
    assert_eq!(response.kinds(), [ATTR_MESSAGE_INTEGRITY]);
    assert_eq!(server.announced_channels(), 1);
    let from = server.sockets()[0];
    let sent = Seen::ToPeer { from, peer, payload: b"hello".to_vec() };
    assert_eq!(client.send_on(&mut server, 0x4000, b"hello"), sent);
    let other_port = Request::send(at("8.8.8.8:54"), b"hello");
    assert!(
        matches!(client.send_unsigned(&mut server, &other_port), Seen::ToPeer { .. }),
        "the address is permitted"
    );
}

#[test]
fn the_number_is_between_0x4000_and_0x7fff() {
    let (mut server, mut client) = allocated();
    for number in [0, 0x3FFF, 0x8000, 0xFFFF] {
        assert_eq!(
            client.refused(&mut server, &Request::channel_bind(number, at("8.8.8.8:53"))),
            400,
            "{number:#x}"
        );
    }
    client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    client.granted(&mut server, &Request::channel_bind(0x7FFF, at("8.8.8.8:54")));
    assert_eq!(server.announced_channels(), 2);
}

#[test]
fn a_missing_or_malformed_attribute_is_400() {
    let (mut server, mut client) = allocated();
    let bare = || Request::bare(METHOD_CHANNEL_BIND);
    let peer = at("8.8.8.8:53");
    for request in [
        bare(),
        bare().channel(0x4000),
        bare().peer(peer),
        bare().with(ATTR_CHANNEL_NUMBER, &[0x40, 0]).peer(peer),
        bare().channel(0x4000).with(ATTR_XOR_PEER_ADDRESS, &[0, 1, 0, 0]),
    ] {
        assert_eq!(client.refused(&mut server, &request), 400);
    }
    assert_eq!(server.announced_channels(), 0);
}

/// RFC 8489 section 14: the first of two equal attributes counts, for the permission and for the
/// channel.
#[test]
fn threat_2_of_two_peers_the_first_is_checked_and_bound() {
    let (mut server, mut client) = allocated();
    for other in ["10.0.0.1:53", "45.0.0.1:3478", "[2a00::1]:53"] {
        client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")).peer(at(other)));
        let seen = client.send_on(&mut server, 0x4000, b"x");
        assert!(matches!(seen, Seen::ToPeer { peer, .. } if peer == at("8.8.8.8:53")), "{seen:?}");
        let code = if at(other).is_ipv4() { 403 } else { 443 };
        let denied_first = Request::channel_bind(0x4001, at(other)).peer(at("8.8.4.4:53"));
        assert_eq!(client.refused(&mut server, &denied_first), code, "{other}");
        assert!(matches!(client.send_on(&mut server, 0x4001, b"x"), Seen::Dropped(_)));
    }
}

#[test]
fn the_same_pair_again_is_a_refresh() {
    let (mut server, mut client) = allocated();
    for _ in 0..3 {
        client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
        assert_eq!(server.announced_channels(), 1);
    }
}

#[test]
fn a_number_or_a_peer_that_is_bound_otherwise_is_400() {
    let (mut server, mut client) = allocated();
    client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    client.granted(&mut server, &Request::channel_bind(0x4001, at("8.8.4.4:53")));
    for (number, peer) in
        [(0x4000, "8.8.8.8:54"), (0x4000, "9.9.9.9:53"), (0x4002, "8.8.8.8:53"), (0x4000, "8.8.4.4:53")]
    {
        assert_eq!(
            client.refused(&mut server, &Request::channel_bind(number, at(peer))),
            400,
            "{number:#x} {peer}"
        );
    }
    let unpermitted = Request::send(at("9.9.9.9:53"), b"x");
    assert!(
        matches!(client.send_unsigned(&mut server, &unpermitted), Seen::Dropped(_)),
        "a rejected request permits nothing"
    );
    client.granted(&mut server, &Request::channel_bind(0x4002, at("8.8.8.8:54")));
}

#[test]
fn numbers_belong_to_their_allocation() {
    let (mut server, mut client) = allocated();
    let (mut other, _) = Client::allocated(&mut server, "203.0.113.9:5001", "alice");
    client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    other.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.4.4:53")));
    let peer_of = |seen| match seen {
        Seen::ToPeer { peer, .. } => peer,
        other => panic!("{other:?}"),
    };
    assert_eq!(peer_of(client.send_on(&mut server, 0x4000, b"x")), at("8.8.8.8:53"));
    assert_eq!(peer_of(other.send_on(&mut server, 0x4000, b"x")), at("8.8.4.4:53"));
}

#[test]
fn threat_15_the_33rd_is_508() {
    let (mut server, mut client) = allocated();
    for n in 0..32 {
        client.granted(&mut server, &Request::channel_bind(0x4000 + n, at(&format!("8.8.8.8:{}", 1000 + n))));
    }
    assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4800, at("8.8.8.8:2000"))), 508);
    assert_eq!(server.announced_channels(), 32);
    client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:1000")));
}

#[test]
fn the_family_must_be_the_allocations() {
    let (mut server, mut client) = allocated();
    assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4000, at("[2a00::1]:9"))), 443);
    let mut v6 = Client::new(&server, "203.0.113.9:5001", "alice");
    v6.granted(&mut server, &Request::allocate_v6());
    assert_eq!(v6.refused(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53"))), 443);
    v6.granted(&mut server, &Request::channel_bind(0x4000, at("[2a00::1]:9")));
}

#[test]
fn without_an_allocation_it_is_437() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53"))), 437);
}
