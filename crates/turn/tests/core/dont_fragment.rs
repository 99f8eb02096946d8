//! DONT-FRAGMENT (RFC 8656 sections 7.2, 13 to 15 and 18.9).

use byway_test_support::turn::{Client, Request, Seen, Server, at, permitted};
use stun::attributes::{ATTR_DONT_FRAGMENT, ATTR_LIFETIME, ATTR_XOR_RELAYED_ADDRESS};

use byway_turn::server::{DropReason, FiveTuple, StreamId, Transport};

const PEER: &str = "8.8.8.8:53";

fn whole(peer: &str) -> Request {
    Request::send(at(peer), b"hello").with(ATTR_DONT_FRAGMENT, &[])
}

/// Section 7.2, step 4: an Allocate request with the attribute asks whether the server supports it.
/// A 420 would say no.
#[test]
fn an_allocate_request_may_ask_for_it() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let response = client.granted(&mut server, &Request::allocate().with(ATTR_DONT_FRAGMENT, &[]));
    assert!(
        response.kinds().contains(&ATTR_XOR_RELAYED_ADDRESS) && response.kinds().contains(&ATTR_LIFETIME)
    );
    assert!(!response.kinds().contains(&ATTR_DONT_FRAGMENT));
}

#[test]
fn a_send_indication_with_it_goes_out_unfragmented_and_one_without_does_not() {
    let (mut server, mut client) = permitted();
    let (from, peer, payload) = (server.sockets()[0], at(PEER), b"hello".to_vec());
    let seen = client.send_unsigned(&mut server, &whole(PEER));
    assert_eq!(seen, Seen::ToPeerWhole { from, peer, payload: payload.clone() });
    let seen = client.send_unsigned(&mut server, &Request::send(peer, b"hello"));
    assert_eq!(seen, Seen::ToPeer { from, peer, payload });
}

/// The attribute in an Allocate request does not apply to the allocation. ChannelData and plain
/// Send indications stay unchanged.
#[test]
fn in_an_allocate_request_it_changes_no_datagram() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::allocate().with(ATTR_DONT_FRAGMENT, &[]));
    client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    assert!(matches!(client.send_on(&mut server, 0x4000, b"x"), Seen::ToPeer { .. }));
    let seen = client.send_unsigned(&mut server, &Request::send(at(PEER), b"x"));
    assert!(matches!(seen, Seen::ToPeer { .. }));
}

/// Section 13: between datagrams, the attribute MUST be ignored if the client or the peer uses
/// IPv6.
#[test]
fn between_datagrams_it_is_ignored_where_one_end_is_ipv6() {
    for (client, peer, is_heeded) in [
        ("203.0.113.9:5000", PEER, true),
        ("203.0.113.9:5000", "[2a00::8]:53", false),
        ("[2a00::9]:5000", PEER, false),
        ("[2a00::9]:5000", "[2a00::8]:53", false),
    ] {
        assert_eq!(is_whole(client, None, peer), is_heeded, "{client} to {peer}");
    }
}

/// Section 15: data from a stream has no DF of its own, so the attribute alone counts, for either
/// family.
#[test]
fn from_a_stream_it_is_heeded_for_either_family() {
    let stream = Transport::Stream(StreamId { shard: 0, slot: 0, generation: 1 });
    for client in ["203.0.113.9:5000", "[2a00::9]:5000"] {
        for peer in [PEER, "[2a00::8]:53"] {
            assert!(is_whole(client, Some(stream), peer), "{client} to {peer}");
        }
    }
}

/// Whether a Send indication with DONT-FRAGMENT leaves with DF set.
fn is_whole(address: &str, link: Option<Transport>, peer: &str) -> bool {
    let mut server = Server::new();
    let mut client = Client::new(&server, address, "alice");
    client.five_tuple =
        FiveTuple { transport: link.unwrap_or(client.five_tuple.transport), ..client.five_tuple };
    let v6 = at(peer).is_ipv6();
    client.granted(&mut server, &if v6 { Request::allocate_v6() } else { Request::allocate() });
    client.granted(&mut server, &Request::permission(at(peer)));
    match client.send_unsigned(&mut server, &whole(peer)) {
        Seen::ToPeerWhole { .. } => true,
        Seen::ToPeer { .. } => false,
        other => panic!("{other:?}"),
    }
}

/// A datagram that stays in memory crosses no link.
#[test]
fn from_relay_to_relay_it_changes_nothing() {
    let mut server = Server::new();
    let (mut alice, from) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let (mut bob, to) = Client::allocated(&mut server, "203.0.113.10:5000", "bob");
    alice.granted(&mut server, &Request::permission(to));
    bob.granted(&mut server, &Request::permission(from));
    let seen = alice.send_unsigned(&mut server, &whole(&to.to_string()));
    assert!(matches!(seen, Seen::ToClient(client, _) if client == bob.address()), "{seen:?}");
}

/// Section 18.9: the attribute has no value.
#[test]
fn with_a_value_it_is_malformed() {
    let (mut server, mut client) = permitted();
    let request = Request::send(at(PEER), b"x").with(ATTR_DONT_FRAGMENT, &[0; 4]);
    assert_eq!(client.send_unsigned(&mut server, &request), Seen::Dropped(DropReason::Malformed));
    let mut other = client.at("203.0.113.9:5001");
    let request = Request::allocate().with(ATTR_DONT_FRAGMENT, &[0; 4]);
    assert_eq!(other.refused(&mut server, &request), 400);
}
