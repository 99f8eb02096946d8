//! The process ends when it is told to, whatever its clients do meanwhile.

mod support;

use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use support::{CONFIG, Server, stun};

/// While datagrams come faster than they are served, no socket is ever read dry; a shard that looked for the end only
/// in a pause would never find it.
#[test]
fn sigterm_is_heeded_under_a_flood() {
    let mut server = Server::start_with(&CONFIG.replace("shards = 2", "shards = 1"), |_| {});
    let listener = server.bound.udp_v4();
    let flooding = AtomicBool::new(true);
    let ended = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket is bound");
                while flooding.load(Relaxed) {
                    // An Allocate request without credentials, which costs the server a fresh nonce.
                    let _ = stranger.send_to(b"\0\x03\0\0\x21\x12\xa4\x42a transact.", listener);
                }
            });
        }
        // The server is at work on the flood when an answer has made its way through it.
        stun::binding(listener);
        let told = Command::new("kill").arg(server.pid().to_string()).status();
        assert!(told.expect("kill runs").success());
        let ended = server.ends_within(Duration::from_secs(10));
        flooding.store(false, Relaxed);
        ended
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}
