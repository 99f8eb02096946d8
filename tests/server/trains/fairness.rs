//! One greedy flow delays others by a bounded number of datagrams, and what there is no room for is
//! lost.
//!
//! All datagrams arrive at one socket, which thereby sees the order in which the server has served
//! them.

use std::net::{SocketAddr, UdpSocket};

use byway_test_support::process::background::repeating;
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, receive};
use byway_test_support::process::train::send_in_trains;
use byway_test_support::process::{CONFIG, Server};
use byway_test_support::turn::{Request, channel_data};

use super::{client, payload, peer, start};

/// A server of one shard that is asked at two addresses, and so has two clients on one socket.
fn wildcard() -> (Server, [SocketAddr; 2]) {
    let config = CONFIG
        .replace(r#"udp = ["127.0.0.1:0", "[::1]:0"]"#, r#"udp = ["0.0.0.0:0"]"#)
        .replace("shards = 2", "shards = 1");
    let server = Server::start_with(&config, |_| {});
    let port = server.bound.udp_v4().port();
    (server, ["127.0.0.5", "127.0.0.6"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port)))
}

/// Number of datagrams that arrive at `socket` before this one.
fn before(socket: &UdpSocket, is_it: impl Fn(&[u8]) -> bool) -> usize {
    (0..).find(|_| is_it(&receive(socket).0)).unwrap()
}

#[test]
fn a_peer_that_floods_one_allocation_delays_another_and_the_listener_by_a_few_trains() {
    let (server, listeners) = wildcard();
    let (shared, _) = peer(LOOPBACK[0]);
    let ((greedy, greedy_address), (modest, modest_address)) = (peer(LOOPBACK[0]), peer(LOOPBACK[0]));
    let over = |listener: SocketAddr, peer: SocketAddr| {
        let (mut client, relayed) =
            Client::over(&server, Link::Shared(shared.try_clone().unwrap(), listener)).permitting(peer);
        client.granted(&Request::channel_bind(0x4000, peer));
        (client, relayed)
    };
    let (client, flooded) = over(listeners[0], greedy_address);
    let (_, other) = over(listeners[1], modest_address);
    // Small ones, of which a socket holds many: alone, and in trains of 16. A turn is four of
    // either.
    for (flood, bound) in [(1, 16), (16, 256)] {
        let train = vec![b"flood".to_vec(); flood];
        for _ in 0..10 {
            server.meanwhile_paused(|| {
                (0..60).for_each(|_| send_in_trains(&greedy, Some(flooded), &train));
                modest.send_to(b"modest", other).unwrap();
                client.send(&Request::binding().encode([8; 12], None));
            });
            // In either order: they come to different sockets of the server.
            let others = |message: &[u8]| message[..2] == [1, 1] || message.ends_with(b"modest");
            let first = before(&shared, others);
            let second = first + before(&shared, others);
            assert!(second <= bound, "behind {first} and {second} of a flood");
            drain(&shared, &greedy, flooded);
        }
    }
}

/// Waits until all that a peer has sent has come.
fn drain(client: &UdpSocket, peer: &UdpSocket, relayed: SocketAddr) {
    peer.send_to(b"the end", relayed).unwrap();
    before(client, |message| message.ends_with(b"the end"));
}

#[test]
fn a_client_that_floods_delays_peers_of_others_by_a_round() {
    let (server, listeners) = wildcard();
    let (shared, shared_address) = peer(LOOPBACK[0]);
    let (modest, modest_address) = peer(LOOPBACK[0]);
    // What the greedy one sends arrives where the other one's media does.
    let (mut greedy, _) = client(&server, listeners[0]).permitting(shared_address);
    greedy.granted(&Request::channel_bind(0x4000, shared_address));
    let link = Link::Shared(shared.try_clone().unwrap(), listeners[1]);
    let (mut other, relayed) = Client::over(&server, link).permitting(modest_address);
    other.granted(&Request::channel_bind(0x4000, modest_address));
    for _ in 0..10 {
        server.meanwhile_paused(|| {
            (0..300).for_each(|_| greedy.send_on(0x4000, b"flood"));
            modest.send_to(b"modest", relayed).unwrap();
        });
        let modest = before(&shared, |message| message.ends_with(b"modest"));
        assert!(modest <= 64, "behind {modest} of a flood");
        greedy.send_on(0x4000, b"the end");
        before(&shared, |message| message == b"the end");
    }
}

/// A flood without an end, and others who notice nothing of it.
#[test]
fn while_a_peer_floods_others_lose_nothing() {
    let server = start("");
    let ((greedy, greedy_address), (modest, modest_address)) = (peer(LOOPBACK[0]), peer(LOOPBACK[0]));
    let (_flooded, flooded) = client(&server, server.bound.udp_v4()).permitting(greedy_address);
    let (mut other, relayed) = client(&server, server.bound.udp_v4()).permitting(modest_address);
    other.granted(&Request::channel_bind(0x4000, modest_address));
    let train = vec![payload(0, 0, 1000); 40];
    let flood = |_| send_in_trains(&greedy, Some(flooded), &train);
    repeating(1, flood, || {
        for n in 0..300_u16 {
            modest.send_to(&payload(1, n, 100), relayed).unwrap();
            assert_eq!(other.receive(), channel_data(0x4000, &payload(1, n, 100)));
            other.send_on(0x4000, &payload(2, n, 100));
            assert_eq!(receive(&modest).0, payload(2, n, 100));
            if n % 50 == 0 {
                other.granted(&Request::refresh(600));
            }
        }
    });
}
