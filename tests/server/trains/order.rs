//! Every flow keeps its order and every datagram its bytes, both ways, whatever shares a train with
//! it.

use std::net::{SocketAddr, UdpSocket};

use ::stun::attributes::ATTR_DONT_FRAGMENT;
use byway_test_support::process::sockets::{Client, LOOPBACK, mark, receive};
use byway_test_support::process::train::send_in_trains;
use byway_test_support::process::{CONFIG, Server};
use byway_test_support::turn::{Request, Response, at, channel_data};

use super::{client, payload, peer, with_and_without_offload};

/// Bytes of the messages of a train.
const SIZES: [usize; 4] = [60, 160, 1000, 1200];
/// Peers on channels; one more has a permission alone.
const CHANNELS: u8 = 3;
const PEERS: u8 = CHANNELS + 1;
/// Datagrams of each flow and size.
const EACH: u16 = 9;

#[test]
fn channels_and_indications_that_share_trains_keep_their_order() {
    with_and_without_offload("", |server| {
        for listener in [server.bound.udp_v4(), server.bound.udp_v6()] {
            for loopback in LOOPBACK {
                there_and_back(server, listener, loopback);
            }
        }
    });
}

/// The kernel tells the destination of a train beside its size, and is told the source likewise.
#[test]
fn a_wildcard_listener_takes_and_gives_trains() {
    let listen = r#"udp = ["127.0.0.1:0", "[::1]:0"]"#;
    for offload in [true, false] {
        let config = CONFIG
            .replace(listen, r#"udp = ["0.0.0.0:0", "[::]:0"]"#)
            .replace("shards = 2", &format!("shards = 1\noffload = {offload}"));
        let server = Server::start_with(&config, |_| {});
        let (v4, v6) = (server.bound.udp_v4().port(), server.bound.udp_v6().port());
        for asked in [format!("127.0.0.5:{v4}"), format!("127.0.0.6:{v4}"), format!("[::1]:{v6}")] {
            there_and_back(&server, at(&asked), LOOPBACK[0]);
        }
        assert_eq!(server.metric(r#"byway_datagrams_sent_total{path="segmented"}"#) > 0, offload);
    }
}

fn there_and_back(server: &Server, listener: SocketAddr, loopback: &str) {
    let peers: Vec<(UdpSocket, SocketAddr)> = (0..PEERS).map(|_| peer(loopback)).collect();
    let (mut client, relayed) = client(server, listener).permitting(peers[0].1);
    for (number, (_, address)) in (0x4000..).zip(&peers).take(CHANNELS.into()) {
        client.granted(&Request::channel_bind(number, *address));
    }
    let last = peers[usize::from(CHANNELS)].1;

    // All flows by turns: one message to the server holds all of them, and they part there.
    let turns = SIZES.iter().flat_map(|size| (0..EACH).map(move |n| (*size, n)));
    let of = |flow: u8| turns.clone().map(move |(size, n)| (flow, n, size));
    let wrapped = |(flow, n, size): (u8, u16, usize)| {
        if flow < CHANNELS {
            channel_data(0x4000 + u16::from(flow), &payload(flow, n, size - 4))
        } else {
            Request::send(last, &payload(flow, n, size - overhead(last))).encode([9; 12], None)
        }
    };
    let all = turns.clone().flat_map(|(size, n)| (0..PEERS).map(move |flow| (flow, n, size)));
    let all: Vec<_> = all.map(wrapped).collect();
    server.meanwhile_paused(|| send_in_trains(client.udp(), None, &all));
    for (flow, (socket, _)) in (0..).zip(&peers) {
        for (_, n, size) in of(flow) {
            let size = size - if flow < CHANNELS { 4 } else { overhead(last) };
            let (came, _) = receive(socket);
            assert!(came == payload(flow, n, size), "to peer {flow}, {size} bytes: {:?}", &came[..3]);
        }
    }

    server.meanwhile_paused(|| {
        for (flow, (socket, _)) in (0..).zip(&peers) {
            let all: Vec<_> = of(flow).map(|(flow, n, size)| payload(flow, n, size)).collect();
            send_in_trains(socket, Some(relayed), &all);
        }
    });
    let mut expected: Vec<_> = (0..PEERS).map(of).collect();
    for _ in 0..SIZES.len() * usize::from(EACH) * peers.len() {
        let (flow, came) = unwrapped(&client, &peers);
        let (_, n, size) = expected[usize::from(flow)].next().unwrap();
        assert!(came == payload(flow, n, size), "from peer {flow}, {size} bytes: {:?}", &came[..3]);
    }
}

/// Bytes of a Send indication to `peer` around a payload: headers and an address.
fn overhead(peer: SocketAddr) -> usize {
    20 + if peer.is_ipv4() { 12 } else { 24 } + 4
}

/// The next payload for a client, and whose it is.
fn unwrapped(client: &Client, peers: &[(UdpSocket, SocketAddr)]) -> (u8, Vec<u8>) {
    let message = client.receive();
    if message[0] == 0x40 {
        assert_eq!(usize::from(u16::from_be_bytes([message[2], message[3]])), message.len() - 4);
        return (message[1], message[4..].to_vec());
    }
    let indication = Response::read(&message);
    let flow = peers.iter().position(|(_, address)| *address == indication.peer()).unwrap();
    assert_eq!(flow, usize::from(CHANNELS), "the others have channels");
    (CHANNELS, indication.data())
}

/// DSCP and ECN are a train's. A router that marks some of a flow's datagrams (RFC 3168) does not
/// have them overtake others.
#[test]
fn a_flow_that_changes_its_class_keeps_its_order() {
    with_and_without_offload("", |server| {
        for loopback in LOOPBACK {
            let (peer, address) = peer(loopback);
            let (mut client, relayed) = client(server, server.bound.udp_v4()).permitting(address);
            client.granted(&Request::channel_bind(0x4000, address));
            let classes = [0xB9, 0xBB, 0xB9, 0x00, 0xBB, 0xB9];
            let four = |first: u16| (4 * first..4 * first + 4).map(|n| payload(0, n, 200));
            server.meanwhile_paused(|| {
                for (i, class) in (0..).zip(classes) {
                    mark(client.udp(), class);
                    let train: Vec<_> = four(i).map(|payload| channel_data(0x4000, &payload)).collect();
                    send_in_trains(client.udp(), None, &train);
                    mark(&peer, class);
                    send_in_trains(&peer, Some(relayed), &four(i).collect::<Vec<_>>());
                }
            });
            for (i, class) in (0..).zip(classes) {
                for payload in four(i) {
                    assert_eq!(receive(&peer), (payload.clone(), class), "train {i}");
                    assert_eq!(receive(client.udp()), (channel_data(0x4000, &payload), class), "train {i}");
                }
            }
        }
    });
}

/// The option of a socket that keeps one datagram whole is changed between two others.
#[test]
fn what_must_not_be_fragmented_keeps_its_place_in_a_train() {
    with_and_without_offload("", |server| {
        for loopback in LOOPBACK {
            let (peer, address) = peer(loopback);
            let (client, _) = client(server, server.bound.udp_v4()).permitting(address);
            let wrapped = |n: u16| {
                // As long as the others: the attribute is a header and no more.
                let (is_whole, size) = (n % 5 == 2, 300);
                let send = Request::send(address, &payload(0, n, if is_whole { size - 4 } else { size }));
                if is_whole { send.with(ATTR_DONT_FRAGMENT, &[]) } else { send }.encode([9; 12], None)
            };
            let train: Vec<_> = (0..30).map(wrapped).collect();
            server.meanwhile_paused(|| send_in_trains(client.udp(), None, &train));
            for n in 0..30 {
                let came = receive(&peer).0;
                assert_eq!(came[..3], payload(0, n, 3), "in order");
            }
        }
    });
}

/// On one shard, and across two: a pair of sixteen clients is as likely on one as not.
#[test]
fn trains_from_relay_to_relay_keep_their_order() {
    for shards in [1, 2] {
        with_and_without_offload(&format!("shards = {shards}"), |server| {
            let mut clients: Vec<_> = (0..16).map(|_| client(server, server.bound.udp_v4())).collect();
            let relayed: Vec<_> =
                clients.iter_mut().map(|client| client.granted(&Request::allocate()).relayed()).collect();
            // Each sends to its left and its right, in turns.
            let neighbours = |i: usize| [(i + 1) % 16, (i + 15) % 16];
            for (i, client) in clients.iter_mut().enumerate() {
                for (number, j) in (0x4000..).zip(neighbours(i)) {
                    client.granted(&Request::channel_bind(number, relayed[j]));
                }
            }
            server.meanwhile_paused(|| {
                for (i, client) in (0..).zip(&clients) {
                    let turns = (0..32_u16).map(|n| channel_data(0x4000 + n % 2, &payload(i, n, 500)));
                    send_in_trains(client.udp(), None, &turns.collect::<Vec<_>>());
                }
            });
            for (i, client) in clients.iter().enumerate() {
                let mut expected = neighbours(i).map(|j| {
                    // I am the other neighbour of my neighbour.
                    let parity = u16::from(neighbours(j)[1] == i);
                    let flow = u8::try_from(j).unwrap();
                    (0..16_u16).map(move |n| payload(flow, 2 * n + parity, 500))
                });
                for _ in 0..32 {
                    let message = client.receive();
                    let from = usize::from(message[1]);
                    assert!(message[4..] == expected[from].next().unwrap(), "client {i} from side {from}");
                }
            }
        });
    }
}
