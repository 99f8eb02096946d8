//! After one end of a relay-to-relay flow has ended, neither it nor the next owner of its port
//! receives the flow (threat 16).

use byway_test_support::turn::{Client, Request, Seen, Server, at, seconds};
use byway_turn::server::DropReason;

/// Returns two clients on two shards that exchange data on channels, and a server with two ports.
fn flow() -> (Server, Client, Client) {
    let mut server = Server::with(2, |settings| settings.ports = 50_000..=50_001);
    let mut clients =
        [0, 1].map(|shard| Client::on(shard, &server, &format!("203.0.113.{}:5000", 9 + shard), "alice"));
    let relayed =
        clients.each_mut().map(|client| client.granted(&mut server, &Request::allocate()).relayed());
    for n in [0, 1] {
        clients[n].granted(&mut server, &Request::channel_bind(0x4000, relayed[1 - n]));
    }
    clients[0].granted(&mut server, &Request::refresh(3600));
    let [sender, receiver] = clients;
    assert!(matches!(sender.send_on(&mut server, 0x4000, b"x"), Seen::ToClient(..)));
    (server, sender, receiver)
}

#[test]
fn after_it_was_deleted() {
    let (mut server, mut sender, mut receiver) = flow();
    let relayed = server.sockets()[1];
    receiver.granted(&mut server, &Request::refresh(0));
    assert_eq!(sender.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::RelayGone));
    let seen = sender.send_unsigned(&mut server, &Request::send(relayed, b"x"));
    assert_eq!(
        seen,
        Seen::Dropped(DropReason::PeerDenied),
        "the port of an ended allocation is an own address like any other"
    );
    assert_eq!(sender.refused(&mut server, &Request::channel_bind(0x4000, relayed)), 403);
}

#[test]
fn after_it_expired_with_a_timer_or_without() {
    for with_timer in [true, false] {
        let (mut server, mut sender, mut receiver) = flow();
        let [first, second] = server.sockets()[..] else { panic!("two allocations") };
        if with_timer {
            server.advance(seconds(599))
        } else {
            server.advance_without_timer(seconds(599))
        }
        sender.granted(&mut server, &Request::permission(second));
        receiver.granted(&mut server, &Request::permission(first));
        assert!(matches!(sender.send_on(&mut server, 0x4000, b"x"), Seen::ToClient(..)));
        sender.granted(&mut server, &Request::channel_bind(0x4000, second));
        if with_timer {
            server.advance(seconds(1))
        } else {
            server.advance_without_timer(seconds(1))
        }
        let seen = sender.send_on(&mut server, 0x4000, b"x");
        let reason = if with_timer { DropReason::RelayGone } else { DropReason::NoPermission };
        assert_eq!(seen, Seen::Dropped(reason));
    }
}

/// The next owner of the port receives from the old sender only if it permits it.
#[test]
fn threat_16_the_next_owner_of_the_port_is_not_reached_unasked() {
    let (mut server, sender, mut receiver) = flow();
    let relayed = server.sockets();
    receiver.granted(&mut server, &Request::refresh(0));
    server.advance(seconds(120));
    let mut next = Client::on(1, &server, "203.0.113.77:5000", "carol");
    assert_eq!(next.granted(&mut server, &Request::allocate()).relayed(), relayed[1]);
    assert_eq!(sender.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoPermission));
    next.granted(&mut server, &Request::permission(relayed[0]));
    assert!(
        matches!(sender.send_on(&mut server, 0x4000, b"x"), Seen::ToClient(to, _) if to == next.address())
    );
}

#[test]
fn the_senders_own_end() {
    let (mut server, mut sender, _) = flow();
    sender.granted(&mut server, &Request::refresh(0));
    assert_eq!(sender.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoAllocation));
}

/// A permission for an external peer does not cover peers at this server.
#[test]
fn permissions_for_others_do_not_count() {
    let (mut server, sender, mut receiver) = flow();
    server.advance(seconds(300));
    receiver.granted(&mut server, &Request::permission(at("8.8.8.8:53")));
    assert_eq!(sender.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoPermission));
}
