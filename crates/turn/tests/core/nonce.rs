//! Nonces (RFC 8489 sections 9.2.4 and 9.2.5, threats 6 and 7).

use byway_test_support::turn::{Client, Request, Server, seconds};
use byway_turn::time::Now;

fn server_and_client() -> (Server, Client) {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    (server, client)
}

#[test]
fn threat_7_a_nonce_is_good_for_600_seconds() {
    for (age, code) in [(0, 0), (599, 0), (600, 0), (601, 438), (100_000, 438)] {
        let (mut server, mut client) = server_and_client();
        server.advance(seconds(age));
        client = Client { nonce: client.nonce, ..Client::new(&server, "203.0.113.9:5000", "alice") };
        assert_eq!(client.ask_once(&mut server, &Request::allocate()).code(), code, "after {age} s");
    }
}

/// RFC 8489 section 9.2.4: a 438 contains the nonce with which the client succeeds.
#[test]
fn a_stale_nonce_comes_with_a_fresh_one() {
    let (mut server, mut client) = server_and_client();
    server.advance(seconds(700));
    let stale = client.ask_once(&mut server, &Request::allocate());
    assert_eq!(stale.code(), 438);
    client.nonce = stale.nonce();
    assert_eq!(client.ask_once(&mut server, &Request::allocate()).code(), 0);
}

#[test]
fn threat_7_a_nonce_of_another_port_or_address_is_stale() {
    for other in ["203.0.113.9:5001", "203.0.113.10:5000", "[2001:db8::9]:5000"] {
        let (mut server, client) = server_and_client();
        let mut thief = Client { nonce: client.nonce.clone(), ..client.at(other) };
        assert_eq!(thief.ask_once(&mut server, &Request::allocate()).code(), 438, "{other}");
        assert_eq!(server.allocations(), 0);
    }
}

/// A nonce whose issue time is in the future.
#[test]
fn threat_7_a_nonce_from_the_future_is_stale() {
    let (mut server, _) = server_and_client();
    let here = server.now;
    server.now = Now { unix: here.unix + 1, ..here };
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    server.now = here;
    assert_eq!(client.ask_once(&mut server, &Request::allocate()).code(), 438);
}

#[test]
fn threat_7_a_forged_nonce_is_stale() {
    let (mut server, client) = server_and_client();
    for at in 0..client.nonce.len() {
        let mut forged = client.clone();
        forged.nonce[at] = if forged.nonce[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(forged.ask_once(&mut server, &Request::allocate()).code(), 438, "character {at}");
    }
    let longer = [&client.nonce[..], b"A"].concat();
    for bad in [&b""[..], b"A", &client.nonce[1..], &longer, &[0xFF; 16], &[b'A'; 763]] {
        let mut forged = Client { nonce: bad.to_vec(), ..client.clone() };
        assert_eq!(forged.ask_once(&mut server, &Request::allocate()).code(), 438);
    }
}

/// All shards accept each other's nonces, because the kernel may deliver a client to another shard.
#[test]
fn a_nonce_is_good_on_every_shard() {
    let mut server = Server::with(2, |_| {});
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    client.shard = 1;
    assert_eq!(client.ask_once(&mut server, &Request::allocate()).code(), 0);
}

/// A nonce is not limited to one request: it may be used until it is stale.
#[test]
fn a_nonce_serves_many_requests() {
    let (mut server, mut client) = server_and_client();
    assert_eq!(client.ask_once(&mut server, &Request::allocate()).code(), 0);
    for _ in 0..10 {
        assert_eq!(client.ask_once(&mut server, &Request::refresh(600)).code(), 0);
    }
}
