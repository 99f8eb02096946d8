//! The process ends when it is told to, whatever its clients do meanwhile.

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use support::{CONFIG, Server};

/// While datagrams come faster than they are served, no socket is ever read dry; a shard that looked for the end only
/// in a pause would never find it.
#[test]
fn sigterm_is_heeded_under_a_flood() {
    let mut server = Server::start_with(&CONFIG.replace("shards = 2", "shards = 1"), |_| {});
    let _flood = Flood::begin(server.bound.udp_v4());
    let is_flooded = |_| server.metric("byway_auth_challenges_total") > 10_000;
    assert!((0..10_000).any(is_flooded), "the flood reaches the server");

    let told = Command::new("kill").arg(server.pid().to_string()).status();
    assert!(told.expect("kill runs").success());
    let ended = server.ends_within(Duration::from_secs(5));
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}

/// Allocate requests of strangers, each of which costs the server a fresh nonce, until dropped.
struct Flood(Arc<AtomicBool>);

impl Flood {
    /// So many threads that one of them is always at work, whatever else the machine does.
    const THREADS: usize = 8;

    fn begin(listener: SocketAddr) -> Self {
        let on = Arc::new(AtomicBool::new(true));
        for _ in 0..Self::THREADS {
            let on = on.clone();
            thread::spawn(move || {
                let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket is bound");
                while on.load(Relaxed) {
                    let _ = stranger.send_to(b"\0\x03\0\0\x21\x12\xa4\x42a-stranger-0", listener);
                }
            });
        }
        Self(on)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}
