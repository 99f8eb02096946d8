//! The machine's relay addresses change. Allocations on a lost address end, and new ones use the
//! current addresses.

use byway_test_support::turn::{Bind, Client, Request, Seen, Server, at, seconds};
use byway_turn::address_set::AddressSet;
use byway_turn::server::{Answer, DropReason};
use std::net::IpAddr;

const OLD: &str = "45.0.0.1";
const NEW: &str = "45.0.0.5";
const V6: &str = "2a0a::1";
const HERE: &str = "203.0.113.9:5000";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Changes the machine's addresses to `own`, and the relay's to `relays`.
fn moved(server: &mut Server, own: &[&str], relays: &[&str]) -> usize {
    let nets: Vec<String> =
        own.iter().map(|ip| format!("{ip}/{}", if ip.contains(':') { 128 } else { 32 })).collect();
    server.on_machine(&nets.join(" "), &relays.join(" "))
}

#[test]
fn threat_35_allocations_end_with_their_address_and_new_ones_get_the_new_one() {
    let mut server = Server::with(2, |_| {});
    moved(&mut server, &[OLD, V6], &[OLD, V6]);
    let mut clients = [0, 1].map(|n| Client::on(n, &server, &format!("203.0.113.{}:5000", 9 + n), "alice"));
    for client in &mut clients {
        client.granted(&mut server, &Request::allocate());
        client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    }
    assert_eq!(moved(&mut server, &[NEW, V6], &[NEW, V6]), 2);
    assert_eq!((server.allocations(), server.sockets().len(), server.announced_channels()), (0, 0, 0));
    for client in &mut clients {
        assert_eq!(
            client.refused(&mut server, &Request::refresh(600)),
            437,
            "so that clients allocate again"
        );
        let relayed = client.granted(&mut server, &Request::allocate()).relayed();
        assert_eq!(relayed.ip(), ip(NEW));
    }
    assert!(server.sockets().iter().all(|socket| socket.ip() == ip(NEW)));
}

#[test]
fn threat_35_of_a_dual_allocation_the_other_half_goes_on() {
    let mut server = Server::new();
    moved(&mut server, &[OLD, V6], &[OLD, V6]);
    let mut client = Client::new(&server, HERE, "alice");
    client.granted(&mut server, &Request::allocate_dual());
    for (number, peer) in [(0x4000, "8.8.8.8:53"), (0x4001, "[2a00::8]:53")] {
        client.granted(&mut server, &Request::channel_bind(number, at(peer)));
    }
    assert_eq!(moved(&mut server, &[V6], &[V6]), 1);
    assert_eq!((server.allocations(), server.sockets().len()), (1, 1));
    assert_eq!(client.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoChannel));
    assert!(matches!(client.send_on(&mut server, 0x4001, b"x"), Seen::ToPeer { .. }));
    client.granted(&mut server, &Request::refresh(600));
}

/// The machine gets a better address and keeps the old one: calls continue on the old one.
#[test]
fn threat_35_an_address_that_was_left_keeps_what_it_has() {
    let mut server = Server::with(2, |settings| settings.peer_policy.own = AddressSet::default());
    moved(&mut server, &[OLD, V6], &[OLD, V6]);
    let (mut alice, old) = Client::allocated(&mut server, HERE, "alice");
    assert_eq!(moved(&mut server, &[OLD, NEW, V6], &[NEW, V6]), 0);
    let mut bob = Client::on(1, &server, "203.0.113.10:5000", "bob");
    let new = bob.granted(&mut server, &Request::allocate()).relayed();
    assert_eq!((old.ip(), new.ip()), (ip(OLD), ip(NEW)));
    // Data stays in memory between the two addresses.
    alice.granted(&mut server, &Request::channel_bind(0x4000, new));
    bob.granted(&mut server, &Request::channel_bind(0x4000, old));
    for client in [&alice, &bob] {
        assert!(matches!(client.send_on(&mut server, 0x4000, b"x"), Seen::ToClient(..)));
    }
    alice.granted(&mut server, &Request::refresh(600));
    assert_eq!(moved(&mut server, &[NEW, V6], &[NEW, V6]), 1, "the address is gone");
    assert_eq!(bob.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoChannel));
    // The machine no longer has the address, so it is a peer like any other.
    assert_eq!(bob.granted(&mut server, &Request::permission(at("45.0.0.1:9"))).code(), 0);
}

