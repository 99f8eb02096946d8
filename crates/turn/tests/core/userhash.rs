//! USERHASH (RFC 8489 sections 9.2.4 and 14.4) is equivalent to USERNAME if the name is known, and
//! never reveals a name.

use byway_test_support::turn::rfc8489::{Signing, offered_all, userhash};
use byway_test_support::turn::{Client, Request, Server, at};
use stun::attributes::{ATTR_ERROR_CODE, ATTR_PASSWORD_ALGORITHMS};

const HERE: &str = "203.0.113.9:5000";

/// Returns an RFC 8489 client with an allocation.
fn allocated(server: &mut Server) -> Client {
    let mut client = offered_all(server, HERE, "alice");
    assert_eq!(Signing::modern(&client).ask(&mut client, server, &Request::allocate()).code(), 0);
    client
}

/// Section 18.1: the second feature bit. Without it, a client sends its name (section 9.2.5).
#[test]
fn username_anonymity_is_not_offered() {
    let mut server = Server::new();
    let client = offered_all(&mut server, HERE, "alice");
    assert!(client.nonce.starts_with(b"obMatJos2gAAA"), "feature bit 0 and no other");
}

#[test]
fn the_owner_of_an_allocation_may_send_it_instead_of_its_name() {
    let mut server = Server::new();
    let mut client = allocated(&mut server);
    let signing = Signing::anonymous(&client);
    let peer = at("8.8.8.8:53");
    for request in [
        Request::permission(peer),
        Request::channel_bind(0x4000, peer),
        Request::refresh(600),
        Request::refresh(0),
    ] {
        let response = signing.ask(&mut client, &mut server, &request);
        assert_eq!((response.code(), signing.has_signed(&response)), (0, true));
    }
    // The name was forgotten with the allocation.
    assert_eq!(signing.ask(&mut client, &mut server, &Request::allocate()).code(), 401);
}

#[test]
fn a_repeated_allocate_is_answered_alike() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    let transaction = client.transaction();
    let first = Signing::modern(&client).encode(&Request::allocate(), &client.nonce, transaction);
    let again = Signing::anonymous(&client).encode(&Request::allocate(), &client.nonce, transaction);
    let answer = client.answer(&mut server, &first, transaction);
    assert_eq!(answer.code(), 0);
    assert_eq!(client.answer(&mut server, &again, transaction).bytes(), answer.bytes());
}

#[test]
fn a_first_allocate_by_userhash_is_401() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    let response = Signing::anonymous(&client).ask(&mut client, &mut server, &Request::allocate());
    assert_eq!((response.code(), response.get(ATTR_PASSWORD_ALGORITHMS).len()), (401, 8));
    assert_eq!(server.allocations(), 0);
}

#[test]
fn a_userhash_that_is_not_the_owners_is_401() {
    let mut server = Server::new();
    let mut client = allocated(&mut server);
    let mallory = Client { nonce: client.nonce.clone(), ..Client::new(&server, HERE, "mallory") };
    let guess = Client { password: "guess".into(), ..client.clone() };
    for signing in [
        Signing::anonymous(&mallory),
        Signing::anonymous(&guess),
        Signing { userhash: Some(vec![0; 32]), ..Signing::anonymous(&client) },
        Signing { userhash: Some(userhash("")), ..Signing::anonymous(&client) },
        // The client's own key with another user's hash.
        Signing { userhash: Some(userhash(&mallory.username)), ..Signing::anonymous(&client) },
    ] {
        assert_eq!(signing.ask(&mut client, &mut server, &Request::refresh(0)).code(), 401, "{signing:?}");
    }
    assert_eq!(server.allocations(), 1);
}

#[test]
fn both_names_none_or_half_a_hash_is_400() {
    let mut server = Server::new();
    let mut client = allocated(&mut server);
    let signing = Signing::anonymous(&client);
    for signing in [
        Signing { username: Some(client.username.clone()), ..signing.clone() },
        Signing { userhash: None, ..signing.clone() },
        Signing { userhash: Some(vec![0; 31]), ..signing.clone() },
        Signing { userhash: Some(vec![0; 33]), ..signing.clone() },
        Signing { userhash: Some(vec![]), ..signing.clone() },
    ] {
        let response = signing.ask(&mut client, &mut server, &Request::refresh(0));
        assert_eq!((response.code(), response.kinds()), (400, vec![ATTR_ERROR_CODE]), "{signing:?}");
    }
    assert_eq!(server.allocations(), 1);
}
