//! A server of its own for each case, a peer that echoes, and many cases at a time.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use byway_test_support::process::Server;
use byway_test_support::process::certificates::{Folder, Pair};
use byway_test_support::process::interrupts::uninterrupted;

/// Transport of a client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// A server that listens on all of them, over IPv4 and IPv6.
pub(crate) struct Lab {
    pub(crate) server: Server,
    /// Must not vanish while the server lives.
    _certificate: Folder,
}

impl Lab {
    pub(crate) fn start() -> Self {
        Self::start_as(|config| config)
    }

    /// With a configuration that `adjust` has changed.
    pub(crate) fn start_as(adjust: impl FnOnce(String) -> String) -> Self {
        // Each server relays from an IPv4 address of its own, as it would on a machine of its own.
        // They share ::1, where a port that another one has is passed over.
        static LABS: AtomicU8 = AtomicU8::new(1);
        /// Many servers start together on a busy machine, so none is ready as soon as a test waits
        /// for it.
        static STARTING: Mutex<()> = Mutex::new(());
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let certificate = Folder::with(&Pair::new());
        let config = certificate
            .config()
            .replace(r#"tls = ["127.0.0.1:0"]"#, r#"tls = ["127.0.0.1:0", "[::1]:0"]"#)
            .replace(
                r#"addresses = ["127.0.0.1", "::1"]"#,
                &format!(r#"addresses = ["127.0.1.{number}", "::1"]"#),
            )
            .replace("[quota]", "[quota]\nallocations_per_user = 400");
        let config = adjust(config);
        // One that did not start is told by its own test.
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let server = Server::start_with(&config, |_| {});
        drop(starting);
        Self { server, _certificate: certificate }
    }

    /// The listener for `transport`, of IPv6 or of IPv4.
    pub(crate) fn listener(&self, transport: Transport, v6: bool) -> SocketAddr {
        let bound = &self.server.bound;
        let listeners = match transport {
            Transport::Udp => &bound.udp,
            Transport::Tcp => &bound.tcp,
            Transport::Tls => &bound.tls,
        };
        *listeners.iter().find(|listener| listener.is_ipv6() == v6).expect("each family has a listener")
    }
}

/// A peer that sends back what it gets, for as long as the process lives.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
}

impl Echo {
    pub(crate) fn start(address: IpAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("a free port on loopback");
        let address = socket.local_addr().expect("it is bound");
        // The thread ends with the test process; the socket is its own.
        thread::spawn(move || {
            let mut payload = [0; 1500];
            while let Ok((length, from)) = uninterrupted(|| socket.recv_from(&mut payload)) {
                let _ = socket.send_to(&payload[..length], from);
            }
        });
        Self { address }
    }
}

/// Runs all cases at the same time, since they mostly wait, and names those that fail.
pub(crate) fn all_at_once<C: Debug + Sync>(cases: &[C], run: impl Fn(&C) + Sync) {
    let run = &run;
    let failed: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = cases.iter().map(|case| (case, scope.spawn(move || run(case)))).collect();
        let failed = running.into_iter().filter_map(|(case, thread)| thread.join().err().map(|_| case));
        failed.map(|case| format!("{case:?}")).collect()
    });
    assert!(failed.is_empty(), "failed, for the reasons above:\n{}", failed.join("\n"));
}
