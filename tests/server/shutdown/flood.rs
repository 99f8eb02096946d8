//! The process ends when it is told to, whatever comes in meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};

use byway_test_support::process::background::repeating;
use byway_test_support::process::{CONFIG, Server};

/// Clients that are sent away come back at once, and take their time over each farewell: there
/// always is one more WebSocket.
#[test]
fn sigterm_ends_a_server_to_which_clients_come_back_again_and_again() {
    let mut server = Server::start_with(CONFIG, |_| {});
    let listener = server.bound.http[0];
    for _ in 0..8 {
        // These threads end with the server.
        std::thread::spawn(move || {
            while let Ok(mut client) = TcpStream::connect(listener) {
                let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
                let head =
                    "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
                let _ = client.write_all(format!("{head}{key}\r\n").as_bytes());
                // Until the server gives up waiting for the answer to its close frame.
                let _ = client.read_to_end(&mut Vec::new());
            }
        });
    }
    server.until("byway_websockets", 8);
    let status = server.terminate();
    assert!(status.success(), "{status}");
}

/// A flood keeps the sockets of a shard ready for ever; it must hear SIGTERM all the same.
#[test]
fn sigterm_ends_a_server_under_a_flood() {
    let mut server = Server::start_with(&CONFIG.replace("shards = 2", "shards = 1"), |_| {});
    let listener = server.bound.udp_v4();
    let sockets = [(); 4].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    // Neither STUN nor ChannelData: dropped, and counted.
    let flood = |thread: usize| {
        let _ = sockets[thread].send_to(b"?", listener);
    };
    repeating(sockets.len(), flood, || {
        let dropped = || server.metric(r#"byway_dropped_packets_total{reason="not_turn"}"#);
        assert!((0..10_000).any(|_| dropped() >= 10_000), "{} arrived", dropped());
        let status = server.terminate();
        assert!(status.success(), "{status}");
    });
}
