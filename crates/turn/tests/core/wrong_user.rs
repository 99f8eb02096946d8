//! Another user's 5-tuple (RFC 8656 section 5, threat 11).

use byway_test_support::turn::{Client, Request, Server, at, seconds};

#[test]
fn threat_11_every_method_but_allocate_is_441_and_has_no_effect() {
    let mut server = Server::new();
    let (mut owner, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let mut thief = Client::new(&server, "203.0.113.9:5000", "mallory");
    let peer = at("8.8.8.8:53");
    for request in [
        Request::refresh(0),
        Request::refresh(3600),
        Request::permission(peer),
        Request::channel_bind(0x4000, peer),
    ] {
        assert_eq!(thief.refused(&mut server, &request), 441);
    }
    assert_eq!(server.sockets(), [relayed]);
    assert_eq!(server.announced_channels(), 0);
    server.advance(seconds(599));
    owner.granted(&mut server, &Request::refresh(600));
}

/// RFC 8656 section 7.2, step 2: the 5-tuple is in use for every user. Another port helps, but
/// other credentials do not. An identical request does not get the owner's response again.
#[test]
fn another_users_allocate_is_437() {
    let mut server = Server::new();
    let mut owner = Client::new(&server, "203.0.113.9:5000", "alice");
    let request = Request::allocate();
    owner.granted(&mut server, &request);
    let mut stranger = Client::new(&server, "203.0.113.9:5000", "mallory");
    assert_eq!(stranger.refused(&mut server, &request), 437);
    assert_eq!(stranger.refused(&mut server, &Request::allocate()), 437);
    assert_eq!(server.allocations(), 1);
}

/// The whole username counts, not the name in it, because the key differs.
#[test]
fn threat_11_the_same_name_with_another_expiry_is_441() {
    let mut server = Server::new();
    let (owner, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    server.advance(seconds(1));
    let mut renewed = Client::new(&server, "203.0.113.9:5000", "alice");
    assert_ne!(renewed.username, owner.username);
    assert_eq!(renewed.refused(&mut server, &Request::refresh(600)), 441);
}

/// A client without a valid credential learns nothing about the owner of an allocation.
#[test]
fn threat_11_a_wrong_password_is_401_with_the_owners_name_or_without() {
    let mut server = Server::new();
    let (owner, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    for username in [owner.username.clone(), Client::new(&server, "203.0.113.9:5000", "mallory").username] {
        let mut thief = Client { username, password: "guess".into(), ..owner.clone() };
        assert_eq!(thief.refused(&mut server, &Request::refresh(0)), 401);
    }
    assert_eq!(server.allocations(), 1);
}
