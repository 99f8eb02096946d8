//! A credential that expires during a call (threat 9) no longer extends anything.
//!
//! With `strict_expiry` off, it cannot create an allocation, but the existing one lives on until
//! [`MAX_ALLOCATION_AGE`].

use byway_test_support::turn::rfc8489::Signing;
use byway_test_support::turn::{Client, Request, Response, Seen, Server, at, seconds};
use byway_turn::server::MAX_ALLOCATION_AGE;

fn lax() -> Server {
    Server::with(1, |settings| settings.strict_expiry = false)
}

/// Returns a client with an allocation and a channel whose credential expires in one second, and
/// its Allocate request.
fn almost_over(server: &mut Server) -> (Client, Vec<u8>) {
    let mut client = Client::new(server, "203.0.113.9:5000", "alice");
    client.learn_nonce(server);
    let (allocate, transaction) = client.sign(&Request::allocate().lifetime(3600));
    assert_eq!(client.answer(server, &allocate, transaction).code(), 0);
    server.advance(seconds(1000));
    client.granted(server, &Request::refresh(3600));
    server.advance(seconds(2599));
    // This request gets a 438 and a new nonce.
    client.granted(server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    (client, allocate)
}

fn every_method() -> [Request; 5] {
    let peer = at("8.8.8.8:53");
    [
        Request::allocate(),
        Request::refresh(600),
        Request::refresh(1),
        Request::permission(peer),
        Request::channel_bind(0x4000, peer),
    ]
}

#[test]
fn threat_9_each_method_is_good_until_the_last_second_and_then_401() {
    let mut server = Server::new();
    let (mut client, _) = almost_over(&mut server);
    for (request, code) in every_method().iter().zip([437, 0, 0, 0, 0]) {
        assert_eq!(client.ask_once(&mut server, request).code(), code);
    }
    let mut elsewhere = client.at("203.0.113.9:5001");
    elsewhere.granted(&mut server, &Request::allocate());
    server.advance(seconds(1));
    for request in every_method() {
        for signing in [Signing::old, Signing::modern, Signing::anonymous] {
            assert_eq!(signing(&client).ask(&mut client, &mut server, &request).code(), 401);
        }
    }
    assert_eq!(elsewhere.refused(&mut server, &Request::refresh(600)), 401);
    assert_eq!(server.allocations(), 2, "existing allocations end on their own");
}

/// Threat 8: a client with the correct password of an expired credential learns no more than
/// others.
#[test]
fn threat_8_the_401_of_an_expired_credential_says_nothing_of_it() {
    let mut server = Server::new();
    let (client, allocate) = almost_over(&mut server);
    server.advance(seconds(1));
    let refusal = |client: &Client, server: &mut Server, request: &Request| {
        let mut client = client.clone();
        client.ask_once(server, request).bytes()[20..].to_vec()
    };
    let guess = Client { password: "guess".into(), ..client.clone() };
    for request in every_method() {
        let wrong = &refusal(&guess, &mut server, &request);
        assert_eq!(&refusal(&client, &mut server, &request), wrong);
        assert_eq!(&refusal(&guess.at("203.0.113.9:5000"), &mut server, &request), wrong);
    }
    // Even a retransmission of the successful Allocate request gets a 401.
    let Seen::Reply(_, _, bytes) = client.send(&mut server, &allocate) else { panic!("no answer") };
    assert_eq!(Response::read(&bytes).code(), 401);
}

#[test]
fn what_an_expired_credential_has_may_be_given_back() {
    let mut server = Server::new();
    let (mut client, _) = almost_over(&mut server);
    server.advance(seconds(1));
    let relayed = server.sockets()[0];
    let seen = client.send_on(&mut server, 0x4000, b"on");
    assert_eq!(seen, Seen::ToPeer { from: relayed, peer: at("8.8.8.8:53"), payload: b"on".to_vec() });
    let mut thief = Client { password: "guess".into(), ..client.clone() };
    assert_eq!(thief.refused(&mut server, &Request::refresh(0)), 401);
    assert_eq!(client.granted(&mut server, &Request::refresh(0)).lifetime(), 0);
    assert_eq!(server.allocations(), 0);
    assert_eq!(client.refused(&mut server, &Request::refresh(0)), 401, "there is no allocation to delete");
}

/// Returns a client with a one-hour credential, whose allocation has been refreshed until `age`
/// seconds.
fn refreshed_until(server: &mut Server, age: u64) -> Client {
    let (mut client, _) = Client::allocated(server, "203.0.113.9:5000", "alice");
    for _ in 0..age / 500 {
        server.advance(seconds(500));
        client.granted(server, &Request::refresh(600));
    }
    server.advance(seconds(age % 500));
    client
}

#[test]
fn threat_9_unless_strict_a_living_allocation_goes_on_and_a_new_one_is_refused() {
    let mut server = lax();
    // By now, the one-hour credential has expired.
    let mut client = refreshed_until(&mut server, 4000);
    client.granted(&mut server, &Request::refresh(600));
    client.granted(&mut server, &Request::permission(at("8.8.8.8:53")));
    client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    assert_eq!(client.at("203.0.113.9:5001").refused(&mut server, &Request::allocate()), 401);
    client.granted(&mut server, &Request::refresh(0));
    assert_eq!(client.refused(&mut server, &Request::allocate()), 401);
    assert_eq!(client.refused(&mut server, &Request::refresh(600)), 401);
}

#[test]
fn threat_9_unless_strict_no_refresh_reaches_beyond_the_greatest_age() {
    let mut server = lax();
    let age = MAX_ALLOCATION_AGE.as_secs();
    let mut client = refreshed_until(&mut server, age - 100);
    assert_eq!(client.granted(&mut server, &Request::refresh(3600)).lifetime(), 100);
    server.advance(seconds(99));
    assert_eq!(client.granted(&mut server, &Request::refresh(3600)).lifetime(), 1);
    server.advance(seconds(1));
    assert_eq!(server.allocations(), 0);
    assert_eq!(client.refused(&mut server, &Request::refresh(3600)), 401);
}
