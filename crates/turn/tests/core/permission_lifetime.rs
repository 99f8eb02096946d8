//! Permissions last 300 seconds (RFC 8656 section 9; threat 18).

use byway_test_support::turn::{Client, Request, Seen, Server, at, seconds};
use byway_turn::server::DropReason;

const PEER: &str = "8.8.8.8:53";

/// Whether datagrams pass; both directions must agree.
fn passes(server: &mut Server, client: &mut Client) -> bool {
    let relayed = server.sockets()[0];
    let out = client.send_unsigned(server, &Request::send(at(PEER), b"x"));
    let back = server.peer_datagram(relayed, at(PEER), b"x");
    match (out, back) {
        (Seen::ToPeer { .. }, Seen::ToClient(..)) => true,
        (Seen::Dropped(DropReason::NoPermission), Seen::Dropped(DropReason::NoPermission)) => false,
        other => panic!("{other:?}"),
    }
}

fn with_permission() -> (Server, Client) {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::permission(at(PEER)));
    (server, client)
}

#[test]
fn threat_18_it_is_there_at_299_seconds_and_gone_at_300() {
    for (age, expected) in [(0, true), (299, true), (300, false), (301, false)] {
        let (mut server, mut client) = with_permission();
        server.advance(seconds(age));
        assert_eq!(passes(&mut server, &mut client), expected, "with a timer, at {age} s");
        let (mut server, mut client) = with_permission();
        server.advance_without_timer(seconds(age));
        assert_eq!(passes(&mut server, &mut client), expected, "without a timer, at {age} s");
    }
}

#[test]
fn create_permission_and_channel_bind_refresh_it() {
    for request in [Request::permission(at("8.8.8.8:0")), Request::channel_bind(0x4000, at(PEER))] {
        let (mut server, mut client) = with_permission();
        server.advance(seconds(299));
        client.granted(&mut server, &request);
        server.advance(seconds(299));
        assert!(passes(&mut server, &mut client));
        server.advance(seconds(1));
        client.granted(&mut server, &Request::refresh(600));
        assert!(!passes(&mut server, &mut client));
    }
}

/// Section 9: neither datagrams of either side nor Refresh extend a permission.
#[test]
fn threat_18_traffic_and_refresh_do_not_refresh_it() {
    let (mut server, mut client) = with_permission();
    for _ in 0..299 {
        server.advance(seconds(1));
        assert!(passes(&mut server, &mut client));
    }
    client.granted(&mut server, &Request::refresh(600));
    server.advance(seconds(1));
    assert!(!passes(&mut server, &mut client));
}
