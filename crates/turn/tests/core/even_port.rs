//! EVEN-PORT and RESERVATION-TOKEN (RFC 8656 sections 7.2, 18.5 and 18.10; threats 17 and 49).

use byway_test_support::turn::{Bind, Client, Request, Response, Seen, Server, at, seconds};
use stun::attributes::{ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN};

use byway_turn::server::{DropReason, Settings};

fn even(reserve: bool) -> Request {
    Request::allocate().with(ATTR_EVEN_PORT, &[if reserve { 0x80 } else { 0 }])
}

fn reserved(token: &[u8]) -> Request {
    Request::allocate().with(ATTR_RESERVATION_TOKEN, token)
}

#[test]
fn the_port_is_even() {
    let mut server = Server::new();
    for n in 0..32 {
        let mut client = Client::new(&server, &format!("203.0.113.9:{}", 5000 + n), "alice");
        let response = client.granted(&mut server, &even(false));
        assert!(response.relayed().port().is_multiple_of(2));
        assert!(!response.kinds().contains(&ATTR_RESERVATION_TOKEN), "no reservation was requested");
    }
    let mut late = Client::new(&server, "203.0.113.9:6000", "alice");
    assert_eq!(late.refused(&mut server, &even(false)), 508, "only odd ports are left");
}

/// The token gives its holder the next higher port, on any shard.
#[test]
fn the_token_is_good_for_the_next_port_on_any_shard() {
    let mut server = Server::with(2, |_| {});
    for shard in 0..2 {
        let mut first = Client::on(0, &server, &format!("203.0.113.9:{}", 5000 + shard), "alice");
        let mut second = Client::on(shard, &server, &format!("203.0.113.9:{}", 6000 + shard), "alice");
        let response = first.granted(&mut server, &even(true));
        let token = response.get(ATTR_RESERVATION_TOKEN);
        let claimed = second.granted(&mut server, &reserved(&token));
        assert_eq!(claimed.relayed().port(), response.relayed().port() + 1);
        assert!(!claimed.kinds().contains(&ATTR_RESERVATION_TOKEN));
    }
}

/// RFC 8656 section 7.2: the token carries the family, here IPv6.
#[test]
fn a_reserved_port_is_of_the_family_that_it_was_reserved_in() {
    let mut server = Server::new();
    let mut first = Client::new(&server, "203.0.113.9:5000", "alice");
    let response = first.granted(&mut server, &Request::allocate_v6().with(ATTR_EVEN_PORT, &[0x80]));
    let mut second = Client::new(&server, "203.0.113.9:5001", "alice");
    let claimed = second.granted(&mut server, &reserved(&response.get(ATTR_RESERVATION_TOKEN)));
    assert_eq!(claimed.relayed().ip(), response.relayed().ip());
    assert_eq!(claimed.relayed().port(), response.relayed().port() + 1);
}

#[test]
fn a_token_is_good_once_and_for_thirty_seconds() {
    let mut server = Server::new();
    let mut clients = (0..).map(|n| format!("203.0.113.9:{}", 5000 + n));
    let mut client = |server: &Server| Client::new(server, &clients.next().unwrap(), "alice");
    let mut token =
        |server: &mut Server| client(server).granted(server, &even(true)).get(ATTR_RESERVATION_TOKEN);
    let (late, once) = (token(&mut server), token(&mut server));
    let claim = |server: &mut Server, port: u16, token: &[u8]| {
        Client::new(server, &format!("203.0.113.10:{port}"), "alice").ask(server, &reserved(token)).code()
    };
    server.advance(seconds(29));
    assert_eq!(claim(&mut server, 1, &once), 0);
    assert_eq!(claim(&mut server, 2, &once), 508);
    server.advance(seconds(1));
    assert_eq!(claim(&mut server, 3, &late), 508);
}

/// The socket of the reserved port is open before any client learns the port. It stays open until
/// its token is used or expires.
#[test]
fn threat_49_a_reserved_port_is_held() {
    let mut server = Server::with(2, |_| {});
    let mut first = Client::on(0, &server, "203.0.113.9:5000", "alice");
    let response = first.granted(&mut server, &even(true));
    let next = at(&format!("45.0.0.1:{}", response.relayed().port() + 1));
    assert_eq!(server.reserved(), [next]);
    let token = response.get(ATTR_RESERVATION_TOKEN);
    // Neither the end of its allocation nor other requests close it.
    first.granted(&mut server, &Request::refresh(0));
    server.advance(seconds(29));
    assert_eq!(server.reserved(), [next]);
    let mut second = Client::on(1, &server, "203.0.113.9:5001", "bob");
    assert_eq!(second.granted(&mut server, &reserved(&token)).relayed(), next);
    assert_eq!((server.reserved(), server.sockets()), (vec![], vec![next]));
    server.advance(seconds(100));
    assert_eq!(server.sockets(), [next], "it is the second client's now");

    first.granted(&mut server, &even(true));
    server.advance(seconds(29));
    assert_eq!(server.reserved().len(), 1);
    server.advance(seconds(1));
    assert_eq!(server.reserved().len(), 0);
}

/// The response follows when both sockets are bound.
#[test]
fn threat_49_no_token_is_given_before_its_port_is_bound() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    server.binds.push_back(Bind::Hangs);
    let (datagram, _) = client.sign(&even(true));
    assert_eq!(client.send(&mut server, &datagram), Seen::Waiting);
    server.advance(seconds(20));
    let Seen::Reply(_, _, bytes) = server.answer_bind(Ok(())) else { panic!("not answered") };
    assert_eq!(server.reserved().len(), 1);
    let token = Response::read(&bytes).get(ATTR_RESERVATION_TOKEN);
    server.advance(seconds(29));
    let mut second = Client::new(&server, "203.0.113.9:5001", "alice");
    second.granted(&mut server, &reserved(&token));
}

