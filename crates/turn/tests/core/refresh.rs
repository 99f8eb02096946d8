//! Refresh (RFC 8656 section 8).

use byway_test_support::turn::{Client, Request, Seen, Server, at, seconds};
use stun::attributes::{ATTR_LIFETIME, ATTR_MESSAGE_INTEGRITY, ATTR_REQUESTED_ADDRESS_FAMILY};
use stun::message::METHOD_REFRESH;

use byway_turn::server::DropReason;

#[test]
fn the_lifetime_counts_from_now() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    server.advance(seconds(500));
    let response = client.granted(&mut server, &Request::bare(METHOD_REFRESH));
    assert_eq!(response.kinds(), [ATTR_LIFETIME, ATTR_MESSAGE_INTEGRITY]);
    assert_eq!(response.lifetime(), 600);
    server.advance(seconds(599));
    assert_eq!(server.allocations(), 1);
    server.advance(seconds(1));
    assert_eq!(server.allocations(), 0);
}

#[test]
fn the_lifetime_is_between_ten_minutes_and_an_hour() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let granted = [1, 599, 600, 1800, 3600, 3601, u32::MAX]
        .map(|asked| client.granted(&mut server, &Request::refresh(asked)).lifetime());
    assert_eq!(granted, [600, 600, 600, 1800, 3600, 3600, 3600]);
}

#[test]
fn zero_ends_it_at_once() {
    let mut server = Server::new();
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    let response = client.granted(&mut server, &Request::refresh(0));
    assert_eq!(response.lifetime(), 0);
    assert_eq!((server.allocations(), server.announced_channels()), (0, 0));
    assert_eq!(server.sockets(), []);
    assert_eq!(client.send_on(&mut server, 0x4000, b"late"), Seen::Dropped(DropReason::NoAllocation));
    assert_eq!(client.refused(&mut server, &Request::refresh(0)), 437);
    let next = client.granted(&mut server, &Request::allocate()).relayed();
    assert_ne!(next, relayed, "the port rests (threat 16)");
}

#[test]
fn the_family_must_be_the_allocations() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let with = |family| Request::refresh(0).with(ATTR_REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0]);
    for family in [0, 2, 3] {
        assert_eq!(client.refused(&mut server, &with(family)), 443);
    }
    assert_eq!(server.allocations(), 1);
    client.granted(&mut server, &with(1));
    assert_eq!(server.allocations(), 0);
}

#[test]
fn without_an_allocation_it_is_437() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    for lifetime in [0, 600] {
        assert_eq!(client.refused(&mut server, &Request::refresh(lifetime)), 437);
    }
}

#[test]
fn a_lifetime_of_a_wrong_size_is_400() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    for wrong in [&[][..], &[0], &[0; 8]] {
        assert_eq!(
            client.refused(&mut server, &Request::bare(METHOD_REFRESH).with(ATTR_LIFETIME, wrong)),
            400
        );
    }
    assert_eq!(server.allocations(), 1);
}

/// Threat 16: after its allocation ends, a port is not reused for two minutes, if there is another.
#[test]
fn threat_16_a_port_rests_for_two_minutes() {
    let mut server = Server::with(1, |settings| settings.ports = 50_000..=50_001);
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::refresh(0));
    server.advance(seconds(119));
    let other = client.granted(&mut server, &Request::allocate()).relayed();
    assert_ne!(other, relayed);
    server.advance(seconds(1));
    assert_eq!(Client::allocated(&mut server, "203.0.113.9:5001", "alice").1, relayed);
    assert_eq!(server.unrested, 0);
}

/// If no port has rested its time, the server gives the one that has rested longest. A call that
/// may receive a stray datagram is better than a 508. Late datagrams of earlier peers meet the
/// permissions of the new owner.
#[test]
fn threat_44_the_longest_rested_port_is_given_rather_than_508() {
    let mut server = Server::with(1, |settings| settings.ports = 50_000..=50_039);
    let mut given = Vec::new();
    for _ in 0..400 {
        let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
        given.push(client.granted(&mut server, &Request::allocate()).relayed());
        server.advance(seconds(1));
        client.granted(&mut server, &Request::refresh(0));
    }
    // The first forty in random order, then repeatedly in that order.
    assert!((40..400).all(|n| given[n] == given[n - 40]), "{given:?}");
    assert_eq!(server.unrested, 360);

    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "bob");
    let stranger = at("8.8.8.8:53");
    assert_eq!(server.peer_datagram(relayed, stranger, b"late"), Seen::Dropped(DropReason::NoPermission));
    client.granted(&mut server, &Request::refresh(0));
    let taken: Vec<_> = (0..40)
        .map(|n| Client::allocated(&mut server, &format!("203.0.113.10:{}", 5000 + n), "bob"))
        .collect();
    let mut late = Client::new(&server, "203.0.113.9:5001", "alice");
    assert_eq!(late.refused(&mut server, &Request::allocate()), 508, "all ports are in use");
    drop(taken);
}
