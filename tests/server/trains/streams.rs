//! Clients over connections: their media leaves in few system calls, and what comes for them in few
//! writes.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use byway_test_support::process::Server;
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, receive};
use byway_test_support::process::train::send_in_trains;
use byway_test_support::turn::{Request, channel_data};

use super::{client, payload, peer, with_and_without_offload};

const SEND_CALLS: &str = "byway_send_calls_total";

/// A TCP client with channel 0x4000 bound to `peer`, and its relayed transport address.
fn connected(server: &Server, peer: SocketAddr) -> (Client, SocketAddr) {
    let socket = TcpStream::connect(server.bound.tcp_v4()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut client, relayed) = Client::over(server, Link::Tcp(socket)).permitting(peer);
    client.granted(&Request::channel_bind(0x4000, peer));
    (client, relayed)
}

#[test]
fn what_a_connection_brings_leaves_together() {
    // With it, messages of one flow are one message to the kernel; without, still one call.
    with_and_without_offload("", |server| {
        let (peer, address) = peer(LOOPBACK[0]);
        let (client, relayed) = connected(server, address);
        let before = server.metric(SEND_CALLS);
        let all: Vec<_> = (0..96).map(|n| channel_data(0x4000, &payload(0, n, 500))).collect();
        server.meanwhile_paused(|| client.send(&all.concat()));
        for n in 0..96 {
            assert_eq!(receive(&peer).0, payload(0, n, 500));
        }
        // For what `with_and_without_offload` asks of it.
        server.meanwhile_paused(|| send_in_trains(&peer, Some(relayed), &all[..8]));
        (0..8).for_each(|_| drop(client.receive()));
        let calls = server.metric(SEND_CALLS) - before;
        assert!(calls <= 12, "{calls} calls for 96 datagrams");
    });
}

#[test]
fn a_peers_train_reaches_a_connection_in_few_writes() {
    with_and_without_offload("", |server| {
        let (peer, address) = peer(LOOPBACK[0]);
        let (client, relayed) = connected(server, address);
        let train: Vec<_> = (0..40).map(|n| payload(0, n, 1000)).collect();
        server.meanwhile_paused(|| send_in_trains(&peer, Some(relayed), &train));
        let expected: Vec<u8> = train.iter().flat_map(|payload| channel_data(0x4000, payload)).collect();
        let Link::Tcp(socket) = &client.link else { panic!("it is one") };
        let (mut came, mut reads, mut room) = (Vec::new(), 0, vec![0; 1 << 20]);
        while came.len() < expected.len() {
            let read = uninterrupted(|| (&*socket).read(&mut room)).unwrap();
            assert!(read > 0, "the server has closed the connection");
            came.extend_from_slice(&room[..read]);
            reads += 1;
        }
        assert!(came == expected);
        assert!(reads <= 12, "{reads} reads for 40 messages");
        // For what `with_and_without_offload` asks of it.
        client.send(&vec![channel_data(0x4000, &[7; 100]); 8].concat());
        (0..8).for_each(|_| drop(receive(&peer)));
    });
}

/// A round brings more than waits for a client who reads too slowly; to one who does not, all of it
/// goes.
#[test]
fn more_than_an_outbox_holds_reaches_a_connection_that_has_room() {
    with_and_without_offload("", |server| {
        let (peer, address) = peer(LOOPBACK[0]);
        let (mut tcp, relayed) = connected(server, address);
        let mut udp = client(server, server.bound.udp_v4());
        // Three trains of one turn, 90,000 bytes: relay sockets hold no more.
        let all: Vec<_> = (0..75).map(|n| payload(0, n, 1200)).collect();
        for _ in 0..10 {
            server.meanwhile_paused(|| send_in_trains(&peer, Some(relayed), &all));
            for payload in &all {
                assert_eq!(tcp.receive(), channel_data(0x4000, payload));
            }
        }
        assert_eq!(server.metric(r#"byway_dropped_packets_total{reason="send_full"}"#), 0);
        tcp.granted(&Request::refresh(600));
        // For what `with_and_without_offload` asks of it.
        let relayed = udp.granted(&Request::allocate()).relayed();
        udp.granted(&Request::permission(relayed));
        client_train(&mut udp, address, &peer);
    });
}

fn client_train(client: &mut Client, address: SocketAddr, peer: &std::net::UdpSocket) {
    client.granted(&Request::channel_bind(0x4000, address));
    send_in_trains(client.udp(), None, &vec![channel_data(0x4000, &[7; 100]); 8]);
    (0..8).for_each(|_| drop(receive(peer)));
}
