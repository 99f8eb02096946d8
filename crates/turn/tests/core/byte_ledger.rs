//! Threat 5: no unauthenticated request makes the server worthwhile as a reflector.

use std::collections::BTreeSet;

use byway_test_support::turn::{Client, Request, Response, Seen, Server, at};
use stun::attributes::{
    ATTR_ERROR_CODE, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE, ATTR_PASSWORD_ALGORITHMS, ATTR_REALM,
    ATTR_SOFTWARE, ATTR_USERNAME, AttrType,
};
use stun::message::{
    METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH, MessageType,
};

use byway_turn::server::{StreamId, Transport};

/// Bytes of the IP and UDP headers around a datagram.
fn headers(address: &str) -> usize {
    if at(address).is_ipv4() { 28 } else { 48 }
}

/// Sends an unauthenticated request; returns the bytes on the wire in both directions.
fn ledger(server: &mut Server, address: &str, request: &Request) -> (usize, usize) {
    let mut client = Client::new(server, address, "alice");
    let datagram = request.encode(client.transaction(), None);
    let out = match client.send(server, &datagram) {
        Seen::Reply(_, _, reply) => reply.len() + headers(address),
        other => panic!("{other:?}"),
    };
    (datagram.len() + headers(address), out)
}

fn turn_requests() -> [Request; 6] {
    [
        Request::bare(METHOD_ALLOCATE),
        Request::allocate(),
        Request::allocate_v6(),
        Request::bare(METHOD_REFRESH),
        Request::bare(METHOD_CREATE_PERMISSION),
        Request::bare(METHOD_CHANNEL_BIND),
    ]
}

#[test]
fn threat_5_a_401_is_at_most_seven_fourths_of_any_request_for_a_realm_of_twelve_characters() {
    for realm in ["a.bc", "byway", "example.org", "turn.example"] {
        let mut server = Server::with(1, |settings| settings.realm = realm.into());
        for address in ["203.0.113.9:5000", "[2001:db8::9]:5000"] {
            for request in
                turn_requests().into_iter().flat_map(|request| [request.clone(), request.fingerprint()])
            {
                for request in (0..20)
                    .map(|n| request.clone().with(ATTR_SOFTWARE, &vec![b'x'; 4 * n]))
                    .chain([request.clone()])
                {
                    let (sent, got) = ledger(&mut server, address, &request);
                    assert!(got * 4 <= sent * 7, "{realm}, {address}: {sent} bytes brought {got}");
                }
            }
        }
    }
}

#[test]
fn threat_5_a_401_is_at_most_seven_fourths_of_a_real_allocate_for_a_realm_of_twenty_four_characters() {
    let mut server = Server::with(1, |settings| settings.realm = "relay1.turn.example.org".into());
    for address in ["203.0.113.9:5000", "[2001:db8::9]:5000"] {
        for request in [Request::allocate(), Request::allocate().fingerprint()] {
            let (sent, got) = ledger(&mut server, address, &request);
            assert!(got * 4 <= sent * 7, "{address}: {sent} bytes brought {got}");
        }
    }
}

/// All message types, sent without authentication: as short as possible, and with attributes that
/// make some responses longer. No response has SOFTWARE or a reason phrase.
#[test]
fn threat_5_no_message_type_brings_more_than_seven_fourths_of_its_bytes() {
    const FINGERPRINT: AttrType = AttrType(0x8028);
    let (change_request, response_port, unknown) = (AttrType(3), AttrType(0x27), AttrType(0x7000));
    let mut answered = BTreeSet::new();
    for address in ["203.0.113.9:5000", "[2001:db8::9]:5000"] {
        let mut server = Server::new();
        for attributes in [
            &[][..],
            &[(change_request, &[0, 0, 0, 6][..])],
            &[(response_port, &[0x0D, 0x96, 0, 0])],
            &[(unknown, &[])],
        ] {
            for kind in 0..0x4000_u16 {
                let client = Client::new(&server, address, "alice");
                let mut of_kind = MessageType::default();
                of_kind.read_value(kind);
                let bare = Request::bare(of_kind.method).class(of_kind.class);
                let plain = attributes.iter().fold(bare, |all, (kind, value)| all.with(*kind, value));
                for request in [plain.clone(), plain.fingerprint()] {
                    let datagram = request.encode([7; 12], None);
                    let Seen::Reply(_, _, reply) = client.send(&mut server, &datagram) else { continue };
                    let (sent, got) = (datagram.len() + headers(address), reply.len() + headers(address));
                    assert!(got * 4 <= sent * 7, "{kind:#06x} {address}: {sent} bytes brought {got}");
                    let response = Response::read(&reply);
                    let [asked, given] =
                        [&datagram, &reply].map(|bytes| Response::read(bytes).kinds().contains(&FINGERPRINT));
                    assert_eq!(given, asked, "{kind:#06x}: FINGERPRINT");
                    assert!(!response.kinds().contains(&ATTR_SOFTWARE), "{kind:#06x}");
                    let reason = response.code() != 0 && response.get(ATTR_ERROR_CODE).len() > 4;
                    assert!(!reason, "{kind:#06x}: a reason phrase");
                    answered.insert(kind);
                }
            }
        }
    }
    // Binding, Allocate, Refresh, CreatePermission and ChannelBind requests.
    assert_eq!(answered.into_iter().collect::<Vec<_>>(), [1, 3, 4, 8, 9]);
}

