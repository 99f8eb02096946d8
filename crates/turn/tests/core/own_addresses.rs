//! An address becomes the machine's own while channels and permissions lead to it. They end at
//! once, and nothing else does.

use byway_test_support::turn::{Client, Request, Seen, Server, at, seconds};
use byway_turn::server::DropReason;

const RELAYS: &str = "45.0.0.1 2a0a::1";
const BEFORE: &str = "45.0.0.1/32 2a0a::1/128";
/// Addresses of peers, before the machine gets one of them.
const PEERS: [&str; 2] = ["45.0.0.9:9000", "8.8.8.8:53"];

fn becomes_own(own: &str) -> String {
    format!("{BEFORE} {own}")
}

/// Creates two shards, each with a client that has a channel to every peer.
fn on_channels() -> (Server, [Client; 2]) {
    let mut server = Server::with(2, |_| {});
    server.on_machine(BEFORE, RELAYS);
    let mut clients =
        [0, 1].map(|n| Client::on(n, &server, &format!("203.0.113.{}:5000", 9 + n), ["alice", "bob"][n]));
    for client in &mut clients {
        client.granted(&mut server, &Request::allocate());
        for (number, peer) in (0x4000..).zip(PEERS) {
            client.granted(&mut server, &Request::channel_bind(number, at(peer)));
        }
    }
    (server, clients)
}

#[test]
fn threat_36_a_channel_whose_peer_becomes_own_ends_at_once() {
    for own in ["45.0.0.9/32", "45.0.0.8/29", "45.0.0.0/8"] {
        let (mut server, clients) = on_channels();
        assert!(matches!(clients[1].send_on(&mut server, 0x4000, b"x"), Seen::ToPeer { .. }));
        assert_eq!(server.on_machine(&becomes_own(own), RELAYS), 0, "no allocation ends");
        assert_eq!(server.announced_channels(), 2, "{own}");
        let sockets = server.sockets();
        for (mut client, socket) in clients.into_iter().zip(sockets) {
            assert_eq!(client.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoChannel));
            let send = client.send_unsigned(&mut server, &Request::send(at(PEERS[0]), b"x"));
            assert_eq!(send, Seen::Dropped(DropReason::NoPermission));
            let inbound = server.peer_datagram(socket, at(PEERS[0]), b"x");
            assert_eq!(inbound, Seen::Dropped(DropReason::NoPermission));
            for refused in [Request::permission(at(PEERS[0])), Request::channel_bind(0x4000, at(PEERS[0]))] {
                assert_eq!(client.refused(&mut server, &refused), 403);
            }
            assert!(matches!(client.send_on(&mut server, 0x4001, b"x"), Seen::ToPeer { .. }));
            assert!(matches!(server.peer_datagram(socket, at(PEERS[1]), b"x"), Seen::ToClient(..)));
        }
    }
}

/// Even before a shard is told, no request creates a permission or channel to such an address.
#[test]
fn threat_36_nothing_begins_between_the_news_and_its_end() {
    let (mut server, mut clients) = on_channels();
    server.learn(&becomes_own("45.0.0.0/24"), RELAYS);
    let client = &mut clients[0];
    for refused in [
        Request::channel_bind(0x4000, at(PEERS[0])),
        Request::channel_bind(0x4002, at("45.0.0.10:9")),
        Request::permission(at(PEERS[0])),
    ] {
        assert_eq!(client.refused(&mut server, &refused), 403);
    }
    let send = client.send_unsigned(&mut server, &Request::send(at(PEERS[0]), b"x"));
    assert_eq!(send, Seen::Dropped(DropReason::PeerDenied));
    server.enforce();
    assert_eq!(client.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoChannel));
}

/// The number rests as after a normal end (RFC 8656 section 12), so late datagrams reach no other
/// peer.
#[test]
fn threat_36_its_number_rests_and_is_free_afterwards() {
    let (mut server, mut clients) = on_channels();
    server.on_machine(&becomes_own("45.0.0.9/32"), RELAYS);
    let client = &mut clients[0];
    let elsewhere = Request::channel_bind(0x4000, at("8.8.4.4:53"));
    server.advance(seconds(299));
    assert_eq!(client.refused(&mut server, &elsewhere), 400);
    server.advance(seconds(2));
    client.granted(&mut server, &elsewhere);
}

/// After the machine loses the address, a request can permit that peer again.
#[test]
fn threat_36_what_the_machine_gives_up_is_open_again() {
    let (mut server, mut clients) = on_channels();
    server.on_machine(&becomes_own("45.0.0.9/32"), RELAYS);
    server.on_machine(BEFORE, RELAYS);
    let client = &mut clients[0];
    assert_eq!(client.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoChannel));
    client.granted(&mut server, &Request::channel_bind(0x4000, at(PEERS[0])));
    assert!(matches!(client.send_on(&mut server, 0x4000, b"x"), Seen::ToPeer { .. }));
}

#[test]
fn threat_36_permissions_without_a_channel_end_too() {
    let (mut server, mut clients) = on_channels();
    let client = &mut clients[0];
    let peer = at("45.0.0.7:9000");
    client.granted(&mut server, &Request::permission(peer));
    server.on_machine(&becomes_own("45.0.0.7/32"), RELAYS);
    let socket = server.sockets()[0];
    assert_eq!(server.peer_datagram(socket, peer, b"x"), Seen::Dropped(DropReason::NoPermission));
}

/// Ranges that the operator allows stay open, except for the listeners.
#[test]
fn threat_36_an_opened_address_stays_open() {
    let mut server =
        Server::with(1, |settings| settings.peer_policy.allow = vec!["45.0.0.9/32".parse().unwrap()]);
    server.on_machine(BEFORE, RELAYS);
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    for (number, peer) in [(0x4000, PEERS[0]), (0x4001, "45.0.0.9:3478")] {
        client.granted(&mut server, &Request::channel_bind(number, at(peer)));
    }
    // From now on, a wildcard listener has that address.
    server.on_machine(&becomes_own("45.0.0.9/32"), RELAYS);
    assert!(matches!(client.send_on(&mut server, 0x4000, b"x"), Seen::ToPeer { .. }));
    assert_eq!(client.send_on(&mut server, 0x4001, b"x"), Seen::Dropped(DropReason::NoChannel));
}

/// Two clients that meet at the relay are unaffected by other addresses of the machine.
#[test]
fn threat_36_relay_to_relay_goes_on() {
    let (mut server, mut clients) = on_channels();
    let relayed = server.sockets();
    for n in [0, 1] {
        clients[n].granted(&mut server, &Request::channel_bind(0x4002, relayed[1 - n]));
    }
    server.on_machine(&becomes_own("45.0.0.9/32"), RELAYS);
    for client in &clients {
        assert!(matches!(client.send_on(&mut server, 0x4002, b"x"), Seen::ToClient(..)));
    }
}

/// The relay moves to the address of a peer, so the channel's peer is a relay port from now on.
#[test]
fn threat_36_a_peer_whose_address_becomes_the_relay_s_is_another() {
    let (mut server, mut clients) = on_channels();
    server.on_machine(&becomes_own("45.0.0.9/32"), "45.0.0.9 2a0a::1");
    assert_eq!(clients[0].send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoChannel));
    let inbound = server.peer_datagram(server.sockets()[0], at(PEERS[0]), b"x");
    assert!(
        matches!(inbound, Seen::Dropped(DropReason::NoPermission | DropReason::PeerDenied)),
        "{inbound:?}"
    );
    assert_eq!(clients[0].refused(&mut server, &Request::channel_bind(0x4000, at(PEERS[0]))), 403);
}