#[test]
fn threat_35_a_family_without_an_address_is_440_until_it_has_one() {
    let mut server = Server::new();
    moved(&mut server, &[V6], &[V6]);
    let mut client = Client::new(&server, HERE, "alice");
    assert_eq!(client.refused(&mut server, &Request::allocate()), 440);
    let (datagram, _) = client.sign(&Request::allocate());
    assert!(matches!(client.send(&mut server, &datagram), Seen::Reply(_, Answer::AddressMissing, _)));
    let dual = client.granted(&mut server, &Request::allocate_dual());
    assert_eq!(dual.relayed().ip(), ip(V6));
    client.granted(&mut server, &Request::refresh(0));
    moved(&mut server, &[OLD, V6], &[OLD, V6]);
    assert_eq!(client.granted(&mut server, &Request::allocate()).relayed().ip(), ip(OLD));
}

/// Threat 16: late datagrams for the last owner of a port do not reach another client.
#[test]
fn threat_35_ports_of_an_address_that_comes_back_still_rest() {
    let mut server = Server::with(1, |settings| settings.ports = 50_000..=50_000);
    moved(&mut server, &[OLD, V6], &[OLD, V6]);
    let (mut client, _) = Client::allocated(&mut server, HERE, "alice");
    assert_eq!(moved(&mut server, &[NEW, V6], &[NEW, V6]), 1);
    moved(&mut server, &[OLD, V6], &[OLD, V6]);
    // This is the only port, so it is given without its rest. In a new port pool, it would count as
    // rested.
    client.granted(&mut server, &Request::allocate());
    assert_eq!(server.unrested, 1);
}

/// Repeated changes of address accumulate no state and lose no port (threat 17).
#[test]
fn threat_35_a_machine_that_changes_its_address_all_day_loses_nothing() {
    let mut server = Server::with(1, |settings| {
        settings.ports = 50_000..=50_003;
        settings.quota.allocations = 4;
    });
    for day in 0..200 {
        let address = format!("45.0.0.{}", 1 + day % 50);
        moved(&mut server, &[&address, V6], &[&address, V6]);
        let mut client = Client::new(&server, HERE, "alice");
        assert_eq!(client.granted(&mut server, &Request::allocate()).relayed().ip(), ip(&address));
        assert_eq!((server.allocations(), server.sockets().len()), (1, 1));
    }
    moved(&mut server, &[V6], &[V6]);
    assert_eq!(server.allocations(), 0);
    server.advance(seconds(120));
    moved(&mut server, &[OLD, V6], &[OLD, V6]);
    for port in 0..4 {
        Client::allocated(&mut server, &format!("203.0.113.77:{}", 5000 + port), "all");
    }
}

/// Behind a 1:1 NAT, the public address stays, and the bound one changes.
#[test]
fn threat_35_sockets_bound_to_an_address_behind_a_nat_end_with_it() {
    let mut server = Server::new();
    moved(&mut server, &["10.0.0.5", V6], &["10.0.0.5->45.0.0.1", V6]);
    let (mut client, relayed) = Client::allocated(&mut server, HERE, "alice");
    assert_eq!((relayed.ip(), server.sockets()[0].ip()), (ip(OLD), ip("10.0.0.5")));
    assert_eq!(moved(&mut server, &["10.0.0.6", V6], &["10.0.0.6->45.0.0.1", V6]), 1);
    let again = client.granted(&mut server, &Request::allocate()).relayed();
    assert_eq!((again.ip(), server.sockets()[0].ip()), (ip(OLD), ip("10.0.0.6")));
    assert_ne!(again, relayed, "the first port rests");
    // A wildcard does not depend on the machine's addresses.
    moved(&mut server, &["10.0.0.6", V6], &["0.0.0.0->45.0.0.1", V6]);
    let (_, wild) = Client::allocated(&mut server, "203.0.113.10:5000", "bob");
    assert_eq!(
        moved(&mut server, &["10.0.0.7", V6], &["0.0.0.0->45.0.0.1", V6]),
        1,
        "the allocation on 10.0.0.6"
    );
    assert_eq!(server.sockets(), [at(&format!("0.0.0.0:{}", wild.port()))]);
}

/// The relay address is lost while a bind is pending.
#[test]
fn threat_35_a_socket_that_is_being_bound_when_its_address_goes_concerns_nobody() {
    let mut server = Server::new();
    moved(&mut server, &[OLD, V6], &[OLD, V6]);
    let mut client = Client::new(&server, HERE, "alice");
    client.learn_nonce(&mut server);
    server.binds.push_back(Bind::Hangs);
    let (datagram, _) = client.sign(&Request::allocate());
    assert_eq!(client.send(&mut server, &datagram), Seen::Waiting);
    assert_eq!(moved(&mut server, &[NEW, V6], &[NEW, V6]), 1);
    assert_eq!(server.answer_bind(Ok(())), Seen::Dropped(DropReason::NoAllocation));
    assert_eq!((server.allocations(), server.sockets().len()), (0, 0));
}
