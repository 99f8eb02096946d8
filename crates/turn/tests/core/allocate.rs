//! Successful Allocate requests (RFC 8656 sections 7.2 and 7.3).

use byway_test_support::turn::{Client, Request, Server, at};
use stun::attributes::{
    ATTR_FINGERPRINT, ATTR_LIFETIME, ATTR_MESSAGE_INTEGRITY, ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS,
};
use stun::message::{CLASS_SUCCESS_RESPONSE, METHOD_ALLOCATE, MessageType};

#[test]
fn a_challenge_then_an_allocation() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    assert_eq!(client.ask_unsigned(&mut server, &Request::allocate()).code(), 401);
    assert_eq!(server.allocations(), 0);
    client.learn_nonce(&mut server);
    let response = client.ask_once(&mut server, &Request::allocate());
    assert_eq!(response.kind(), MessageType::new(METHOD_ALLOCATE, CLASS_SUCCESS_RESPONSE));
    assert_eq!(
        response.kinds(),
        [ATTR_XOR_RELAYED_ADDRESS, ATTR_LIFETIME, ATTR_XORMAPPED_ADDRESS, ATTR_MESSAGE_INTEGRITY]
    );
    assert_eq!(response.mapped(), client.address());
    assert_eq!(response.lifetime(), 600);
    assert_eq!(response.relayed().ip(), at("45.0.0.1:0").ip());
    assert!((50_000..=50_063).contains(&response.relayed().port()));
    assert_eq!(server.sockets(), [response.relayed()]);
    assert_eq!(server.allocations(), 1);
}

#[test]
fn fingerprint_is_answered_with_fingerprint_behind_the_signature() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let response = client.granted(&mut server, &Request::allocate().fingerprint());
    assert_eq!(response.kinds()[3..], [ATTR_MESSAGE_INTEGRITY, ATTR_FINGERPRINT]);
}

/// Section 7.2: at least the default of ten minutes, at most one hour.
#[test]
fn the_lifetime_is_between_ten_minutes_and_an_hour() {
    let mut server = Server::new();
    let asked = [0, 1, 599, 600, 601, 3599, 3600, 3601, u32::MAX];
    let granted = asked.map(|lifetime| {
        let mut client = Client::new(&server, &format!("203.0.113.9:{}", 5000 + lifetime % 5000), "alice");
        client.granted(&mut server, &Request::allocate().lifetime(lifetime)).lifetime()
    });
    assert_eq!(granted, [600, 600, 600, 600, 601, 3599, 3600, 3600, 3600]);
}

/// Section 7.2, REQUESTED-ADDRESS-FAMILY. A client over IPv4 may have an IPv6 relay address, and
/// vice versa.
#[test]
fn the_family_is_the_requested_one_and_ipv4_by_default() {
    let mut server = Server::new();
    for (n, client) in ["203.0.113.9:5000", "[2001:db8::9]:5000"].into_iter().enumerate() {
        let other_port = client.replace("5000", "5001");
        let v6 = Client::new(&server, client, "alice").granted(&mut server, &Request::allocate_v6());
        assert_eq!(v6.relayed().ip(), at("[2a0a::1]:0").ip());
        assert_eq!(v6.mapped(), at(client));
        let v4 = Client::new(&server, &other_port, "alice").granted(&mut server, &Request::allocate());
        assert_eq!(v4.relayed().ip(), at("45.0.0.1:0").ip());
        assert_eq!(server.allocations(), 2 * n + 2);
    }
}

/// Behind a 1:1 NAT, the socket binds one address, and clients learn the other.
#[test]
fn clients_are_told_the_public_address() {
    let mut server = Server::with(1, |settings| settings.addresses[0].bind = "10.0.0.5".parse().unwrap());
    let (_, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    assert_eq!(relayed.ip(), at("45.0.0.1:0").ip());
    assert_eq!(server.sockets(), [at(&format!("10.0.0.5:{}", relayed.port()))]);
}

/// RFC 8656 section 2.2: the client's port is part of the 5-tuple.
#[test]
fn every_five_tuple_has_its_own_allocation() {
    let mut server = Server::with(2, |_| {});
    for n in 0..64 {
        let address = format!("203.0.113.9:{}", 5000 + n);
        Client::on(n % 2, &server, &address, "alice").granted(&mut server, &Request::allocate());
    }
    let mut sockets = server.sockets();
    sockets.sort_unstable();
    sockets.dedup();
    assert_eq!(sockets.len(), 64, "64 ports for 64 allocations");
}