/// Exact sizes, so that an extra byte is noticed: of a first request and of its 401. The third
/// value is the start of the nonce (RFC 8489 section 9.2). PASSWORD-ALGORITHMS is present exactly
/// if the cookie says so.
#[test]
fn threat_5_a_challenge_says_as_much_of_rfc_8489_as_its_request_has_paid_for() {
    const ALL: &str = "obMatJos2gAAA";
    const COOKIE: &str = "obMatJos2AAAA";
    let (v4, v6) = ("203.0.113.9:5000", "[2001:db8::9]:5000");
    for (realm, address, sizes) in [
        ("byway", v4, [(20, 52, ""), (28, 64, COOKIE), (32, 76, ALL), (36, 76, ALL)]),
        ("byway", v6, [(20, 64, COOKIE), (28, 76, ALL), (32, 76, ALL), (36, 76, ALL)]),
        ("example.org", v4, [(20, 56, ""), (28, 68, COOKIE), (32, 68, COOKIE), (36, 80, ALL)]),
        ("example.org", v6, [(20, 68, COOKIE), (28, 80, ALL), (32, 80, ALL), (36, 80, ALL)]),
    ] {
        let mut server = Server::with(1, |settings| settings.realm = realm.into());
        for (sent, got, cookie) in sizes {
            let mut client = Client::new(&server, address, "alice");
            let response = client.ask_unsigned(&mut server, &of_size(sent));
            let what = format!("{realm}, {address}: {sent} bytes");
            assert_eq!((response.code(), response.bytes().len()), (401, got), "{what}");
            let nonce = response.nonce();
            assert_eq!(
                (nonce.len(), nonce.starts_with(cookie.as_bytes())),
                (cookie.len() + 7, true),
                "{what}"
            );
            let algorithms = if cookie == ALL { &[ATTR_PASSWORD_ALGORITHMS][..] } else { &[] };
            assert_eq!(response.kinds(), [&[ATTR_ERROR_CODE, ATTR_REALM, ATTR_NONCE], algorithms].concat());
        }
    }
}

/// Returns an Allocate request of this size without credentials.
fn of_size(bytes: usize) -> Request {
    match bytes {
        20 => Request::bare(METHOD_ALLOCATE),
        28 => Request::allocate(),
        _ => Request::allocate().with(ATTR_SOFTWARE, &vec![b'x'; bytes - 32]),
    }
}

/// The address of a connection cannot be forged, so it gets the whole offer.
#[test]
fn a_connection_is_offered_all_at_once() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.five_tuple.transport = Transport::Stream(StreamId { shard: 0, slot: 0, generation: 0 });
    let response = client.ask_unsigned(&mut server, &Request::bare(METHOD_ALLOCATE));
    assert_eq!(response.get(ATTR_PASSWORD_ALGORITHMS).len(), 8);
    assert!(response.nonce().starts_with(b"obMatJos2gAAA"));
}

/// RFC 8489 section 9.2.4: the other 401 and 438 MUST list the algorithms. These are the shortest
/// requests for them: every attribute wrong, with the shortest integrity attribute.
#[test]
fn threat_5_a_401_and_a_438_to_a_signature_are_at_most_seven_fourths_of_it() {
    let mut server = Server::new();
    for address in ["203.0.113.9:5000", "[2001:db8::9]:5000"] {
        let mut client = Client::new(&server, address, "alice");
        let nobody = Request::bare(METHOD_ALLOCATE)
            .with(ATTR_USERNAME, b"")
            .with(ATTR_REALM, b"")
            .with(ATTR_NONCE, b"");
        let wrong = nobody.with(ATTR_MESSAGE_INTEGRITY_SHA256, &[0; 16]).encode(client.transaction(), None);
        let (stale, _) = client.sign(&Request::bare(METHOD_ALLOCATE));
        for (request, code) in [(wrong, 401), (stale, 438)] {
            let Seen::Reply(_, _, reply) = client.send(&mut server, &request) else { panic!("not answered") };
            let response = Response::read(&reply);
            assert_eq!((response.code(), response.get(ATTR_PASSWORD_ALGORITHMS).len()), (code, 8));
            let (sent, got) = (request.len() + headers(address), reply.len() + headers(address));
            assert!(got * 4 <= sent * 7, "{address}: {sent} bytes brought {got}");
        }
    }
}

/// Other errors that unauthenticated clients can provoke.
#[test]
fn threat_5_a_400_and_a_420_are_at_most_seven_fourths_of_their_request() {
    let mut server = Server::new();
    for count in [1, 2, 16, 17, 300] {
        let request =
            (0..count).fold(Request::binding(), |request, n| request.with(AttrType(0x7000 + n), &[]));
        let (sent, got) = ledger(&mut server, "203.0.113.9:5000", &request);
        assert!(got * 4 <= sent * 7, "420: {sent} bytes brought {got}");
    }
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    let datagram =
        Request::allocate().with(ATTR_USERNAME, b"x").encode(client.transaction(), Some(&client.key()));
    let Seen::Reply(_, _, reply) = client.send(&mut server, &datagram) else { panic!("not answered") };
    assert_eq!(reply.len(), 28, "400: a header and an ERROR-CODE");
    assert!(reply.len() < datagram.len());
}
