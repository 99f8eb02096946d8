//! MESSAGE-INTEGRITY-SHA256 and password algorithms, next to clients that support neither (RFC 8489
//! sections 9.2.4, 14.6, 14.11 and 14.12).

use byway_test_support::turn::rfc8489::{MD5, SHA256, Signature, Signing, md5_key, offered_all, sha256_key};
use byway_test_support::turn::{Client, Request, Seen, Server, at, seconds};
use stun::attributes::{
    ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE, ATTR_PASSWORD_ALGORITHMS,
    ATTR_SOFTWARE, AttrType,
};

use byway_turn::server::DropReason;

const HERE: &str = "203.0.113.9:5000";

fn last(kinds: &[AttrType]) -> AttrType {
    *kinds.last().unwrap()
}

#[test]
fn a_client_of_rfc_8489_signs_everything_with_sha_256_and_is_answered_so() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    assert!(client.nonce.starts_with(b"obMatJos2gAAA"));
    let signing = Signing::modern(&client);
    let peer = at("8.8.8.8:53");
    for request in [
        Request::allocate(),
        Request::refresh(600),
        Request::permission(peer),
        Request::channel_bind(0x4000, peer),
        Request::refresh(0),
    ] {
        let response = signing.ask(&mut client, &mut server, &request);
        assert_eq!(response.code(), 0);
        // Section 9.2.4: the response has the same integrity attribute, and not the other one.
        assert!(signing.has_signed(&response));
        assert!(!response.kinds().contains(&ATTR_MESSAGE_INTEGRITY));
        assert!(!response.kinds().contains(&ATTR_NONCE));
    }
    let error = signing.ask(&mut client, &mut server, &Request::refresh(600));
    assert_eq!((error.code(), signing.has_signed(&error)), (437, true));
}

/// With any form of 401, an RFC 5389 client reads the attributes that it knows and ignores the
/// rest.
#[test]
fn a_client_of_rfc_5389_goes_on_as_ever() {
    let mut server = Server::new();
    let long = Request::allocate().with(ATTR_SOFTWARE, b"a long name");
    for (port, first) in [Request::bare(stun::message::METHOD_ALLOCATE), Request::allocate(), long]
        .into_iter()
        .enumerate()
        .map(|(n, first)| (5000 + n, first))
    {
        let mut client = Client::new(&server, &format!("203.0.113.9:{port}"), "alice");
        client.nonce = client.ask_unsigned(&mut server, &first).nonce();
        let peer = at("8.8.8.8:53");
        for request in [
            Request::allocate(),
            Request::refresh(600),
            Request::permission(peer),
            Request::channel_bind(0x4000, peer),
        ] {
            // `ask_once` checks the signature with the `stun` crate.
            let response = client.ask_once(&mut server, &request);
            assert_eq!((response.code(), last(&response.kinds())), (0, ATTR_MESSAGE_INTEGRITY));
        }
        server.advance(seconds(601));
        let stale = client.ask_once(&mut server, &Request::allocate());
        assert_eq!((stale.code(), stale.get(ATTR_PASSWORD_ALGORITHMS).len()), (438, 8));
        client.nonce = stale.nonce();
        assert_eq!(client.ask_once(&mut server, &Request::allocate()).code(), 0);
    }
}

#[test]
fn a_client_may_choose_md5_of_what_was_offered() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    let signing =
        Signing { algorithm: Some(MD5.to_vec()), key: md5_key(&client), ..Signing::modern(&client) };
    let response = signing.ask(&mut client, &mut server, &Request::allocate());
    assert_eq!((response.code(), signing.has_signed(&response)), (0, true));
}

/// Section 9.2.4: without PASSWORD-ALGORITHM, the key is MD5, with either integrity attribute. The
/// response has the same attribute.
#[test]
fn without_an_algorithm_the_key_is_md5() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    let signing = Signing { signatures: vec![Signature::Sha256(32)], ..Signing::old(&client) };
    let wrong = Signing { key: sha256_key(&client), ..signing.clone() };
    assert_eq!(wrong.ask(&mut client, &mut server, &Request::allocate()).code(), 401);
    let response = signing.ask(&mut client, &mut server, &Request::allocate());
    assert_eq!((response.code(), signing.has_signed(&response)), (0, true));
}

