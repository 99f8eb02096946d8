//! The process ends when it is told to, whatever comes in meanwhile.

use std::net::UdpSocket;

use crate::support::{CONFIG, Server};

/// A flood keeps the sockets of a shard ready for ever; it must hear SIGTERM all the same.
#[test]
fn sigterm_ends_a_server_under_a_flood() {
    let mut server = Server::start_with(&CONFIG.replace("shards = 2", "shards = 1"), |_| {});
    let listener = server.bound.udp_v4();
    for _ in 0..4 {
        // These threads end with the test process.
        std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            loop {
                // Neither STUN nor ChannelData: dropped, and counted.
                let _ = socket.send_to(b"?", listener);
            }
        });
    }
    let dropped = || server.metric(r#"byway_dropped_packets_total{reason="not_turn"}"#);
    assert!((0..10_000).any(|_| dropped() >= 10_000), "{} arrived", dropped());
    let status = server.terminate();
    assert!(status.success(), "{status}");
}
