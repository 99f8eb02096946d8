//! Threat 19: many connections at once.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ::stun::message::METHOD_ALLOCATE;

use crate::client::{Client, channel_data};
use crate::support::interrupts::uninterrupted;
use crate::support::{CONFIG, Server, http, stun};
use crate::turn::Request;

/// Those with an allocation, the datagrams and the pages go on while 5,000 connections say one byte each.
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

/// Bad input: a listener that runs out of file descriptors sheds the oldest stranger and keeps serving.
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

const SHED: &str = r#"byway_turn_streams_closed_total{reason="shed"}"#;

/// Fairness: a connection's turn ends after some messages, however many have come at once, and its answers leave before
/// the next. In one turn, these would be more than its outbox holds.
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
    let read = uninterrupted(|| socket.read(&mut [0]));
    assert!(
        matches!(&read, Ok(0))
            || read.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    );
}

/// So many connections, each of which says one byte.
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
