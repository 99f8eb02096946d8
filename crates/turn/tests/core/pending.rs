//! An allocation cannot be used while its relay socket is being bound (RFC 8656 section 7.2).

use byway_test_support::turn::{Bind, Client, Request, Response, Seen, Server, at, seconds};
use byway_turn::server::BindError::PortInUse;
use byway_turn::server::DropReason;

/// Returns a client whose Allocate request waits for a bind, and that request.
fn pending(server: &mut Server) -> (Client, Vec<u8>) {
    let mut client = Client::new(server, "203.0.113.9:5000", "alice");
    client.learn_nonce(server);
    server.binds.push_back(Bind::Hangs);
    let (datagram, _) = client.sign(&Request::allocate());
    assert_eq!(client.send(server, &datagram), Seen::Waiting);
    (client, datagram)
}

#[test]
fn a_retransmission_is_dropped_and_the_answer_comes_once() {
    let mut server = Server::new();
    let (client, datagram) = pending(&mut server);
    assert_eq!(client.send(&mut server, &datagram), Seen::Dropped(DropReason::Pending));
    let Seen::Reply(to, _, bytes) = server.answer_bind(Ok(())) else { panic!("not answered") };
    assert_eq!(to, client.address());
    assert_eq!(Response::read(&bytes).code(), 0);
    assert_eq!(
        client.send(&mut server, &datagram),
        Seen::Reply(to, byway_turn::server::Answer::Success, bytes)
    );
}

#[test]
fn other_requests_are_437() {
    let mut server = Server::new();
    let (mut client, _) = pending(&mut server);
    let peer = at("8.8.8.8:53");
    for early in [
        Request::refresh(600),
        Request::refresh(0),
        Request::permission(peer),
        Request::channel_bind(0x4000, peer),
        Request::allocate(),
    ] {
        assert_eq!(client.ask_once(&mut server, &early).code(), 437);
    }
    assert!(matches!(server.answer_bind(Ok(())), Seen::Reply(..)));
    client.granted(&mut server, &Request::refresh(600));
}

/// A route published before the bind could outlive a failed bind, and then catch traffic for the
/// port's next owner.
#[test]
fn a_port_that_could_not_be_bound_leads_nowhere() {
    let mut server = Server::new();
    let (mut sender, _) = Client::allocated(&mut server, "203.0.113.10:5000", "bob");
    let (mut client, _) = pending(&mut server);
    client.ask_once(&mut server, &Request::permission(at("45.0.0.1:50000")));
    let first = *server.tried.last().unwrap();
    assert!(matches!(server.answer_bind(Err(PortInUse)), Seen::Reply(..)));
    assert_ne!(server.tried.last(), Some(&first));
    assert_eq!(sender.refused(&mut server, &Request::channel_bind(0x4000, first)), 403);
}

#[test]
fn data_is_dropped() {
    let mut server = Server::new();
    let (mut client, _) = pending(&mut server);
    let relay = *server.tried.last().unwrap();
    let peer = at("8.8.8.8:53");
    assert_eq!(server.peer_datagram(relay, peer, b"early"), Seen::Dropped(DropReason::NoAllocation));
    let sent = client.send_unsigned(&mut server, &Request::send(peer, b"early"));
    assert_eq!(sent, Seen::Dropped(DropReason::NoPermission));
    assert_eq!(client.send_on(&mut server, 0x4000, b"early"), Seen::Dropped(DropReason::NoChannel));
}

/// The bind completes after the end of the allocation's lifetime.
#[test]
fn a_bind_that_is_answered_too_late_is_over() {
    let mut server = Server::new();
    let (mut client, _) = pending(&mut server);
    server.advance(seconds(601));
    client.nonce.clear();
    let response = client.ask(&mut server, &Request::allocate());
    assert_eq!(response.code(), 0, "the first allocation has ended, so this is another");
    assert_eq!(server.answer_bind(Ok(())), Seen::Dropped(DropReason::NoAllocation));
    assert_eq!(server.sockets(), [response.relayed()]);
}
