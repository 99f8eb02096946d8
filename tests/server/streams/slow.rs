//! Back-pressure: a client that does not read loses media, never the server its memory.

use std::io::Write as _;

use ::stun::message::METHOD_ALLOCATE;
use byway_test_support::process::certificates::{Folder, Pair};
use byway_test_support::process::{CONFIG, Server, tls};
use byway_test_support::turn::Request;

use super::client::{Client, channel_data, received};

const PAYLOAD: usize = 1200;

/// Threat 19: the client's kernel, ours and our outbox fill up, and then payloads are dropped and
/// counted.
#[test]
fn threat_19_a_client_that_does_not_read_loses_media() {
    let server = Server::start();
    let (mut client, peer, relayed) = Client::with_peer(&server);
    let before = server.memory();
    // Far more than the buffers of both kernels take.
    let full = r#"byway_dropped_packets_total{reason="send_full"}"#;
    let mut sent = 0;
    while server.metric(full) < 1000 {
        for _ in 0..100 {
            peer.send_to(&[0xAB; PAYLOAD], relayed).unwrap();
        }
        sent += 100;
        assert!(sent < 200_000, "nothing was dropped");
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more for one slow client");

    // It wakes up: what waited comes in order and whole, and the connection is as good as before.
    let whole = channel_data(0x4000, &[0xAB; PAYLOAD]);
    let (refresh, _) = client.sign(&Request::refresh(600));
    client.send(&refresh);
    loop {
        let message = client.message();
        if message[0] < 4 {
            assert_eq!(message[..2], [0x01, 0x04], "a Refresh success response");
            break;
        }
        assert!(message == whole, "a message lost its shape");
    }
    // Payloads that still wait in the relay socket come first.
    peer.send_to(b"again", relayed).unwrap();
    let other = std::iter::repeat_with(|| client.message()).find(|message| *message != whole);
    assert_eq!(other, Some(channel_data(0x4000, b"again")));
}

/// Without an allocation, a client is served no more until it reads: little gathers for it, and
/// nothing is lost.
#[test]
fn threat_29_a_stranger_that_does_not_read_holds_little() {
    const STRANGERS: u64 = 24;
    // The answers are far more than the buffers of both kernels take.
    const REQUESTS: u16 = 2000;
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    let config = folder.config().replace("byway.test", &"r".repeat(127)).replace("shards = 2", "shards = 1");
    let server = Server::start_with(&config, |_| {});
    let transactions = (0..REQUESTS).map(|n| [n.to_be_bytes(); 6].as_flattened().try_into().unwrap());
    let ask = |transaction| Request::bare(METHOD_ALLOCATE).encode(transaction, None);
    let requests: Vec<u8> = transactions.clone().flat_map(ask).collect();
    // Each stranger has its turn, of eight requests, before the other has its next answer.
    let turns = || {
        let mut other = Client::connect(&server);
        (0..125).for_each(|_| drop(other.ask_unsigned(&Request::binding())));
    };
    let config = tls::trusting(&pair, &["stun.turn"]);
    tls::binding(&mut tls::connect(&config, server.bound.tls()).unwrap());
    turns();

    let before = server.memory();
    let connect = |_| {
        let mut stranger = Client::connect(&server);
        stranger.send(&requests);
        stranger
    };
    let _strangers: Vec<_> = (0..STRANGERS).map(connect).collect();
    turns();
    let grown = server.memory().saturating_sub(before) / STRANGERS;
    assert!(grown < 16 << 10, "{grown} bytes more for each of them");
    let mut stranger = connect(0);
    turns();
    transactions.for_each(|transaction| drop(stranger.answer(transaction)));

    let before = server.memory();
    let connect = |_| {
        let mut stranger = tls::connect(&config, server.bound.tls()).unwrap();
        stranger.write_all(&requests).unwrap();
        stranger
    };
    let _within_tls: Vec<_> = (0..STRANGERS).map(connect).collect();
    turns();
    let grown = server.memory().saturating_sub(before) / STRANGERS;
    assert!(grown < 64 << 10, "{grown} bytes more for each of them within TLS");
    assert_eq!(server.metric(r#"byway_dropped_packets_total{reason="send_full"}"#), 0);
}

/// The slow one's neighbour on the same server notices nothing.
#[test]
fn a_slow_client_does_not_slow_another() {
    let server = Server::start();
    let (_slow, to_slow, slow_relayed) = Client::with_peer(&server);
    let (mut quick, to_quick, quick_relayed) = Client::with_peer(&server);
    for _ in 0..200 {
        for _ in 0..50 {
            to_slow.send_to(&[0xAB; PAYLOAD], slow_relayed).unwrap();
        }
        to_quick.send_to(b"quick", quick_relayed).unwrap();
        assert_eq!(quick.message(), channel_data(0x4000, b"quick"));
    }
}

/// Messages of one connection that arrive in one chunk are served in turns, not before everybody
/// else.
#[test]
fn a_connection_with_hundreds_of_small_messages_does_not_hold_up_the_others() {
    let server = Server::start_with(&CONFIG.replace("shards = 2", "shards = 1"), |_| {});
    let (mut greedy, peer, _) = Client::with_peer(&server);
    let (mut modest, _) = Client::allocated(&server);
    modest.granted(&Request::channel_bind(0x4000, peer.local_addr().unwrap()));
    // Few enough for the peer's kernel to hold them all.
    const MANY: usize = 200;

    // Both have come before the server looks, the greedy one first.
    server.pause();
    greedy.send(&channel_data(0x4000, b"more").repeat(MANY));
    modest.send(&channel_data(0x4000, b"one"));
    server.signal("CONT");

    let order: Vec<_> = (0..=MANY).map(|_| received(&peer)).collect();
    let before = order.iter().position(|payload| payload == b"one").expect("it arrives, too");
    assert!(before < MANY / 2, "{before} of the other's came before it");
}
