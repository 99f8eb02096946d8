//! Threat 28: protocols that reach a service, and the service they reach.

use std::io::{Read as _, Write as _};

use byway_test_support::process::certificates::server;
use byway_test_support::process::tls::{
    binding, connect, get, is_resumed, of_version, tcp, trusting, until_closed,
};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, Error};

#[test]
fn threat_28_alpn_decides_where_it_is_offered() {
    let (server, pair, _folder) = server();
    let port = server.bound.tls();
    // The second is what coturn's clients offer.
    for offer in [&["stun.turn"][..], &["http/1.1", "stun.turn", "stun.nat-discovery"]] {
        let mut turn = connect(&trusting(&pair, offer), port).unwrap();
        assert_eq!(turn.conn.alpn_protocol(), Some(&b"stun.turn"[..]));
        binding(&mut turn);
    }
    let mut http = connect(&trusting(&pair, &["http/1.1"]), port).unwrap();
    assert_eq!(http.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    get(&mut http, "/ice").expect_ok();
    // What was agreed on is held to: TURN where HTTP was agreed on is bad HTTP.
    let mut liar = connect(&trusting(&pair, &["http/1.1"]), port).unwrap();
    liar.write_all(b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = liar.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
}

/// RFC 9113: HTTP/2 is spoken where ALPN says so (section 3.2), and what does not begin with its
/// preface is not (section 3.4).
#[test]
fn threat_28_one_http_is_not_spoken_where_the_other_was_agreed_on() {
    let (server, pair, _folder) = server();
    let answer = |offer: &[&str], said: &str| {
        let mut liar = connect(&trusting(&pair, offer), server.bound.tls()).unwrap();
        liar.write_all(said.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = liar.read_to_end(&mut answer);
        answer
    };
    let request = "GET /ice HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(answer(&["http/1.1"], request).starts_with(b"HTTP/1.1 200"));
    assert!(!answer(&["h2"], request).starts_with(b"HTTP/1.1"));
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for offer in [&["http/1.1"][..], &[]] {
        // No SETTINGS, with which HTTP/2 would begin.
        assert_eq!(answer(offer, preface), b"", "{offer:?}");
    }
}

#[test]
fn threat_28_without_alpn_the_first_byte_decides() {
    let (server, pair, _folder) = server();
    let config = trusting(&pair, &[]);
    let mut turn = connect(&config, server.bound.tls()).unwrap();
    binding(&mut turn);
    binding(&mut turn);
    let mut http = connect(&config, server.bound.tls()).unwrap();
    get(&mut http, "/").expect_ok();
    assert_eq!(server.metric(r#"byway_tls_connections_total{outcome="turn"}"#), 1);
    assert_eq!(server.metric(r#"byway_tls_connections_total{outcome="http1"}"#), 1);
}

/// RFC 7301 section 3.2.
#[test]
fn threat_28_a_foreign_alpn_is_refused_by_its_alert() {
    let (server, pair, _folder) = server();
    for foreign in ["imap", "acme-tls/1", "h2c", "http/1.0", "stun.nat-discovery"] {
        let refused = connect(&trusting(&pair, &[foreign]), server.bound.tls()).unwrap_err();
        let alert = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        assert_eq!(refused.get_ref().and_then(|error| error.downcast_ref()), Some(&alert), "{foreign}");
    }
    server.until(r#"byway_tls_connections_total{outcome="no_protocol"}"#, 5);
}

#[test]
fn threat_28_tls_1_2_and_1_3_are_spoken_and_resumed_by_tickets() {
    let (server, pair, _folder) = server();
    for version in [&TLS12, &TLS13] {
        let config = of_version(&pair, &[], &[version]);
        let mut first = connect(&config, server.bound.tls()).unwrap();
        assert_eq!(first.conn.protocol_version(), Some(version.version));
        get(&mut first, "/ice").expect_ok();
        let mut second = connect(&config, server.bound.tls()).unwrap();
        assert!(!is_resumed(&first) && is_resumed(&second), "{version:?}");
        binding(&mut second);
    }
    assert_eq!(server.metric("byway_tls_resumptions_total"), 2);
}

#[test]
fn threat_28_tls_1_1_is_refused() {
    let (server, _, _folder) = server();
    for minor in [1, 2] {
        let mut old = tcp(server.bound.tls());
        old.write_all(&client_hello(minor)).unwrap();
        let said = until_closed(&mut old);
        // RFC 5246 section 7.2: an alert record of two bytes, fatal, protocol_version.
        assert_eq!((said[0], &said[3..]), (21, &[0, 2, 2, 70][..]), "{said:?}");
    }
    server.until(r#"byway_tls_connections_total{outcome="incompatible"}"#, 2);
}

/// The greeting of a client that knows TLS 1.`minor - 1` at most (RFC 4346 section 7.4.1.2), with
/// the extensions of its days: `signature_algorithms`, groups and point formats, which some of them
/// sent.
fn client_hello(minor: u8) -> Vec<u8> {
    let extensions: &[u8] =
        b"\x00\x0d\x00\x04\x00\x02\x04\x03\x00\x0a\x00\x04\x00\x02\x00\x17\x00\x0b\x00\x02\x01\x00";
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    // No session, two suites, no compression.
    body.extend(b"\x00\x00\x04\xc0\x09\xc0\x2b\x01\x00");
    body.extend(counted(extensions));
    let message = [&[1, 0][..], &counted(&body)].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

/// `bytes` behind their number.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}