/// An allocation that ends before its sockets are bound leaves no reservation.
#[test]
fn threat_49_a_pair_that_comes_too_late_is_lost_to_nobody() {
    let mut server = Server::with(1, |settings| {
        settings.ports = 50_000..=50_001;
        settings.quota.allocations = 2;
        settings.quota.allocations_per_user = 2;
    });
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    server.binds.push_back(Bind::Hangs);
    let (datagram, _) = client.sign(&even(true));
    assert_eq!(client.send(&mut server, &datagram), Seen::Waiting);
    server.advance(seconds(601));
    client.nonce.clear();
    let response = client.granted(&mut server, &even(true));
    assert_eq!(server.answer_bind(Ok(())), Seen::Dropped(DropReason::NoAllocation));
    assert_eq!((server.sockets(), server.reserved().len()), (vec![response.relayed()], 1));
}

/// A reserved port counts against its name, its address and the server, because it holds a file
/// descriptor.
#[test]
fn threat_49_a_reserved_port_has_its_place_in_every_quota() {
    type Limit = fn(&mut Settings);
    let limits: [(Limit, u16); 3] = [
        (|settings| settings.quota.allocations_per_user = 2, 486),
        (|settings| settings.quota.allocations_per_address = 2, 486),
        (|settings| settings.quota.allocations = 2, 508),
    ];
    for (limit, code) in limits {
        let mut server = Server::with(2, limit);
        let mut clients: Vec<Client> = (0..3)
            .map(|n| Client::on(n % 2, &server, &format!("203.0.113.9:{}", 5000 + n), "alice"))
            .collect();
        let token = clients[0].granted(&mut server, &even(true)).get(ATTR_RESERVATION_TOKEN);
        assert_eq!(clients[1].refused(&mut server, &Request::allocate()), code);
        assert_eq!(clients[1].refused(&mut server, &even(true)), code);
        // When its token is used, its place in the quota becomes the allocation's.
        clients[1].granted(&mut server, &reserved(&token));
        assert_eq!(clients[2].refused(&mut server, &Request::allocate()), code);
        clients[0].granted(&mut server, &Request::refresh(0));
        clients[1].granted(&mut server, &Request::refresh(0));
        server.advance(seconds(121));
        assert_eq!(clients[2].refused(&mut server, &reserved(&token)), 508);
        clients[2].granted(&mut server, &even(true));
        server.advance(seconds(30));
        if code == 508 {
            clients[1].granted(&mut server, &Request::allocate());
        }
    }
}

/// Threat 10: the quota of the user of a token is charged, not that of its first owner.
#[test]
fn threat_10_a_token_is_no_way_around_a_quota() {
    let mut server = Server::with(1, |settings| settings.quota.allocations_per_address = 2);
    let mut first = Client::new(&server, "203.0.113.9:5000", "alice");
    let token = first.granted(&mut server, &even(true)).get(ATTR_RESERVATION_TOKEN);
    for port in 5000..5002 {
        Client::allocated(&mut server, &format!("203.0.113.10:{port}"), "bob");
    }
    let mut over = Client::new(&server, "203.0.113.10:5002", "bob");
    assert_eq!(over.refused(&mut server, &reserved(&token)), 486);
    assert_eq!(server.reserved().len(), 1, "it stays reserved");
    Client::new(&server, "203.0.113.11:5000", "carol").granted(&mut server, &reserved(&token));
    Client::allocated(&mut server, "203.0.113.9:5001", "alice");
}

/// A draining server creates no allocation, even for a valid token.
#[test]
fn a_token_is_508_while_the_server_drains() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let token = client.granted(&mut server, &even(true)).get(ATTR_RESERVATION_TOKEN);
    server.shared.drain();
    let mut second = Client::new(&server, "203.0.113.9:5001", "alice");
    assert_eq!(second.refused(&mut server, &reserved(&token)), 508);
    client.granted(&mut server, &Request::refresh(0));
    assert_eq!(server.shared.allocations(), 0, "the server does not wait for the reservation");
    server.advance(seconds(30));
    assert!(server.reserved().is_empty());
}

/// Threat 17: a thousand cycles on eight ports, after which eight clients can still allocate.
#[test]
fn threat_17_a_thousand_cycles_lose_no_port() {
    let mut server = Server::with(2, |settings| settings.ports = 50_000..=50_007);
    for cycle in 0..1000_usize {
        let mut first = Client::on(0, &server, "203.0.113.9:5000", "alice");
        let mut second = Client::on(1, &server, "203.0.113.9:5001", "bob");
        let response = first.granted(&mut server, &even(true));
        if cycle % 2 == 0 {
            second.granted(&mut server, &reserved(&response.get(ATTR_RESERVATION_TOKEN)));
            if cycle % 4 == 0 {
                second.granted(&mut server, &Request::refresh(0));
            }
        }
        if cycle % 3 == 0 {
            first.granted(&mut server, &Request::refresh(0));
        }
        server.advance(seconds(721));
        assert_eq!((server.allocations(), server.reserved().len()), (0, 0));
    }
    for n in 0..8 {
        Client::allocated(&mut server, &format!("203.0.113.9:{}", 7000 + n), "alice");
    }
    assert_eq!(server.sockets().len(), 8);
}
