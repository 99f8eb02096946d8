//! Trains on links that take less than loopback does.

use std::net::{SocketAddr, UdpSocket};

use byway_test_support::process::sockets::{Client, receive, socket};
use byway_test_support::process::train::send_in_trains;
use byway_test_support::process::{CONFIG, Server, http, stun};
use byway_test_support::turn::{Request, channel_data};
use socket2::SockRef;

use super::namespace::{Namespace, run};

const REFUSED: &str = "byway_segmentation_refused_total";
const SEGMENTED: &str = r#"byway_datagrams_sent_total{path="segmented"}"#;

/// Short enough to be joined, and with the headers of IPv6 longer than the packets of the link that
/// it meets.
const LONG: usize = 1250;
const MTU: usize = 1280;

/// The server's machine and a peer's, on one cable.
struct Machines {
    server: Namespace,
    peer: Namespace,
}

impl Machines {
    fn new(name: &str) -> Self {
        let [server, peer] = ["here", "there"].map(|role| Namespace::new(&format!("{name}-{role}")));
        server.ip(&format!("link add eth0 type veth peer name eth0 netns {}", peer.name()));
        for (namespace, n) in [(&server, 1), (&peer, 2)] {
            namespace.ip(&format!("address add 45.0.0.{n}/24 dev eth0"));
            namespace.ip(&format!("address add 2a00::{n}/64 dev eth0 nodad"));
            namespace.ip("link set eth0 up");
        }
        Self { server, peer }
    }

