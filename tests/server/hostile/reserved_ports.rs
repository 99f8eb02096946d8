//! Threat 49: a relay port that was promised (EVEN-PORT, RESERVATION-TOKEN) and that another
//! program takes meanwhile.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use byway_test_support::process::sockets::{Client, LOOPBACK, receive, socket};
use byway_test_support::process::{CONFIG, Server};
use byway_test_support::turn::{Request, Response};
use stun::attributes::{ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN};

const RESERVED: &str = "byway_relay_ports_reserved";
const COLLISIONS: &str = "byway_relay_port_collisions_total";

fn even_with_next(server: &Server) -> (Client, Response, SocketAddr) {
    let mut client = Client::of(server, server.bound.udp_v4());
    let response = client.granted(&Request::allocate().with(ATTR_EVEN_PORT, &[0x80]));
    let relayed = response.relayed();
    (client, response, SocketAddr::new(relayed.ip(), relayed.port() + 1))
}

fn with_token(response: &Response) -> Request {
    Request::allocate().with(ATTR_RESERVATION_TOKEN, &response.get(ATTR_RESERVATION_TOKEN))
}

/// Of twelve clients with a token, some are on the other of the two shards than the one that bound
/// the socket, but once in four thousand runs.
#[test]
fn threat_49_no_other_program_gets_a_reserved_port_and_whoever_has_its_token_does() {
    let server = Server::start();
    let peer = socket(LOOPBACK[0]);
    let address = peer.local_addr().unwrap();
    for taken in 0..12 {
        let (first, response, next) = even_with_next(&server);
        assert_eq!(server.metric(RESERVED), 1);
        assert_eq!(UdpSocket::bind(next).unwrap_err().kind(), ErrorKind::AddrInUse);
        // What comes before there is an allocation is for nobody.
        peer.send_to(b"early", next).unwrap();
        drop(first);
        let mut second = Client::of(&server, server.bound.udp_v4());
        assert_eq!(second.granted(&with_token(&response)).relayed(), next);
        assert_eq!((server.metric(RESERVED), server.metric("byway_allocations")), (0, 2 * (taken + 1)));
        second.granted(&Request::channel_bind(0x4000, address));
        second.send_on(0x4000, b"out");
        assert_eq!(receive(&peer).0, b"out");
        peer.send_to(b"in", next).unwrap();
        assert_eq!(second.receive(), byway_test_support::turn::channel_data(0x4000, b"in"));
        assert_eq!(second.asked(&with_token(&response)).code(), 437);
        let mut third = Client::of(&server, server.bound.udp_v4());
        assert_eq!(third.asked(&with_token(&response)).code(), 508, "a token is good once");
    }
    assert_eq!(server.metric(r#"byway_dropped_packets_total{reason="no_permission"}"#), 0);
}

/// Three of four pairs have a port that another program has.
#[test]
fn threat_49_a_pair_of_which_another_program_has_one_is_passed_over_and_counted() {
    // An address of loopback that nobody else uses meanwhile.
    let [.., high, low] = std::process::id().to_be_bytes();
    let relay = Ipv4Addr::new(127, 49, high, low | 1);
    let config = CONFIG.replace(
        r#"addresses = ["127.0.0.1", "::1"]"#,
        &format!("addresses = [\"{relay}\"]\nports = \"40000-40007\""),
    );
    let server = Server::start_with(&config, |_| {});
    let others: Vec<UdpSocket> =
        [40_001, 40_002, 40_005].map(|port| UdpSocket::bind((relay, port)).unwrap()).into();
    let (mut client, response, next) = even_with_next(&server);
    assert_eq!((response.relayed().port(), next.port()), (40_006, 40_007));
    let mut other = Client::of(&server, server.bound.udp_v4());
    assert_eq!(other.asked(&Request::allocate().with(ATTR_EVEN_PORT, &[0x80])).code(), 508);
    assert!(server.metric(COLLISIONS) >= 3, "each of the three was tried");
    assert_eq!(other.granted(&with_token(&response)).relayed(), next);

    // Once they are free again they can be had: nothing of a pair was left behind.
    drop(others);
    for client in [&mut client, &mut other] {
        client.granted(&Request::refresh(0));
    }
    let pairs: Vec<_> = (0..4).map(|_| even_with_next(&server)).collect();
    assert_eq!((pairs.len() as u64, server.metric(RESERVED)), (4, 4));
    assert!(server.metric("byway_relay_ports_unrested_total") > 0, "all were at rest");
}
