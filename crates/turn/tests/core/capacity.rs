//! Causes of 508, by which metrics count it.

use byway_test_support::turn::{Bind, Client, Request, Seen, Server, at};
use byway_turn::server::BindError::{Exhausted, PortInUse};
use byway_turn::server::{Answer, CapacityCause};
use stun::attributes::ATTR_RESERVATION_TOKEN;

/// Returns the cause of the 508 that answers a request.
fn cause(server: &mut Server, client: &mut Client, request: &Request) -> CapacityCause {
    let (datagram, _) = client.sign(request);
    match client.send(server, &datagram) {
        Seen::Reply(_, Answer::NoCapacity(cause), _) => cause,
        other => panic!("no 508: {other:?}"),
    }
}

/// Creates a client that has a nonce, but no allocation.
fn client(server: &mut Server) -> Client {
    let mut client = Client::new(server, "203.0.113.9:5000", "alice");
    assert_eq!(client.refused(server, &Request::refresh(0)), 437);
    client
}

#[test]
fn each_508_names_its_cause() {
    let (allocate, by_token) =
        (Request::allocate(), Request::allocate().with(ATTR_RESERVATION_TOKEN, &[7; 8]));
    for (binds, ports, request, expected) in [
        ([Bind::Fails(PortInUse); 8].to_vec(), 8, &allocate, CapacityCause::PortsInUse),
        (vec![Bind::Fails(Exhausted)], 8, &allocate, CapacityCause::Sockets),
        (vec![], 1, &allocate, CapacityCause::Ports),
        (vec![], 8, &by_token, CapacityCause::Reservation),
    ] {
        let mut server = Server::with(1, |settings| settings.ports = 50_000..=(49_999 + ports));
        server.binds.extend(binds);
        if expected == CapacityCause::Ports {
            Client::allocated(&mut server, "203.0.113.9:4000", "bob");
        }
        let mut client = client(&mut server);
        assert_eq!(cause(&mut server, &mut client, request), expected);
    }
}

#[test]
fn a_full_allocation_names_what_it_is_full_of() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let peer = |n: usize| at(&format!("8.8.8.{n}:53"));
    for n in 1..=64 {
        client.granted(&mut server, &Request::permission(peer(n)));
    }
    let permission = Request::permission(peer(65));
    assert_eq!(cause(&mut server, &mut client, &permission), CapacityCause::Permissions);
    let channel = Request::channel_bind(0x4000, peer(65));
    assert_eq!(cause(&mut server, &mut client, &channel), CapacityCause::Channels);
}
