//! Wrong credentials of any kind get the same response (RFC 8489 section 9.2.4, threats 8 and 9).

use byway_test_support::turn::rfc8489::{Signing, offered_all};
use byway_test_support::turn::{Client, REALM, Request, Response, SECRETS, Seen, Server, seconds};
use stun::attributes::{
    ATTR_ERROR_CODE, ATTR_NONCE, ATTR_PASSWORD_ALGORITHMS, ATTR_REALM, ATTR_USERNAME, AttrType,
};

use byway_turn::auth::Secrets;
use byway_turn::server::Answer;
use byway_turn::wire::ErrorCode;

/// Returns the response to a client with this username and the matching password.
fn asked_as(username: &str, signing: fn(&Client) -> Signing) -> Response {
    let mut server = Server::new();
    let mut client = offered_all(&mut server, "203.0.113.9:5000", "alice");
    client.username = username.into();
    client.password = Secrets::new(&SECRETS).unwrap().passwords(username).next().unwrap();
    let response = signing(&client).ask(&mut client, &mut server, &Request::allocate());
    assert_eq!(server.allocations(), usize::from(response.code() == 0));
    response
}

/// The responses are equal on the wire. The counters distinguish a client without credentials from
/// a rejected one.
#[test]
fn only_wrong_credentials_count_as_an_error() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let first = Request::allocate().encode([7; 12], None);
    assert!(matches!(client.send(&mut server, &first), Seen::Reply(_, Answer::Challenge, _)));

    client.learn_nonce(&mut server);
    client.password = "guess".into();
    let (wrong, _) = client.sign(&Request::allocate());
    let refused = Answer::Error(ErrorCode::Unauthenticated);
    assert!(matches!(client.send(&mut server, &wrong), Seen::Reply(_, answer, _) if answer == refused));
}

#[test]
fn threat_8_every_refusal_is_the_same_401() {
    for signing in [Signing::old, Signing::modern, Signing::anonymous] {
        let now = Server::new().now.unix;
        let unknown = ["alice", ":alice", ""].map(String::from).into_iter().chain(bad_expiries(now));
        let mut refusals: Vec<Response> = unknown.map(|username| asked_as(&username, signing)).collect();
        let mut server = Server::new();
        let mut wrong = offered_all(&mut server, "203.0.113.9:5000", "alice");
        wrong.password = "guess".into();
        refusals.push(signing(&wrong).ask(&mut wrong, &mut server, &Request::allocate()));
        let mut other_secret = wrong.clone();
        other_secret.password =
            Secrets::new(&["west"]).unwrap().issue(server.now, "alice", seconds(3600)).password;
        refusals.push(signing(&other_secret).ask(&mut other_secret, &mut server, &Request::allocate()));

        let first = refusals[0].bytes().to_vec();
        for refusal in refusals {
            assert_eq!(refusal.code(), 401);
            let kinds = [ATTR_ERROR_CODE, ATTR_REALM, ATTR_NONCE, ATTR_PASSWORD_ALGORITHMS];
            assert_eq!(refusal.kinds(), kinds);
            // Equal to the byte, except for the transaction ID: at one time and for one address,
            // nonces are equal.
            assert_eq!(refusal.bytes()[20..], first[20..]);
        }
    }
}

/// Usernames whose expiry is past, too far in the future, or not a plain number.
fn bad_expiries(now: u64) -> impl Iterator<Item = String> {
    [
        format!("{now}:alice"),
        format!("{}:alice", now - 1),
        "0:alice".into(),
        format!("{}:alice", now + 7 * 24 * 3600 + 1),
        format!("+{}:alice", now + 600),
        format!(" {}:alice", now + 600),
        format!("{} :alice", now + 600),
        format!("-{}:alice", now + 600),
        "99999999999999999999999:alice".into(),
        "18446744073709551616:alice".into(),
        // A valid expiry plus 2^64.
        format!("{}:alice", u128::from(now + 600) + (1 << 64)),
        "9999999999999999999:alice".into(),
        // The same without a name, or after the name.
        format!("{now}"),
        format!("+{}", now + 600),
        format!(" {}", now + 600),
        format!("{}", now + 7 * 24 * 3600 + 1),
        format!("{}", u128::from(now + 600) + (1 << 64)),
        format!("{}", (now + 600) * 1000),
        format!("alice:{now}"),
        format!("alice:+{}", now + 600),
        format!("alice: {}", now + 600),
        format!("alice:{} ", now + 600),
        format!("alice:{}", now + 7 * 24 * 3600 + 1),
        format!("alice:{}", u128::from(now + 600) + (1 << 64)),
        format!("a:b:{}", now + 600),
        // Of two numbers, the left one is the expiry.
        format!("{now}:{}", now + 600),
        format!("99999999999999999999999:{}", now + 600),
    ]
    .into_iter()
}

