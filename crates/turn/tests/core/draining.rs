//! A draining server accepts no new allocations and serves the existing ones.

use byway_test_support::turn::{Bind, Client, Request, Seen, Server, at, seconds};
use byway_turn::server::{Answer, CapacityCause};

#[test]
fn allocate_is_508_and_everything_else_goes_on() {
    let mut server = Server::with(2, |_| {});
    let peer = at("8.8.8.8:53");
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    server.shared.drain();
    for shard in [0, 1] {
        let mut late = Client::on(shard, &server, "203.0.113.10:5000", "bob");
        late.learn_nonce(&mut server);
        for request in [Request::allocate(), Request::allocate_v6(), Request::allocate_dual()] {
            let (datagram, _) = late.sign(&request);
            assert!(matches!(
                late.send(&mut server, &datagram),
                Seen::Reply(_, Answer::NoCapacity(CapacityCause::Draining), _)
            ));
            assert_eq!(late.refused(&mut server, &request), 508);
        }
    }
    client.granted(&mut server, &Request::refresh(600));
    client.granted(&mut server, &Request::permission(peer));
    client.granted(&mut server, &Request::channel_bind(0x4000, peer));
    let sent = Seen::ToPeer { from: relayed, peer, payload: b"on".to_vec() };
    assert_eq!(client.send_on(&mut server, 0x4000, b"on"), sent);
    assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4001, peer)), 400);

    client.granted(&mut server, &Request::refresh(0));
    assert_eq!((server.allocations(), server.sockets().len()), (0, 0));
    assert_eq!(
        client.refused(&mut server, &Request::allocate()),
        508,
        "not even in the place of its own allocation"
    );
}

/// Only clients with valid credentials learn that the server drains.
#[test]
fn threat_8_strangers_get_their_401() {
    let mut server = Server::new();
    server.shared.drain();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.password = "guess".into();
    assert_eq!(client.refused(&mut server, &Request::allocate()), 401);
}

/// A retransmission gets the response to its request, and a pending allocation completes.
#[test]
fn an_allocate_from_before_is_answered() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    server.binds.push_back(Bind::Hangs);
    let (datagram, transaction) = client.sign(&Request::allocate());
    assert_eq!(client.send(&mut server, &datagram), Seen::Waiting);
    server.shared.drain();
    assert!(matches!(server.answer_bind(Ok(())), Seen::Reply(_, Answer::Success, _)));
    assert_eq!(client.answer(&mut server, &datagram, transaction).code(), 0);
    server.advance(seconds(600));
    assert_eq!(server.allocations(), 0);
}