    /// On the server's machine: the server with more in its `[relay]`, the peers' sockets of both
    /// families, and a client of the same machine, who has a channel to each.
    fn call(&self, more: &str) -> (Server, [(UdpSocket, SocketAddr); 2], Client, [SocketAddr; 2]) {
        let config = CONFIG
            .replace("shards = 2", &format!("shards = 1\n{more}"))
            .replace(r#"addresses = ["127.0.0.1", "::1"]"#, r#"addresses = ["45.0.0.1", "2a00::1"]"#)
            .replace(r#""127.0.0.1/32", "::1/128""#, r#""45.0.0.2/32", "2a00::2/128""#);
        let mut peers = None;
        self.peer.within(|| {
            peers = Some(["45.0.0.2:0", "[2a00::2]:0"].map(|address| {
                let socket = socket(address);
                SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
                let address = socket.local_addr().unwrap();
                (socket, address)
            }));
        });
        let peers = peers.expect("it has been done");
        let server = Server::start_with(&config, |_| {});
        let mut client = Client::of(&server, server.bound.udp_v4());
        let relayed = client.granted(&Request::allocate_dual()).all_relayed();
        for (number, (_, address)) in (0x4000..).zip(&peers) {
            client.granted(&Request::channel_bind(number, *address));
        }
        let relayed = peers.each_ref().map(|(_, address)| {
            *relayed
                .iter()
                .find(|relayed| relayed.is_ipv4() == address.is_ipv4())
                .expect("one of each family")
        });
        (server, peers, client, relayed)
    }
}

/// Each to both peers, in trains, and back from them.
fn there_and_back(
    peers: &[(UdpSocket, SocketAddr); 2],
    client: &Client,
    relayed: [SocketAddr; 2],
    size: usize,
) {
    let payload = |flow: u16, n: u16| {
        let mut payload = vec![7; size];
        payload[..2].copy_from_slice(&flow.to_be_bytes());
        payload[2..4].copy_from_slice(&n.to_be_bytes());
        payload
    };
    let all: Vec<_> = (0..32_u16).map(|n| channel_data(0x4000 + n % 2, &payload(n % 2, n))).collect();
    send_in_trains(client.udp(), None, &all);
    for (flow, (socket, _)) in (0..).zip(peers) {
        for n in (0..32_u16).filter(|n| n % 2 == flow) {
            assert!(receive(socket).0 == payload(flow, n), "datagram {n} to peer {flow}");
        }
    }
    for (flow, ((socket, _), relayed)) in (0..).zip(peers.iter().zip(relayed)) {
        for n in 0..16 {
            // The peer's own machine does not segment into more than its link takes.
            socket.send_to(&payload(flow, n), relayed).unwrap();
        }
        for n in 0..16 {
            assert!(client.receive() == channel_data(0x4000 + flow, &payload(flow, n)), "{n} from {flow}");
        }
    }
}

/// Datagrams too long for the link to be segmented go one by one, and are fragmented as they would
/// have been.
#[test]
#[ignore = "needs root: tests/run nat"]
fn a_train_of_datagrams_that_the_link_does_not_take_whole_goes_one_by_one() {
    for by_route in [false, true] {
        let machines = Machines::new(if by_route { "route" } else { "link" });
        machines.server.within(|| goes_one_by_one(&machines, by_route));
    }
}

fn goes_one_by_one(machines: &Machines, by_route: bool) {
    let (server, peers, client, relayed) = machines.call("");
    for _ in 0..5 {
        there_and_back(&peers, &client, relayed, LONG);
    }
    assert!(server.metric(SEGMENTED) > 0, "an ordinary link takes trains");
    assert_eq!(server.metric(REFUSED), 0);

    // Found out while the call is on.
    if by_route {
        // That of IPv4 does not count: routers may fragment.
        for peer in ["45.0.0.2/32", "2a00::2/128"] {
            machines.server.ip(&format!("route add {peer} dev eth0 mtu {MTU}"));
        }
    } else {
        for namespace in [&machines.server, &machines.peer] {
            namespace.ip(&format!("link set eth0 mtu {MTU}"));
        }
    }
    for _ in 0..5 {
        there_and_back(&peers, &client, relayed, LONG);
    }
    let refused = server.metric(REFUSED);
    assert!(refused > 0, "by route: {by_route}");
    // Shorter ones still go together.
    let before = server.metric(SEGMENTED);
    there_and_back(&peers, &client, relayed, 500);
    assert!(server.metric(SEGMENTED) > before);
    assert_eq!(server.metric(REFUSED), refused);
    for reason in ["send_full", "send_failed"] {
        assert_eq!(server.metric(&format!("byway_dropped_packets_total{{reason={reason:?}}}")), 0);
    }
}

/// A queue that empties slowly fills the socket: media is lost and counted, datagram by datagram,
/// and the shard goes on.
#[test]
#[ignore = "needs root: tests/run nat"]
fn a_slow_link_loses_media_and_holds_nobody_up() {
    for offload in [true, false] {
        let machines = Machines::new("slow");
        machines.server.within(|| loses_media(&machines, offload));
    }
}

fn loses_media(machines: &Machines, offload: bool) {
    let (server, peers, client, _) = machines.call(&format!("offload = {offload}\nrelay_buffer = \"64KiB\""));
    let slow = "qdisc add dev eth0 root tbf rate 1mbit burst 20kb limit 100mb";
    run(machines.server.command("tc").args(slow.split(' ')));
    let train: Vec<_> = (0..32).map(|n| channel_data(0x4000, &[n; 1200])).collect();
    let full = r#"byway_dropped_packets_total{reason="send_full"}"#;
    let through = r#"byway_relayed_packets_total{direction="to_peer"}"#;
    let mut sent = 0;
    while server.metric(full) < 100 {
        assert!(sent < 20_000, "nothing was dropped");
        send_in_trains(client.udp(), None, &train);
        sent += 32;
        // Answered meanwhile.
        stun::binding(server.bound.udp_v4());
    }
    http::get(server.bound.admin[0], "/healthz").expect_ok();
    // What is counted once it is sent has been counted when the next one is answered.
    stun::binding(server.bound.udp_v4());
    assert_eq!(server.metric(full) + server.metric(through), sent, "each is counted once");
    assert_eq!(server.metric(r#"byway_dropped_packets_total{reason="send_failed"}"#), 0);
    assert_eq!(receive(&peers[0].0).0, [0; 1200], "what there was room for arrives");
}
