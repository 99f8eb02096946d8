//! Datagrams that arrive at a relay socket (RFC 8656 sections 11.3 and 12.7).

use byway_test_support::turn::{Client, Request, Seen, Server, at, permitted};
use byway_turn::server::DropReason;
use byway_turn::wire::{ChannelNumber, Encapsulation};

#[test]
fn only_permitted_addresses_get_through() {
    let (mut server, _) = permitted();
    let relayed = server.sockets()[0];
    for (source, passes) in
        [("8.8.8.8:1", true), ("8.8.8.8:65535", true), ("8.8.8.9:1", false), ("[::ffff:8.8.8.8]:1", false)]
    {
        let seen = server.peer_datagram(relayed, at(source), b"x");
        assert_eq!(matches!(seen, Seen::ToClient(..)), passes, "{source}: {seen:?}");
    }
}

/// Threat 4: source port 0 is invalid.
#[test]
fn threat_4_a_peer_of_port_zero_is_dropped() {
    let (mut server, _) = permitted();
    let relayed = server.sockets()[0];
    assert_eq!(server.peer_datagram(relayed, at("8.8.8.8:0"), b"x"), Seen::Dropped(DropReason::PeerDenied));
}

/// A peer's data is never parsed: STUN and ChannelData from a peer are payload.
#[test]
fn nothing_that_a_peer_says_is_understood() {
    let (mut server, mut client) = permitted();
    let relayed = server.sockets()[0];
    client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    let (hostile, _) = client.sign(&Request::refresh(0));
    let Seen::ToClient(to, bytes) = server.peer_datagram(relayed, at("8.8.8.8:53"), &hostile) else {
        panic!("not delivered")
    };
    assert_eq!((to, &bytes[4..]), (client.address(), &hostile[..]));
    assert_eq!(server.allocations(), 1);
}

/// A payload that does not fit into a message is dropped, not truncated.
#[test]
fn what_does_not_fit_is_dropped() {
    let (mut server, mut client) = permitted();
    let relayed = server.sockets()[0];
    let peer = at("8.8.8.8:53");
    let longest = 65_535 - 48;
    let Seen::ToClient(_, bytes) = server.peer_datagram(relayed, peer, &vec![1; longest]) else {
        panic!("not delivered")
    };
    let data = byway_test_support::turn::Response::read(&bytes);
    assert_eq!(data.data().len(), longest);
    assert_eq!(
        server.peer_datagram(relayed, peer, &vec![1; longest + 1]),
        Seen::Dropped(DropReason::TooLong)
    );
    client.granted(&mut server, &Request::channel_bind(0x4000, peer));
    assert!(matches!(server.peer_datagram(relayed, peer, &vec![1; 65_535]), Seen::ToClient(..)));
    assert_eq!(server.peer_datagram(relayed, peer, &vec![1; 65_536]), Seen::Dropped(DropReason::TooLong));
}

/// The limit that the driver learns is exact.
#[test]
fn an_encapsulation_fits_what_it_wraps() {
    let channel = Encapsulation::Channel(ChannelNumber::new(0x4000).unwrap());
    assert!(channel.fits(65_535) && !channel.fits(65_536));
}

/// RFC 8656 section 2.2: a relay socket serves its own allocation only.
#[test]
fn each_relay_socket_leads_to_its_own_client() {
    let mut server = Server::with(2, |_| {});
    let peer = at("8.8.8.8:53");
    let clients: Vec<(Client, _)> = (0..8)
        .map(|n| {
            let mut client = Client::on(n % 2, &server, &format!("203.0.113.9:{}", 5000 + n), "alice");
            let relayed = client.granted(&mut server, &Request::allocate()).relayed();
            client.granted(&mut server, &Request::permission(peer));
            (client, relayed)
        })
        .collect();
    for (client, relayed) in clients {
        let seen = server.peer_datagram(relayed, peer, b"x");
        assert!(matches!(seen, Seen::ToClient(to, _) if to == client.address()));
    }
}
