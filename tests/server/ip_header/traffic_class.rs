//! DSCP and ECN go with the payload, from header to header (RFC 8656 section 14).

use byway_test_support::process::Server;
use byway_test_support::process::sockets::{Client, LOOPBACK, mark, receive, socket};
use byway_test_support::turn::{Request, Response, channel_data};

/// Expedited forwarding with each of the four ECN values; nothing; everything.
const CLASSES: [u8; 6] = [0xB8, 0xB9, 0xBA, 0xBB, 0x00, 0xFF];

/// Clients over either family, peers of either family.
#[test]
fn between_client_and_peer_it_is_carried_both_ways() {
    let server = Server::start();
    for listener in [server.bound.udp_v4(), server.bound.udp_v6()] {
        for loopback in LOOPBACK {
            let peer = socket(loopback);
            let address = peer.local_addr().unwrap();
            let (mut client, relayed) = Client::of(&server, listener).permitting(address);
            // First in indications, then on a channel.
            for channel in [None, Some(0x4000)] {
                for class in CLASSES {
                    mark(client.udp(), class);
                    match channel {
                        Some(number) => client.send_on(number, b"to the peer"),
                        None => client.indicate(&Request::send(address, b"to the peer")),
                    }
                    assert_eq!(receive(&peer), (b"to the peer".to_vec(), class));

                    mark(&peer, class);
                    peer.send_to(b"back", relayed).unwrap();
                    let (message, seen) = receive(client.udp());
                    assert!(message.starts_with(&[channel.map_or(0x00, |_| 0x40)]) && message.len() > 7);
                    assert_eq!(seen, class, "{listener} {address} {channel:?}");
                }
                client.granted(&Request::channel_bind(0x4000, address));
            }
        }
    }
}

#[test]
fn from_relay_to_relay_it_is_carried_in_memory() {
    let server = Server::start();
    for (listener, allocate) in [
        (server.bound.udp_v4(), Request::allocate()),
        (server.bound.udp_v6(), Request::allocate()),
        (server.bound.udp_v4(), Request::allocate_v6()),
    ] {
        let mut clients = [0, 1].map(|_| Client::of(&server, listener));
        let relayed = clients.each_mut().map(|client| client.granted(&allocate).relayed());
        for n in [0, 1] {
            clients[n].granted(&Request::channel_bind(0x4000, relayed[1 - n]));
        }
        for class in CLASSES {
            mark(clients[0].udp(), class);
            clients[0].send_on(0x4000, b"hello");
            assert_eq!(receive(clients[1].udp()), (channel_data(0x4000, b"hello"), class));
        }
    }
}

/// An answer carries nobody's payload.
#[test]
fn answers_are_unmarked() {
    let server = Server::start();
    for listener in [server.bound.udp_v4(), server.bound.udp_v6()] {
        let mut client = Client::of(&server, listener);
        mark(client.udp(), 0xBB);
        client.granted(&Request::allocate());
        client.send(&Request::binding().encode([9; 12], None));
        let (answer, class) = receive(client.udp());
        assert_eq!((Response::read(&answer).transaction(), class), ([9; 12], 0));
    }
}
