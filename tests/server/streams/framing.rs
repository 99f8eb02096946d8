//! Messages survive whatever TCP makes of them (RFC 8489 section 6.2.2, RFC 8656 section 12.5).

use byway_test_support::process::Server;
use byway_test_support::turn::Request;

use super::client::{Client, channel_data, peer, received};

#[test]
fn one_byte_at_a_time() {
    let server = Server::start();
    let (mut client, peer, relayed) = Client::with_peer(&server);
    let (refresh, transaction) = client.sign(&Request::refresh(600));
    for byte in channel_data(0x4000, b"slowly").into_iter().chain(refresh) {
        client.send(&[byte]);
    }
    assert_eq!(received(&peer), b"slowly");
    assert_eq!(client.answer(transaction).lifetime(), 600);
    peer.send_to(b"and back", relayed).unwrap();
    assert_eq!(client.message(), channel_data(0x4000, b"and back"));
}

#[test]
fn many_messages_in_one_segment() {
    let server = Server::start();
    let (mut client, peer, _) = Client::with_peer(&server);
    let payloads: Vec<Vec<u8>> = (0..200u8).map(|n| vec![n; usize::from(n)]).collect();
    let (refresh, transaction) = client.sign(&Request::refresh(600));
    let mut segment: Vec<u8> = payloads.iter().flat_map(|payload| channel_data(0x4000, payload)).collect();
    segment.extend(refresh);
    client.send(&segment);
    for payload in &payloads {
        assert_eq!(&received(&peer), payload);
    }
    assert_eq!(client.answer(transaction).lifetime(), 600);
}

/// A Data indication's header is written in front of a payload that stands in the middle of a
/// segment, and its padding behind it: neither may touch the messages that follow.
#[test]
fn messages_of_one_segment_do_not_overwrite_each_other() {
    let server = Server::start();
    let (mut alice, of_alice) = Client::allocated(&server);
    let (mut bob, of_bob) = Client::allocated(&server);
    alice.granted(&Request::permission(of_bob));
    bob.granted(&Request::permission(of_alice));
    let payloads: Vec<Vec<u8>> = (1..60u8).map(|n| vec![n; usize::from(n)]).collect();
    let send = |payload: &Vec<u8>| Request::send(of_bob, payload).encode([7; 12], None);
    alice.send(&payloads.iter().flat_map(send).collect::<Vec<u8>>());
    for payload in &payloads {
        let indication = byway_test_support::turn::Response::read(&bob.message());
        assert_eq!((indication.peer(), &indication.data()), (of_alice, payload));
    }
}

/// Threat 3: what was in the buffer before does not leak through padding.
#[test]
fn threat_3_padding_is_zero() {
    let server = Server::start();
    let (mut client, peer, relayed) = Client::with_peer(&server);
    for payload in [&[0xEE; 1200][..], b"12345"] {
        peer.send_to(payload, relayed).unwrap();
        assert_eq!(client.message(), channel_data(0x4000, payload));
    }
    // The same as Data indications: a permission without a channel.
    let other = super::client::peer();
    client.granted(&Request::permission(other.local_addr().unwrap()));
    for payload in [&[0xEE; 1201][..], b"12345"] {
        other.send_to(payload, relayed).unwrap();
        let message = client.message();
        let padding = payload.len().next_multiple_of(4) - payload.len();
        assert!(message.ends_with(&[payload, &vec![0; padding]].concat()));
    }
}

#[test]
fn threat_1_the_longest_messages_there_are_wrap_no_length() {
    let server = Server::start();
    let (mut client, _, relayed) = Client::with_peer(&server);
    let (mut other, of_other) = Client::allocated(&server);
    client.granted(&Request::channel_bind(0x4001, of_other));
    other.granted(&Request::channel_bind(0x4002, relayed));
    for length in [65_535, 65_534, 65_533, 65_532, 1] {
        client.send(&channel_data(0x4001, &vec![0xAB; length]));
        assert_eq!(other.message(), channel_data(0x4002, &vec![0xAB; length]), "{length} bytes");
    }
}

#[test]
fn binding_needs_no_credential_and_names_the_clients_address() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    let mapped = client.ask_unsigned(&Request::binding()).mapped();
    assert_eq!(mapped, client.socket.local_addr().unwrap());
}

/// Both shards and both kinds of link: a pair of allocations meets in memory wherever the kernel
/// has put its clients.
#[test]
fn connections_of_all_shards_reach_each_other() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..6).map(|_| Client::allocated(&server)).collect();
    let addresses: Vec<_> = clients.iter().map(|(_, relayed)| *relayed).collect();
    for (client, own) in &mut clients {
        for (number, peer) in (0x4000..).zip(addresses.iter().filter(|peer| *peer != own)) {
            client.granted(&Request::channel_bind(number, *peer));
        }
    }
    for from in 0..clients.len() {
        for number in 0..clients.len() - 1 {
            let to = if number < from { number } else { number + 1 };
            let payload = format!("{from} to {to}");
            clients[from].0.send(&channel_data(0x4000 + u16::try_from(number).unwrap(), payload.as_bytes()));
            let back = u16::try_from(if from < to { from } else { from - 1 }).unwrap();
            assert_eq!(clients[to].0.message(), channel_data(0x4000 + back, payload.as_bytes()));
        }
    }
    let outside = peer();
    assert_eq!(server.metric(r#"byway_relayed_packets_total{direction="to_peer"}"#), 0);
    drop(outside);
}
