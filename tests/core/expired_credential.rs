//! A credential that expires in the middle of a call (threat 9): no new allocation, but the living one stays until
//! [`MAX_ALLOCATION_AGE`].

use byway::relay::MAX_ALLOCATION_AGE;

use super::support::{Client, Request, Server, at, seconds};

/// A client whose credential ends 600 s from now, with an allocation that is refreshed until `age`.
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
fn threat_9_a_living_allocation_goes_on_and_a_new_one_is_refused() {
    let mut server = Server::new();
    // The credential is good for an hour.
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
fn threat_9_no_refresh_reaches_beyond_the_greatest_age() {
    let mut server = Server::new();
    let age = MAX_ALLOCATION_AGE.as_secs();
    let mut client = refreshed_until(&mut server, age - 100);
    assert_eq!(client.granted(&mut server, &Request::refresh(3600)).lifetime(), 100);
    server.advance(seconds(99));
    assert_eq!(client.granted(&mut server, &Request::refresh(3600)).lifetime(), 1);
    server.advance(seconds(1));
    assert_eq!(server.allocations(), 0);
    assert_eq!(client.refused(&mut server, &Request::refresh(3600)), 401);
}
