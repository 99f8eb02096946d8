//! EVEN-PORT and RESERVATION-TOKEN (RFC 8656 sections 7.2, 18.5 and 18.10; threat 17).

use stun::attributes::{ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN};

use super::support::{Client, Request, Server, seconds};

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
        assert!(!response.kinds().contains(&ATTR_RESERVATION_TOKEN), "none was asked for");
    }
    let mut late = Client::new(&server, "203.0.113.9:6000", "alice");
    assert_eq!(late.refused(&mut server, &even(false)), 508, "only odd ones are left");
}

/// The next higher port, for whoever has the token, whichever shard it comes to.
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

/// RFC 8656 section 7.2: the token carries the family, which is IPv6 here.
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

/// Threat 17: a thousand cycles on eight ports, then eight still allocate.
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
        assert_eq!(server.allocations(), 0);
    }
    for n in 0..8 {
        Client::allocated(&mut server, &format!("203.0.113.9:{}", 7000 + n), "alice");
    }
    assert_eq!(server.sockets().len(), 8);
}