#[test]
fn threat_9_an_expiry_that_is_over_too_far_away_or_no_plain_number_is_401() {
    let now = Server::new().now.unix;
    for username in bad_expiries(now) {
        for signing in [Signing::old, Signing::modern] {
            assert_eq!(asked_as(&username, signing).code(), 401, "{username:?}");
        }
    }
}

#[test]
fn threat_9_the_week_ahead_is_good_to_its_last_second() {
    let now = Server::new().now.unix;
    for signing in [Signing::old, Signing::modern] {
        for expiry in [now + 1, now + 600, now + 7 * 24 * 3600] {
            assert_eq!(asked_as(&format!("{expiry}:alice"), signing).code(), 0, "{expiry}");
        }
    }
}

/// coturn accepts these forms, too. Prosody and older versions of Nextcloud Talk issue an expiry
/// alone.
#[test]
fn threat_37_an_expiry_may_stand_alone_or_behind_the_name() {
    let good = Server::new().now.unix + 600;
    for signing in [Signing::old, Signing::modern] {
        for username in [
            format!("{good}"),
            format!("{good}:"),
            format!(":{good}"),
            format!("alice:{good}"),
            format!("{good}:42"),
        ] {
            assert_eq!(asked_as(&username, signing).code(), 0, "{username:?}");
        }
    }
}

/// Each request checks the expiry, in every form of the username.
#[test]
fn threat_9_an_expiry_that_stands_alone_or_behind_the_name_ends_like_any_other() {
    for name in ["", "alice:"] {
        let mut server = Server::new();
        let mut client = Client::new(&server, "203.0.113.9:5000", "");
        client.username = format!("{name}{}", server.now.unix + 600);
        client.password = Secrets::new(&SECRETS).unwrap().passwords(&client.username).next().unwrap();
        client.granted(&mut server, &Request::allocate());
        server.advance(seconds(599));
        client.granted(&mut server, &Request::refresh(600));
        server.advance(seconds(1));
        assert_eq!(client.refused(&mut server, &Request::refresh(600)), 401);
        assert_eq!(client.at("203.0.113.9:5001").refused(&mut server, &Request::allocate()), 401);
    }
}

#[test]
fn both_secrets_verify() {
    let mut server = Server::new();
    for (port, secret) in (5000..).zip(SECRETS) {
        let issued = Secrets::new(&[secret]).unwrap().issue(server.now, "alice", seconds(600));
        let mut client = Client::new(&server, &format!("203.0.113.9:{port}"), "alice");
        (client.username, client.password) = (issued.username, issued.password);
        client.granted(&mut server, &Request::allocate());
    }
}

/// RFC 8489 section 9.2.4: signed requests that lack a required attribute.
#[test]
fn a_signature_without_username_realm_or_nonce_is_400() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    let all: [(AttrType, Vec<u8>); 3] = [
        (ATTR_USERNAME, client.username.clone().into_bytes()),
        (ATTR_REALM, REALM.into()),
        (ATTR_NONCE, client.nonce.clone()),
    ];
    for missing in 0..3 {
        let present = all.iter().enumerate().filter(|(n, _)| *n != missing);
        let request =
            present.fold(Request::allocate(), |request, (_, (kind, value))| request.with(*kind, value));
        let transaction = client.transaction();
        let datagram = request.encode(transaction, Some(&client.key()));
        let response = client.answer(&mut server, &datagram, transaction);
        assert_eq!((response.code(), response.kinds()), (400, vec![ATTR_ERROR_CODE]));
    }
}

/// MESSAGE-INTEGRITY does not cover later attributes, so they must be ignored (RFC 8489 section
/// 14.5).
#[test]
fn attributes_behind_the_signature_are_ignored() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let (mut datagram, transaction) = client.sign(&Request::refresh(1800));
    // A LIFETIME of zero would end the allocation.
    datagram.extend_from_slice(&[0x00, 0x0D, 0x00, 0x04, 0, 0, 0, 0]);
    let length = u16::try_from(datagram.len() - 20).unwrap();
    datagram[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(client.answer(&mut server, &datagram, transaction).lifetime(), 1800);
    assert_eq!(server.allocations(), 1);
}