/// A key of one algorithm is not accepted for the other, with either integrity attribute.
#[test]
fn the_key_must_be_that_of_the_algorithm_that_is_named() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    for (algorithm, key) in [(SHA256, md5_key(&client)), (MD5, sha256_key(&client))] {
        for signature in [Signature::Sha1, Signature::Sha256(32)] {
            let signing = Signing {
                algorithm: Some(algorithm.to_vec()),
                key: key.clone(),
                signatures: vec![signature],
                ..Signing::modern(&client)
            };
            assert_eq!(signing.ask(&mut client, &mut server, &Request::allocate()).code(), 401);
        }
    }
}

/// Section 14.6: MESSAGE-INTEGRITY-SHA256 may be truncated.
#[test]
fn a_truncated_signature_counts_from_sixteen_bytes_on() {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, HERE, "alice");
    let with = |length, client: &Client| Signing {
        signatures: vec![Signature::Sha256(length)],
        ..Signing::modern(client)
    };
    for length in [16, 20, 24, 28, 32] {
        let signing = with(length, &client);
        let response = signing.ask(&mut client, &mut server, &Request::allocate());
        // The code is 437 once there is an allocation. The response is never truncated.
        assert!(matches!(response.code(), 0 | 437) && signing.has_signed(&response), "{length} bytes");
    }
    for length in [0, 4, 12] {
        let transaction = client.transaction();
        let datagram = with(length, &client).encode(&Request::refresh(0), &client.nonce, transaction);
        assert_eq!(
            client.send(&mut server, &datagram),
            Seen::Dropped(DropReason::Malformed),
            "{length} bytes"
        );
    }
    assert_eq!(server.allocations(), 1);
}

/// Section 9.2.4: MESSAGE-INTEGRITY-SHA256 is verified if present, and MESSAGE-INTEGRITY then has
/// no effect.
#[test]
fn of_two_signatures_the_better_one_counts() {
    use Signature::{Sha1, Sha256, WrongSha1, WrongSha256};
    for (signatures, code) in [
        (vec![Sha1, Sha256(32)], 0),
        (vec![WrongSha1, Sha256(32)], 0),
        (vec![Sha1, WrongSha256], 401),
        // After MESSAGE-INTEGRITY-SHA256, MESSAGE-INTEGRITY is ignored (section 9).
        (vec![Sha256(32), WrongSha1], 0),
        (vec![WrongSha256, Sha1], 401),
        (vec![Sha256(32), WrongSha256], 0),
        (vec![Sha1, WrongSha1], 0),
    ] {
        let mut server = Server::new();
        let mut client = offered_all(&mut server, HERE, "alice");
        let signing = Signing { signatures: signatures.clone(), ..Signing::modern(&client) };
        let response = signing.ask(&mut client, &mut server, &Request::allocate());
        assert_eq!(response.code(), code, "{signatures:?}");
        let answered = last(&response.kinds()) == ATTR_MESSAGE_INTEGRITY_SHA256;
        assert_eq!(answered, code == 0 && signatures != [Sha1, WrongSha1], "{signatures:?}");
    }
}

/// A 438 offers SHA-256 to a client that has an allocation. The allocation lives on, even with an
/// expired credential if the settings allow that.
#[test]
fn an_allocation_may_be_used_with_either_algorithm() {
    let mut server = Server::with(1, |settings| settings.strict_expiry = false);
    let mut client = Client::new(&server, HERE, "alice");
    client.granted(&mut server, &Request::allocate().lifetime(3600));
    server.advance(seconds(3599));
    assert_eq!(client.ask(&mut server, &Request::refresh(3600)).code(), 0);
    server.advance(seconds(1800));
    let stale = client.ask_once(&mut server, &Request::refresh(3600));
    assert_eq!((stale.code(), stale.get(ATTR_PASSWORD_ALGORITHMS).len()), (438, 8));
    client.nonce = stale.nonce();
    let signing = Signing::modern(&client);
    let response = signing.ask(&mut client, &mut server, &Request::refresh(3600));
    assert_eq!((response.code(), signing.has_signed(&response)), (0, true));
    assert_eq!(client.ask_once(&mut server, &Request::refresh(600)).code(), 0);

    let mut thief = Client { password: "guess".into(), ..client.clone() };
    assert_eq!(Signing::modern(&thief).ask(&mut thief, &mut server, &Request::refresh(0)).code(), 401);
    // An expired credential cannot create a second allocation.
    let mut elsewhere = client.at("203.0.113.9:5001");
    elsewhere.learn_nonce(&mut server);
    let refused = Signing::modern(&elsewhere).ask(&mut elsewhere, &mut server, &Request::allocate());
    assert_eq!(refused.code(), 401);
}
