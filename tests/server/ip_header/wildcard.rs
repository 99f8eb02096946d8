//! A listener that is bound to no address answers from the one that it was asked at.

use std::net::SocketAddr;

use byway_test_support::process::sockets::{Client, LOOPBACK, socket};
use byway_test_support::process::{CONFIG, Server};
use byway_test_support::turn::{Request, at, channel_data};

fn start() -> Server {
    Server::start_with(&CONFIG.replace(r#"["127.0.0.1:0", "[::1]:0"]"#, r#"["0.0.0.0:0", "[::]:0"]"#), |_| {})
}

/// Loopback has many IPv4 addresses. The clients' sockets are connected: from elsewhere nothing
/// would arrive.
#[test]
fn answers_and_media_come_from_where_the_client_sends_to() {
    let server = start();
    let (v4, v6) = (server.bound.udp_v4().port(), server.bound.udp_v6().port());
    let peer = socket(LOOPBACK[0]);
    let peer_address = peer.local_addr().unwrap();
    for asked in [format!("127.0.0.1:{v4}"), format!("127.0.0.5:{v4}"), format!("[::1]:{v6}")] {
        let (mut client, relayed) = Client::of(&server, at(&asked)).permitting(peer_address);
        peer.send_to(b"in an indication", relayed).unwrap();
        assert!(client.receive().ends_with(b"in an indication"));
        client.granted(&Request::channel_bind(0x4000, peer_address));
        peer.send_to(b"on a channel", relayed).unwrap();
        assert_eq!(client.receive(), channel_data(0x4000, b"on a channel"));
    }
}

/// The server's address is part of the 5-tuple: what is two servers to a client is two allocations.
#[test]
fn each_address_that_is_asked_has_an_allocation_of_its_own() {
    let server = start();
    let client = socket("127.0.0.1:0");
    let ask = |ip: &str| -> (Client, SocketAddr) {
        let same_socket = client.try_clone().unwrap();
        same_socket.connect((ip, server.bound.udp_v4().port())).unwrap();
        let mut client = Client::over(&server, byway_test_support::process::sockets::Link::Udp(same_socket));
        let relayed = client.granted(&Request::allocate()).relayed();
        (client, relayed)
    };
    let ((_, first), (_, second)) = (ask("127.0.0.5"), ask("127.0.0.6"));
    assert_ne!(first, second);
}
