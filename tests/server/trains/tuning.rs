//! Effects of the options of `[relay]` on the machine; they change no datagram.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use byway::clock::Clock;
use byway_test_support::process::Server;
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::sockets::{Client, LOOPBACK, receive};
use byway_test_support::turn::{Request, channel_data};

use super::{client, payload, peer, start};

const PATIENCE: Duration = Duration::from_secs(20);

/// A client with a peer on channel 0x4000, that peer, and the relayed transport address.
fn call(server: &Server) -> (Client, UdpSocket, SocketAddr) {
    let (peer, address) = peer(LOOPBACK[0]);
    let (mut client, relayed) = client(server, server.bound.udp_v4()).permitting(address);
    client.granted(&Request::channel_bind(0x4000, address));
    (client, peer, relayed)
}

#[test]
fn dense_traffic_has_a_shard_nap_and_loses_nothing() {
    let server = start("nap = \"1ms\"");
    let (client, peer, relayed) = call(&server);
    let clock = Clock::start();
    while server.metric("byway_naps_total") < 10 {
        assert!(clock.now().mono < PATIENCE, "no naps");
        for _ in 0..20 {
            (0..50).for_each(|n| assert_eq!(peer.send_to(&payload(0, n, 100), relayed).unwrap(), 100));
            (0..50).for_each(|n| assert_eq!(client.receive(), channel_data(0x4000, &payload(0, n, 100))));
        }
    }
    assert_eq!(start("").metric("byway_naps_total"), 0);
}

#[test]
fn pinned_shards_stay_on_a_core_each() {
    let server = Server::start_with(
        &byway_test_support::process::CONFIG.replace("shards = 2", "shards = 2\nincoming_cpu = true"),
        |_| {},
    );
    // The threads have started once both can have been asked.
    for _ in 0..8 {
        client(&server, server.bound.udp_v4()).granted(&Request::allocate());
    }
    let cores = |name: &str| {
        let threads = server.threads();
        let status =
            threads.iter().find(|(found, _)| found == name).map(|(_, status)| status.clone()).unwrap();
        field(&status, "Cpus_allowed_list:").to_owned()
    };
    let of_shards = ["shard-0", "shard-1"].map(cores);
    assert!(of_shards.iter().all(|cores| cores.parse::<u16>().is_ok()), "one core each: {of_shards:?}");
    let all = std::thread::available_parallelism().unwrap().get();
    assert_eq!(of_shards[0] != of_shards[1], all > 1, "{of_shards:?} of {all}");
    let log = server.log();
    assert!(!log.contains("WARN"), "{log}");
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel says it").trim()
}

/// A shard that keeps asking does not sleep between two datagrams that are less than ten
/// milliseconds apart. A machine that is at something else may keep them further apart than that,
/// now and then.
#[test]
fn a_shard_that_keeps_asking_seldom_sleeps() {
    const TRIPS: u64 = 500;
    let sleeps = |more: &str| {
        let server = start(more);
        let (client, peer, relayed) = call(&server);
        let count = || {
            let threads = server.threads();
            let (_, status) = threads.iter().find(|(name, _)| name == "shard-0").unwrap();
            field(status, "voluntary_ctxt_switches:").parse::<u64>().unwrap()
        };
        let before = count();
        for n in 0..TRIPS {
            let payload = payload(0, u16::try_from(n).unwrap(), 100);
            client.send_on(0x4000, &payload);
            assert_eq!(receive(&peer).0, payload);
            peer.send_to(&payload, relayed).unwrap();
            assert_eq!(client.receive(), channel_data(0x4000, &payload));
        }
        count() - before
    };
    let (busy, idle) = (sleeps("busy_poll = \"10ms\""), sleeps(""));
    assert!(busy < TRIPS / 2 && busy < idle, "{busy} and {idle} sleeps in {TRIPS} round trips");
}

/// Socket buffers hold the datagrams that arrive while a shard is busy.
#[test]
fn larger_buffers_hold_more() {
    let from_peers = |size: &str| {
        let server = start(&format!("relay_buffer = {size:?}"));
        let (client, peer, relayed) = call(&server);
        held(&server, client.udp(), 300, |payload| {
            assert_eq!(peer.send_to(payload, relayed).unwrap(), payload.len());
        })
    };
    let from_clients = |size: &str| {
        let server = start(&format!("receive_buffer = {size:?}"));
        let (client, peer, _) = call(&server);
        held(&server, &peer, 300, |payload| client.send_on(0x4000, payload))
    };
    for arrived in [&from_peers as &dyn Fn(&str) -> usize, &from_clients] {
        let (small, large) = (arrived("64KiB"), arrived("1MiB"));
        assert!(small < 150 && large > small + small / 2, "{small} and {large} of 300");
    }
}

/// Number of datagrams, of `count` that come at once, that arrive at `socket`.
fn held(server: &Server, socket: &UdpSocket, count: u16, send: impl Fn(&[u8])) -> usize {
    server.meanwhile_paused(|| (0..count).for_each(|n| send(&payload(0, n, 1000))));
    // Something that comes behind all of them, sent until it does.
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let clock = Clock::start();
    let (mut arrived, mut room) = (0, [0; 2048]);
    send(b"the end");
    loop {
        assert!(clock.now().mono < PATIENCE, "no end of it");
        match uninterrupted(|| socket.recv(&mut room)) {
            Ok(length) if room[..length].ends_with(b"the end") => return arrived,
            Ok(_) => arrived += 1,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                send(b"the end")
            }
            Err(error) => panic!("{error}"),
        }
    }
}
