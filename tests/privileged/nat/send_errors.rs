//! Send errors: a datagram that the kernel refuses is lost, and no other; neither its allocation
//! nor its shard ends.

use std::net::SocketAddr;

use byway_test_support::process::sockets::{Client, receive, socket};
use byway_test_support::process::{CONFIG, Server, http};
use byway_test_support::turn::Request;

use super::namespace::{Namespace, run};

/// Peers that cannot be sent to, each by another error.
const REFUSED: [(&str, &str); 6] = [
    ("45.0.0.3:9", "EPERM, of a packet filter"),
    ("8.8.8.8:9", "ENETUNREACH, without a route"),
    ("9.9.9.8:9", "EHOSTUNREACH"),
    ("9.9.9.9:9", "EACCES"),
    ("9.9.9.10:9", "EINVAL, of a black hole"),
    ("[2a01::1]:9", "ENETUNREACH by IPv6"),
];
/// One that is behind a queue in which there is no room: ENOBUFS.
const FULL: &str = "45.0.0.9:9";
/// Those that can be sent to all the while.
const REACHED: [&str; 2] = ["45.0.0.2:9", "[2a00::2]:9"];
const ROUNDS: u64 = 50;

#[test]
#[ignore = "needs root: tests/run nat"]
fn one_peers_send_error_loses_no_datagram_of_anothers_and_ends_no_allocation_and_no_shard() {
    let namespace = machine();
    let config = CONFIG
        .replace("shards = 2", "shards = 1")
        .replace(r#"addresses = ["127.0.0.1", "::1"]"#, r#"addresses = ["45.0.0.1", "2a00::1"]"#)
        .replace(r#""127.0.0.1/32", "::1/128""#, r#""45.0.0.0/24", "2a00::/64""#);
    namespace.within(|| {
        let server = Server::start_with(&config, |_| {});
        let peers = REACHED.map(|address| (address.parse().unwrap(), socket(address)));
        let mut client = Client::of(&server, server.bound.udp_v4());
        client.granted(&Request::allocate_dual());
        let mut bystander = Client::of(&server, server.bound.udp_v4());
        bystander.granted(&Request::allocate());
        let refused: Vec<SocketAddr> =
            REFUSED.iter().map(|(peer, _)| *peer).chain([FULL]).map(|peer| peer.parse().unwrap()).collect();
        let all = refused.iter().chain(peers.iter().map(|(address, _)| address));
        for (number, peer) in (0x4000..).zip(all) {
            client.granted(&Request::channel_bind(number, *peer));
        }
        for round in 0..ROUNDS {
            for (number, peer) in (0x4000..).zip(&refused) {
                client.send_on(number, b"on a channel");
                client.indicate(&Request::send(*peer, b"in an indication"));
            }
            for (number, (_, peer)) in (0x4000..).skip(refused.len()).zip(&peers) {
                client.send_on(number, &round.to_be_bytes());
                assert_eq!(receive(peer).0, round.to_be_bytes());
            }
        }
        let dropped = |reason| server.metric(&format!("byway_dropped_packets_total{{reason={reason:?}}}"));
        assert_eq!(dropped("send_failed"), 2 * ROUNDS * REFUSED.len() as u64);
        assert_eq!(dropped("send_full"), 2 * ROUNDS);
        assert_eq!(server.metric("byway_allocations"), 2);
        http::get(server.bound.admin[0], "/healthz").expect_ok();
        bystander.granted(&Request::refresh(600));
        Client::of(&server, server.bound.udp_v4()).granted(&Request::allocate());
    });
}

/// A machine with an address of each family on one network card, for which a bridge stands in, and
/// a neighbour on its network to which nothing is ever sent.
fn machine() -> Namespace {
    let namespace = Namespace::new("errors");
    namespace.ip("link add eth0 type bridge");
    namespace.ip("link set eth0 up");
    for address in ["45.0.0.1/24", "45.0.0.2/24", "2a00::1/64 nodad", "2a00::2/64 nodad"] {
        namespace.ip(&format!("address add {address} dev eth0"));
    }
    namespace.ip("neighbour add 45.0.0.9 lladdr 02:00:00:00:00:09 dev eth0");
    for route in ["unreachable 9.9.9.8", "prohibit 9.9.9.9", "blackhole 9.9.9.10"] {
        namespace.ip(&format!("route add {route}"));
    }
    run(namespace.command("tc").args("qdisc add dev eth0 root pfifo limit 0".split(' ')));
    let filter =
        "table ip filter { chain output { type filter hook output priority 0; ip daddr 45.0.0.3 drop; }; }";
    run(namespace.command("nft").arg(filter));
    namespace
}
