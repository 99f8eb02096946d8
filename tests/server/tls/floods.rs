//! Threat 19: slow clients, and many clients.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use byway_test_support::process::Server;
use byway_test_support::process::certificates::{Folder, Pair, server};
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::tls::{binding, connect, get, tcp, trusting, until_closed};

#[test]
fn threat_19_whoever_is_slow_is_cut_off_at_each_stage() {
    let (server, pair, _folder) = server();
    let port = server.bound.tls();
    let mut silent = tcp(port);
    let mut half_a_greeting = tcp(port);
    half_a_greeting.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    let mut undecided = connect(&trusting(&pair, &[]), port).unwrap();
    let mut half_a_head = connect(&trusting(&pair, &["http/1.1"]), port).unwrap();
    half_a_head.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
    let mut silent_http2 = connect(&trusting(&pair, &["h2"]), port).unwrap();
    // Beginning and settings, as a client must send them (RFC 9113 section 3.4), and nothing else.
    silent_http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    for stream in [&mut silent, &mut half_a_greeting] {
        assert!(until_closed(stream).is_empty());
    }
    for stream in [&mut undecided, &mut half_a_head, &mut silent_http2] {
        until_closed(&mut stream.sock);
    }
    server.until(r#"byway_tls_connections_total{outcome="timeout"}"#, 3);
    server.until("byway_http_connections", 1); // The one that asks.
}

/// More than may be undecided at one time: the oldest give way, and nobody else notices.
#[test]
fn threat_19_thousands_of_connections_of_one_byte_disturb_nobody() {
    const ROUNDS: usize = 30;
    let (server, pair, _folder) = server();
    let config = trusting(&pair, &[]);
    let mut turn = connect(&config, server.bound.tls()).unwrap();
    let mut flood: Vec<TcpStream> = Vec::new();
    for _ in 0..ROUNDS {
        for _ in 0..100 {
            let mut one = tcp(server.bound.tls());
            let _ = one.write_all(b"\x16");
            flood.push(one);
        }
        binding(&mut turn);
        get(&mut connect(&config, server.bound.tls()).unwrap(), "/ice").expect_ok();
    }
    assert!(server.metric(r#"byway_tls_connections_total{outcome="shed"}"#) > 0);
    let rest = uninterrupted(|| flood[0].read(&mut [0]));
    assert!(!matches!(rest, Ok(1..)), "the oldest has given way: {rest:?}");
}

/// Idle pages and WebSockets may hold every place that there is for them: who needs a relay comes
/// in nevertheless.
#[test]
fn threat_19_whoever_holds_all_places_of_http_keeps_nobody_from_turn() {
    const FILES: u16 = 400;
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    let server = Server::start_with_files(&folder.config(), FILES);
    let _flood: Vec<TcpStream> = (0..FILES).map(|_| tcp(server.bound.http[0])).collect();
    let page = connect(&trusting(&pair, &["http/1.1"]), server.bound.tls());
    until_closed(&mut page.unwrap().sock);
    let refused = r#"byway_http_connections_refused_total{limit="total"}"#;
    assert!(server.metric(refused) > 0, "no place is left");
    for protocols in [&["stun.turn"][..], &[]] {
        binding(&mut connect(&trusting(&pair, protocols), server.bound.tls()).unwrap());
    }
}

/// Threat 27: strangers write no log.
#[test]
fn threat_27_bad_handshakes_do_not_fill_the_log() {
    let (server, pair, _folder) = server();
    for _ in 0..300 {
        let mut garbage = tcp(server.bound.tls());
        garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        until_closed(&mut garbage);
        // A client that trusts another certificate says so by an alert.
        let stranger = trusting(&byway_test_support::process::certificates::Pair::new(), &[]);
        assert!(connect(&stranger, server.bound.tls()).is_err());
    }
    connect(&trusting(&pair, &[]), server.bound.tls()).unwrap();
    server.until(r#"byway_tls_connections_total{outcome="invalid"}"#, 300);
    let log = server.log();
    assert!(log.lines().last().is_some_and(|line| line.contains("open https://")), "{log}");
}

/// Threat 27: the library of HTTP/2 would warn of each of these frames.
#[test]
fn threat_27_frames_of_http2_do_not_fill_the_log() {
    // Type 6: PING (RFC 9113 section 6.7), with ACK or without.
    const UNASKED: &[u8; 17] = b"\0\0\x08\x06\x01\0\0\0\0unasked!";
    const ASKED: &[u8; 17] = b"\0\0\x08\x06\x00\0\0\0\0the last";
    let (server, pair, _folder) = server();
    let mut http2 = connect(&trusting(&pair, &["h2"]), server.bound.tls()).unwrap();
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    http2.write_all(&UNASKED.repeat(1000)).unwrap();
    http2.write_all(ASKED).unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"the last") {
        let mut byte = [0];
        http2.read_exact(&mut byte).unwrap();
        said.extend(byte);
    }
    server.logged("open https://");
    let log = server.log();
    assert!(log.lines().last().is_some_and(|line| line.contains("open https://")), "{log}");
}
