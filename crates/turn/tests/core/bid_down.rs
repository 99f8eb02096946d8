//! Protection against bid-down attacks by an attacker in the path (RFC 8489 sections 9.2.1 and
//! 9.2.4).

use byway_test_support::turn::rfc8489::{MD5, OFFERED, SHA256, Signing, md5_key, offered_all};
use byway_test_support::turn::{Client, Request, Server, seconds};
use stun::attributes::{ATTR_ERROR_CODE, ATTR_PASSWORD_ALGORITHMS};

const HERE: &str = "203.0.113.9:5000";

/// PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM of a request.
type Said = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Requests of a client whose offer was tampered with, or that answers the offer wrongly.
fn tampered() -> Vec<Said> {
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    vec![
        // The list: missing, cut short, reversed, with parameters, extended, and empty.
        (None, some(&SHA256)),
        (None, some(&MD5)),
        (some(&MD5), some(&MD5)),
        (some(&SHA256), some(&SHA256)),
        (some(&[MD5, SHA256].concat()), some(&MD5)),
        (some(&[0, 2, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0]), some(&SHA256)),
        (some(&[&OFFERED[..], &[0, 3, 0, 0]].concat()), some(&SHA256)),
        (some(&[]), some(&MD5)),
        // The choice: missing, not in the list, malformed.
        (some(&OFFERED), None),
        (some(&OFFERED), some(&[0, 3, 0, 0])),
        (some(&OFFERED), some(&[0, 0, 0, 0])),
        (some(&OFFERED), some(&[0, 2, 0, 4, 0, 0, 0, 0])),
        (some(&OFFERED), some(&[0, 2])),
        (some(&OFFERED), some(&[])),
    ]
}

#[test]
fn a_request_that_does_not_echo_the_offer_is_400() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    for (algorithms, algorithm) in tampered() {
        for key in [md5_key(&client), Signing::modern(&client).key] {
            let signing = Signing {
                algorithms: algorithms.clone(),
                algorithm: algorithm.clone(),
                key,
                ..Signing::modern(&client)
            };
            let response = signing.ask(&mut client, &mut server, &Request::allocate());
            assert_eq!((response.code(), response.kinds()), (400, vec![ATTR_ERROR_CODE]), "{signing:?}");
        }
    }
    assert_eq!(server.allocations(), 0);
    assert_eq!(Signing::modern(&client).ask(&mut client, &mut server, &Request::allocate()).code(), 0);
}

/// An attacker removes the cookie or clears its feature bit, so that the client believes in an
/// older server. That invalidates the nonce, and the 438 repeats the offer.
#[test]
fn a_nonce_without_its_feature_is_stale() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    let nonce = client.nonce.clone();
    for spoilt in [nonce[13..].to_vec(), [b"obMatJos2AAAA", &nonce[13..]].concat()] {
        client.nonce = spoilt;
        let stale = client.ask_once(&mut server, &Request::allocate());
        assert_eq!((stale.code(), stale.get(ATTR_PASSWORD_ALGORITHMS)), (438, OFFERED.to_vec()));
        assert!(stale.nonce().starts_with(b"obMatJos2gAAA"));
    }
    assert_eq!(server.allocations(), 0);
}

/// Section 9.2.4 demands the order 400, 401, 438.
#[test]
fn the_offer_comes_before_the_credentials_and_these_before_the_nonce() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    server.advance(seconds(700));
    client = Client { nonce: client.nonce, ..Client::new(&server, HERE, "alice") };
    let wrong = Client { password: "guess".into(), ..client.clone() };
    let bid_down = Signing { algorithms: None, ..Signing::modern(&wrong) };
    assert_eq!(bid_down.ask(&mut client, &mut server, &Request::allocate()).code(), 400);
    assert_eq!(Signing::modern(&wrong).ask(&mut client, &mut server, &Request::allocate()).code(), 401);
    assert_eq!(Signing::modern(&client).ask(&mut client, &mut server, &Request::allocate()).code(), 438);
    // The order is the same for a nonce that the server did not issue, but whose cookie claims an
    // offer.
    client.nonce = b"obMatJos2gAAAAAAAAAA".to_vec();
    assert_eq!(bid_down.ask(&mut client, &mut server, &Request::allocate()).code(), 400);
    assert_eq!(Signing::modern(&wrong).ask(&mut client, &mut server, &Request::allocate()).code(), 401);
    assert_eq!(Signing::modern(&client).ask(&mut client, &mut server, &Request::allocate()).code(), 438);
}

/// After a successful request, section 9.2.3.2 asks for PASSWORD-ALGORITHM alone, and 9.2.4 for
/// both attributes. The server accepts either.
#[test]
fn a_subsequent_request_need_not_repeat_the_list() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    let first = Signing::modern(&client);
    let later = Signing { algorithms: None, ..first.clone() };
    assert_eq!(later.ask(&mut client, &mut server, &Request::allocate()).code(), 400);
    assert_eq!(first.ask(&mut client, &mut server, &Request::allocate()).code(), 0);
    assert_eq!(later.ask(&mut client, &mut server, &Request::refresh(600)).code(), 0);
    let cut = Signing { algorithms: Some(SHA256.to_vec()), ..first.clone() };
    assert_eq!(cut.ask(&mut client, &mut server, &Request::refresh(600)).code(), 400);
    // An allocation of another user does not count as this client's first request.
    let mut other = Client { nonce: client.nonce.clone(), ..Client::new(&server, HERE, "mallory") };
    let later = Signing { algorithms: None, ..Signing::modern(&other) };
    assert_eq!(later.ask(&mut other, &mut server, &Request::refresh(0)).code(), 400);
}

/// A first request that is too short for the offer. Its client may choose an algorithm all the
/// same, but a list that the server did not send is forged.
#[test]
fn without_an_offer_the_algorithm_is_the_clients_choice() {
    for first in [Request::bare(stun::message::METHOD_ALLOCATE), Request::allocate()] {
        let mut server = Server::new();
        let mut client = Client::new(&server, HERE, "alice");
        let challenge = client.ask_unsigned(&mut server, &first);
        assert!(!challenge.kinds().contains(&ATTR_PASSWORD_ALGORITHMS));
        client.nonce = challenge.nonce();
        let forged = Signing {
            algorithms: Some(MD5.to_vec()),
            algorithm: Some(MD5.to_vec()),
            key: md5_key(&client),
            ..Signing::modern(&client)
        };
        assert_eq!(forged.ask(&mut client, &mut server, &Request::allocate()).code(), 400);
        let unknown =
            Signing { algorithms: None, algorithm: Some(vec![0, 3, 0, 0]), ..Signing::modern(&client) };
        assert_eq!(unknown.ask(&mut client, &mut server, &Request::allocate()).code(), 400);
        let chosen = Signing { algorithms: None, ..Signing::modern(&client) };
        let response = chosen.ask(&mut client, &mut server, &Request::allocate());
        assert_eq!((response.code(), chosen.has_signed(&response)), (0, true));
    }
}
