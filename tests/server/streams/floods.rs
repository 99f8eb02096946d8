//! Threat 19: many connections at once.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ::stun::message::METHOD_ALLOCATE;
use byway_test_support::process::certificates::{Folder, Pair};
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::{CONFIG, Server, http, stun, tls};
use byway_test_support::turn::Request;
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{ClientConfig, ConnectionTrafficSecrets, ContentType, ProtocolVersion};

use super::client::{Client, channel_data};

/// Those with an allocation, the datagrams and the pages go on while 5,000 connections say one byte
/// each.
#[test]
fn threat_19_five_thousand_connections_of_one_byte_disturb_nobody() {
    let server = Server::start();
    let (mut client, peer, relayed) = Client::with_peer(&server);
    let mut flood = Vec::new();
    for round in 0..50 {
        flood.extend(connect(server.bound.tcp_v4(), 100));
        peer.send_to(b"media", relayed).unwrap();
        assert_eq!(client.message(), channel_data(0x4000, b"media"), "round {round}");
    }
    stun::binding(server.bound.udp_v4());
    http::get(server.bound.admin[0], "/healthz").expect_ok();
    Client::allocated(&server).0.granted(&Request::refresh(600));
    drop(flood);
    server.until("byway_turn_streams", 1);
}

/// Bad input: a listener that runs out of file descriptors sheds the oldest stranger and keeps
/// serving.
#[test]
fn threat_19_the_oldest_strangers_make_room_when_descriptors_run_out() {
    // Each shard sheds its own.
    let server = Server::start_with(&CONFIG.replace("shards = 2", "shards = 1"), |_| {});
    let (mut client, _, _) = Client::with_peer(&server);
    // As if others of this user had taken them: the server's own share-out knows nothing of it.
    server.leave_descriptors(20);
    let mut flood = connect(server.bound.tcp_v4(), 60);
    client.granted(&Request::refresh(600));
    let mut late = Client::connect(&server);
    late.ask_unsigned(&Request::binding());
    assert!(server.metric(SHED) > 0);
    closed(&mut flood[0]);
}

/// The same where the server has given all places for connections away.
#[test]
fn threat_19_the_oldest_strangers_make_room_when_there_are_too_many() {
    let server = Server::start_with_files(CONFIG, 160);
    let (mut client, _, _) = Client::with_peer(&server);
    let _flood = connect(server.bound.tcp_v4(), 160);
    client.granted(&Request::refresh(600));
    let mut late = Client::connect(&server);
    late.ask_unsigned(&Request::binding());
    http::get(server.bound.admin[0], "/healthz").expect_ok();
    assert!(server.metric(SHED) > 0);
}

/// Bounds the sum of what strangers may hold: the oldest go. A connection with an allocation stays,
/// however old.
#[test]
fn threat_29_the_oldest_strangers_go_when_all_may_hold_too_much() {
    // 64 KiB each of 64 MiB, on the one shard.
    const MOST: usize = 1024;
    const BEYOND: usize = 4;
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    let server = Server::start_with(&folder.config().replace("shards = 2", "shards = 1"), |_| {});
    let (mut client, _, _) = Client::with_peer(&server);
    let config = tls::trusting(&pair, &["stun.turn"]);
    let stranger = || {
        let mut stranger = tls::connect(&config, server.bound.tls()).unwrap();
        tls::binding(&mut stranger);
        stranger
    };
    let mut flood: Vec<_> = (0..MOST + BEYOND).map(|_| stranger()).collect();
    assert_eq!(server.metric(SHED), BEYOND as u64);
    flood[..BEYOND].iter_mut().for_each(|gone| closed(&mut gone.sock));
    tls::binding(&mut flood[BEYOND]);
    client.granted(&Request::refresh(600));

    // While another asks for its allocation, it is one more.
    let (mut second, _) = Client::allocated(&server);
    let _in_its_place = stranger();
    assert_eq!(server.metric(SHED), BEYOND as u64 + 1);
    second.granted(&Request::refresh(0));
    server.until(SHED, BEYOND as u64 + 2);
}

/// A handshake message of 64 KiB after the handshake, of which 48 come: TLS keeps a record's worth
/// of it for a stranger.
#[test]
fn threat_29_tls_keeps_little_of_a_stranger_that_says_nothing() {
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    let server = folder.serve();
    let mut config = ClientConfig::clone(&tls::trusting(&pair, &["stun.turn"]));
    config.enable_secret_extraction = true;
    let stranger = tls::connect(&Arc::new(config), server.bound.tls()).unwrap();
    // Before a shard has it, what comes counts as its handshake.
    server.until("byway_turn_streams", 1);
    let (tls, mut socket) = (stranger.conn, stranger.sock);
    let aead = tls.negotiated_cipher_suite().and_then(|suite| suite.tls13()).unwrap().aead_alg;
    let (first, secrets) = tls.dangerous_extract_secrets().unwrap().tx;
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        panic!("no other cipher suite is offered");
    };
    let mut encrypter = aead.encrypter(key, iv);
    // A KeyUpdate so long (RFC 8446 section 4).
    let message = [&b"\x18\x00\xff\xf0"[..], &[0; 48 * 1024]].concat();
    for (sequence, piece) in (first..).zip(message.chunks(8 * 1024)) {
        let (typ, version) = (ContentType::Handshake, ProtocolVersion::TLSv1_2);
        let record = OutboundPlainMessage { typ, version, payload: OutboundChunks::Single(piece) };
        // It may have ended before it has heard all.
        let _ = socket.write_all(&encrypter.encrypt(record, sequence).unwrap().encode());
    }
    closed(&mut socket);
    server.until(r#"byway_turn_streams_closed_total{reason="broken"}"#, 1);
}

const SHED: &str = r#"byway_turn_streams_closed_total{reason="shed"}"#;

/// Fairness: a connection's turn ends after some messages, however many have come at once, and its
/// answers leave before the next. In one turn, these would be more than its outbox holds.
#[test]
fn a_client_that_asks_much_at_once_waits_for_its_turns_and_has_every_answer() {
    let config = CONFIG.replace("byway.test", &"r".repeat(127));
    let server = Server::start_with(&config, |_| {});
    let mut client = Client::connect(&server);
    let transactions = (0..500_u16).map(|n| [n.to_be_bytes(); 6].as_flattened().try_into().unwrap());
    // The answer to 20 bytes is a challenge of 200.
    let ask = |transaction| Request::bare(METHOD_ALLOCATE).encode(transaction, None);
    client.send(&transactions.clone().flat_map(ask).collect::<Vec<u8>>());
    for transaction in transactions {
        client.answer(transaction);
    }
}

/// Waits for the end of a connection.
fn closed(socket: &mut TcpStream) {
    socket.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    let read = uninterrupted(|| socket.read_to_end(&mut Vec::new())).map_err(|error| error.kind());
    assert!(matches!(read, Ok(_) | Err(ErrorKind::ConnectionReset)), "{read:?}");
}

/// Opens `count` connections that send one byte each.
fn connect(to: SocketAddr, count: u16) -> Vec<TcpStream> {
    let open = |_| {
        let mut socket =
            TcpStream::connect_timeout(&to, Duration::from_secs(10)).expect("the kernel accepts");
        // One that is refused may be closed already.
        let _ = socket.write_all(b"\x00");
        socket
    };
    (0..count).map(open).collect()
}
