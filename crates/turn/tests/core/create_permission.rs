//! CreatePermission (RFC 8656 section 10.2; threat 15).

use byway_test_support::turn::{Client, Request, Seen, Server, at, seconds};
use stun::attributes::{ATTR_MESSAGE_INTEGRITY, ATTR_XOR_PEER_ADDRESS};
use stun::message::METHOD_CREATE_PERMISSION;

use byway_turn::server::DropReason;

fn permits(server: &mut Server, client: &mut Client, peer: &str) -> bool {
    match client.send_unsigned(server, &Request::send(at(peer), b"x")) {
        Seen::ToPeer { .. } => true,
        Seen::Dropped(DropReason::NoPermission) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_permits_every_peer_that_it_names_on_any_port() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let request = Request::permission(at("8.8.8.8:53")).peer(at("9.9.9.9:0"));
    let response = client.granted(&mut server, &request);
    assert_eq!(response.kinds(), [ATTR_MESSAGE_INTEGRITY]);
    let permitted = ["8.8.8.8:53", "8.8.8.8:1", "9.9.9.9:9", "8.8.4.4:53"]
        .map(|peer| permits(&mut server, &mut client, peer));
    assert_eq!(permitted, [true, true, true, false]);
}

/// All or nothing: one rejected peer rejects the others in the request.
#[test]
fn threat_2_one_bad_peer_among_good_ones_permits_none() {
    for (bad, code) in [(at("10.0.0.1:9"), 403), (at("[2a00::1]:9"), 443)] {
        for bad_first in [false, true] {
            let mut server = Server::new();
            let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
            let (first, second) = if bad_first { (bad, at("8.8.8.8:53")) } else { (at("8.8.8.8:53"), bad) };
            let request = Request::permission(first).peer(second);
            assert_eq!(client.refused(&mut server, &request), code);
            assert!(!permits(&mut server, &mut client, "8.8.8.8:53"));
        }
    }
}

#[test]
fn a_refused_request_refreshes_nothing() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::permission(at("8.8.8.8:53")));
    server.advance(seconds(200));
    client.refused(&mut server, &Request::permission(at("8.8.8.8:53")).peer(at("10.0.0.1:9")));
    server.advance(seconds(100));
    assert!(!permits(&mut server, &mut client, "8.8.8.8:53"));
}

#[test]
fn a_peer_that_is_missing_or_malformed_is_400() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let bare = || Request::bare(METHOD_CREATE_PERMISSION);
    assert_eq!(client.refused(&mut server, &bare()), 400);
    for wrong in [
        &[][..],
        &[0, 1, 2, 3],
        &[0, 1, 0, 0, 1, 2, 3, 4, 5],
        &[0, 2, 0, 0, 1, 2, 3, 4],
        &[0, 9, 0, 0, 1, 2, 3, 4],
    ] {
        assert_eq!(client.refused(&mut server, &bare().with(ATTR_XOR_PEER_ADDRESS, wrong)), 400);
        let behind = Request::permission(at("8.8.8.8:53")).with(ATTR_XOR_PEER_ADDRESS, wrong);
        assert_eq!(client.refused(&mut server, &behind), 400);
    }
    assert!(!permits(&mut server, &mut client, "8.8.8.8:53"));
}

#[test]
fn without_an_allocation_it_is_437() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    assert_eq!(client.refused(&mut server, &Request::permission(at("8.8.8.8:53"))), 437);
}

#[test]
fn threat_15_the_65th_is_508_until_one_is_over() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let peer = |n: usize| at(&format!("8.8.8.{n}:53"));
    for n in 1..=63 {
        client.granted(&mut server, &Request::permission(peer(n)));
    }
    // Two more do not fit, so neither is permitted.
    assert_eq!(client.refused(&mut server, &Request::permission(peer(64)).peer(peer(65))), 508);
    assert!(!permits(&mut server, &mut client, "8.8.8.64:53"));
    // A repeated peer and existing permissions need no room.
    client.granted(&mut server, &Request::permission(peer(64)).peer(peer(64)).peer(peer(1)));
    assert_eq!(client.refused(&mut server, &Request::permission(peer(65))), 508);
    assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4000, peer(65))), 508);
    assert_eq!(server.announced_channels(), 0);
    client.granted(&mut server, &Request::channel_bind(0x4000, peer(64)));
    server.advance_without_timer(seconds(300));
    client.granted(&mut server, &Request::permission(peer(65)));
}

/// A datagram full of peers costs no more than its rejection.
#[test]
fn threat_15_a_datagram_full_of_peers_is_508() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let many = (0..5000_u16).fold(Request::bare(METHOD_CREATE_PERMISSION), |request, n| {
        request.peer(at(&format!("8.9.{}.{}:9", n / 250, n % 250)))
    });
    assert_eq!(client.refused(&mut server, &many), 508);
    assert!(!permits(&mut server, &mut client, "8.9.0.0:9"));
}
