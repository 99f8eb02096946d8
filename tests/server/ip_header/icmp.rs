//! ICMP errors of peers (RFC 8656 section 11.5), and what they cost others: nothing.

use std::net::{SocketAddr, UdpSocket};

use byway_test_support::process::Server;
use byway_test_support::process::sockets::{Client, LOOPBACK, receive, socket};
use byway_test_support::turn::{Request, Response, at};
use stun::attributes::{ATTR_XOR_PEER_ADDRESS, AttrType};
use stun::message::{CLASS_INDICATION, METHOD_DATA, MessageType};

const ATTR_ICMP: AttrType = AttrType(0x8004);

/// A peer that is not there: its socket is connected to itself, and so deaf to others while it
/// keeps them off its port.
fn deaf(loopback: &str) -> (UdpSocket, SocketAddr) {
    let socket = socket(loopback);
    let address = socket.local_addr().unwrap();
    socket.connect(address).unwrap();
    (socket, address)
}

#[test]
fn the_client_is_told_that_a_port_is_unreachable() {
    let server = Server::start();
    for (loopback, kind, code) in [(LOOPBACK[0], 3, 3), (LOOPBACK[1], 1, 4)] {
        let (_held, peer) = deaf(loopback);
        let (mut client, _) = Client::of(&server, server.bound.udp_v4()).permitting(peer);
        client.indicate(&Request::send(peer, b"anybody?"));
        let told = Response::read(&client.receive());
        assert_eq!(told.kind(), MessageType::new(METHOD_DATA, CLASS_INDICATION));
        assert_eq!(told.kinds(), [ATTR_XOR_PEER_ADDRESS, ATTR_ICMP]);
        assert_eq!((told.peer(), told.get(ATTR_ICMP)), (peer, vec![0, 0, kind << 1, code, 0, 0, 0, 0]));
        // What is counted once it is sent has been counted when the next one is answered.
        client.granted(&Request::permission(peer));
    }
    assert_eq!(server.metric("byway_icmp_errors_total"), 2);
}

/// The kernel tells the error that one peer has caused when something is sent to another one.
#[test]
fn one_peers_error_loses_no_datagram_of_anothers_and_ends_no_allocation() {
    let server = Server::start();
    for loopback in LOOPBACK {
        let ((_held, gone), peer) = (deaf(loopback), socket(loopback));
        let address = peer.local_addr().unwrap();
        let (mut client, relayed) = Client::of(&server, server.bound.udp_v4()).permitting(address);
        client.granted(&Request::channel_bind(0x4000, gone));
        client.granted(&Request::channel_bind(0x4001, address));
        for n in 0..200_u8 {
            client.send_on(0x4000, b"to nobody");
            client.send_on(0x4001, &[n]);
        }
        for n in 0..200_u8 {
            assert_eq!(receive(&peer).0, [n]);
        }
        // What the client is told meanwhile is in front of it.
        peer.send_to(b"still here", relayed).unwrap();
        while !client.receive().ends_with(b"still here") {}
    }
    assert_eq!(server.metric(r#"byway_dropped_packets_total{reason="send_failed"}"#), 0);
    assert_eq!(server.metric("byway_allocations"), 2);
}

/// A datagram that this machine's own network refuses to send is lost, and nothing else is.
/// `tests/privileged/nat/send_errors.rs` has it refuse in other ways.
#[test]
fn an_address_that_cannot_be_sent_to_ends_no_allocation() {
    let config =
        byway_test_support::process::CONFIG.replace(r#"["127.0.0.1/32", "::1/128"]"#, r#"["0.0.0.0/0"]"#);
    let server = Server::start_with(&config, |_| {});
    // From a loopback address nothing leaves the machine: EINVAL or ENETUNREACH, by its routes. A
    // broadcast is EACCES.
    for refused in ["192.0.2.1:9", "127.255.255.255:9"] {
        let (peer, refused) = (socket(LOOPBACK[0]), at(refused));
        let address = peer.local_addr().unwrap();
        let (mut client, _) = Client::of(&server, server.bound.udp_v4()).permitting(address);
        client.granted(&Request::permission(refused));
        for n in 0..50_u8 {
            client.indicate(&Request::send(refused, b"out"));
            client.indicate(&Request::send(address, &[n]));
            assert_eq!(receive(&peer).0, [n]);
        }
    }
    server.until(r#"byway_dropped_packets_total{reason="send_failed"}"#, 100);
    assert_eq!(server.metric("byway_allocations"), 2);
}
