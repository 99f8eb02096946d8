//! Relay sockets that cannot be bound. The server tries other ports, then answers 508, and leaks
//! nothing (RFC 8656 section 7.2).

use byway_test_support::turn::{Bind, Client, Request, Seen, Server, at, seconds};
use byway_turn::server::Answer;
use byway_turn::server::BindError::{AddressGone, Exhausted, PortInUse};
use stun::attributes::{ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN};

/// Creates a server of eight ports and as many allocations, so that a leak is noticed.
fn server(binds: impl IntoIterator<Item = Bind>) -> Server {
    let mut server = Server::with(1, |settings| {
        settings.ports = 50_000..=50_007;
        settings.quota.allocations = 8;
    });
    server.binds.extend(binds);
    server
}

/// Checks that, once every rest is over, each port and each place in the quota is available again.
fn nothing_is_lost(server: &mut Server) {
    server.advance(seconds(30));
    assert_eq!((server.allocations(), server.sockets().len(), server.reserved().len()), (0, 0, 0));
    server.advance(seconds(120));
    server.unrested = 0;
    for n in 0..8 {
        Client::allocated(server, &format!("203.0.113.77:{}", 5000 + n), "all");
    }
    assert_eq!(server.unrested, 0);
}

#[test]
fn a_port_that_another_program_has_is_replaced() {
    let mut server = server([Bind::Fails(PortInUse), Bind::Fails(PortInUse)]);
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    assert_eq!(server.tried.len(), 3);
    assert_eq!(server.tried[2], relayed);
    assert!(!server.tried[..2].contains(&relayed));
    client.granted(&mut server, &Request::refresh(0));
    nothing_is_lost(&mut server);
}

#[test]
fn after_so_many_ports_it_is_508() {
    let mut server = server([Bind::Fails(PortInUse); 8]);
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    assert_eq!(client.refused(&mut server, &Request::allocate()), 508);
    server.tried.sort_unstable();
    server.tried.dedup();
    assert_eq!(server.tried.len(), 8, "eight different ports");
    nothing_is_lost(&mut server);
}

#[test]
fn a_server_that_has_run_out_says_508_at_once() {
    let mut server = server([Bind::Fails(Exhausted)]);
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    assert_eq!(client.refused(&mut server, &Request::allocate()), 508);
    assert_eq!(server.tried.len(), 1);
    nothing_is_lost(&mut server);
}

/// A missing address is not a lack of capacity. A separate metric counts it, and other ports do not
/// help.
#[test]
fn threat_35_an_address_that_the_machine_has_lost_is_440_and_counted_apart() {
    let mut server = server([Bind::Fails(AddressGone); 2]);
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    assert_eq!(client.refused(&mut server, &Request::allocate()), 440);
    assert_eq!(server.tried.len(), 1);
    let (datagram, _) = client.sign(&Request::allocate());
    assert!(matches!(client.send(&mut server, &datagram), Seen::Reply(_, Answer::AddressMissing, _)));
    nothing_is_lost(&mut server);
}

/// Of two reasons, the response names the one that passes sooner.
#[test]
fn threat_35_a_dual_allocation_without_either_family_tells_of_the_capacity() {
    for (binds, code) in
        [([AddressGone, AddressGone], 440), ([AddressGone, Exhausted], 508), ([Exhausted, AddressGone], 508)]
    {
        let mut server = server(binds.map(Bind::Fails));
        let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
        assert_eq!(client.refused(&mut server, &Request::allocate_dual()), code, "{binds:?}");
        nothing_is_lost(&mut server);
    }
}

/// Clients that retry while no socket is available must not use up the ports for later.
#[test]
fn a_port_that_was_never_bound_does_not_rest() {
    let mut server = server([Bind::Fails(Exhausted); 100]);
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    for _ in 0..100 {
        assert_eq!(client.refused(&mut server, &Request::allocate()), 508);
    }
    for n in 0..8 {
        Client::allocated(&mut server, &format!("203.0.113.77:{}", 5000 + n), "all");
    }
}

#[test]
fn an_even_port_that_another_program_has_is_replaced_by_an_even_one() {
    for even in [0x00, 0x80] {
        let mut server = server([Bind::Fails(PortInUse)]);
        let even = Request::allocate().with(ATTR_EVEN_PORT, &[even]);
        let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
        client.granted(&mut server, &even);
        assert_eq!(server.tried.len(), 2);
        assert_ne!(server.tried[0], server.tried[1]);
        assert!(server.tried.iter().all(|tried| tried.port().is_multiple_of(2)));
    }
}

/// The token reserves the neighbour of the port that could be bound.
#[test]
fn the_neighbour_is_that_of_the_port_in_use_at_last() {
    let even = Request::allocate().with(ATTR_EVEN_PORT, &[0x80]);
    let mut server = server([Bind::Fails(PortInUse)]);
    let mut first = Client::new(&server, "203.0.113.9:5000", "alice");
    let token = first.granted(&mut server, &even).get(ATTR_RESERVATION_TOKEN);
    let mut second = Client::new(&server, "203.0.113.9:5001", "alice");
    second.granted(&mut server, &Request::allocate().with(ATTR_RESERVATION_TOKEN, &token));
    assert_eq!(server.tried[2].port(), server.tried[1].port() + 1);
    first.granted(&mut server, &Request::refresh(0));
    second.granted(&mut server, &Request::refresh(0));
    nothing_is_lost(&mut server);
}

/// A token stands for one port.
#[test]
fn a_reserved_port_has_no_substitute() {
    let even = Request::allocate().with(ATTR_EVEN_PORT, &[0x80]);
    for error in [PortInUse, Exhausted] {
        let mut server = server([Bind::Works, Bind::Fails(error)]);
        let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
        let token = client.granted(&mut server, &even).get(ATTR_RESERVATION_TOKEN);
        let mut second = Client::new(&server, "203.0.113.9:5001", "alice");
        let reserved = Request::allocate().with(ATTR_RESERVATION_TOKEN, &token);
        assert_eq!(second.refused(&mut server, &reserved), 508);
        assert_eq!(server.tried.len(), 2);
        client.granted(&mut server, &Request::refresh(0));
        nothing_is_lost(&mut server);
    }
}

/// Either socket of a pair may fail to bind. Then the server keeps neither and announces neither.
#[test]
fn threat_49_a_pair_that_cannot_be_bound_is_replaced_by_a_pair() {
    let even = Request::allocate().with(ATTR_EVEN_PORT, &[0x80]);
    let mut server = server([Bind::Fails(PortInUse), Bind::Fails(PortInUse)]);
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let relayed = client.granted(&mut server, &even).relayed();
    assert_eq!(server.tried.len(), 3);
    assert_eq!(server.reserved(), [at(&format!("45.0.0.1:{}", relayed.port() + 1))]);
    client.granted(&mut server, &Request::refresh(0));
    nothing_is_lost(&mut server);

    for error in [PortInUse, Exhausted] {
        let mut server = self::server([Bind::Fails(error); 8]);
        let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
        assert_eq!(client.refused(&mut server, &even), 508);
        server.binds.clear();
        nothing_is_lost(&mut server);
    }
}

#[test]
fn the_client_may_try_again_on_the_same_five_tuple() {
    let mut server = server([Bind::Fails(Exhausted)]);
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    assert_eq!(client.refused(&mut server, &Request::allocate()), 508);
    client.granted(&mut server, &Request::allocate());
    assert_eq!(server.allocations(), 1);
}
