//! A server behind a 1:1 NAT. Sockets bind one address, clients learn another, and both are the
//! server's own.

use byway_test_support::turn::{Client, Request, Seen, Server, at, channel_data};
use byway_turn::server::{DropReason, RelayAddress};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use stun::attributes::{ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN};

const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(45, 0, 0, 1));

/// Creates a server of two shards with relay sockets at `bind`, on a machine with these interfaces.
fn behind_nat(bind: &str, interfaces: &[&str]) -> Server {
    Server::with(2, |settings| {
        settings.addresses = vec![RelayAddress { bind: bind.parse().unwrap(), public: PUBLIC }];
        settings.peer_policy.own = interfaces.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect();
    })
}

/// The datagrams stay in the process, so the NAT needs no hairpinning.
#[test]
fn two_clients_meet_in_memory_under_the_public_address() {
    for bind in ["0.0.0.0", "10.0.0.5"] {
        let mut server = behind_nat(bind, &["10.0.0.5"]);
        let mut clients =
            [0, 1].map(|n| Client::on(n, &server, &format!("203.0.113.{}:5000", 9 + n), ["alice", "bob"][n]));
        let relayed =
            clients.each_mut().map(|client| client.granted(&mut server, &Request::allocate()).relayed());
        assert_eq!(relayed.map(|address| address.ip()), [PUBLIC; 2]);
        assert!(server.sockets().iter().all(|socket| socket.ip() == bind.parse::<IpAddr>().unwrap()));
        for n in [0, 1] {
            clients[n].granted(&mut server, &Request::channel_bind(0x4000, relayed[1 - n]));
        }
        for n in [0, 1] {
            let seen = clients[n].send_on(&mut server, 0x4000, b"hello");
            assert_eq!(seen, Seen::ToClient(clients[1 - n].address(), channel_data(0x4000, b"hello")));
        }
    }
}

/// A reserved port is bound at the inner address, and announced at the public one.
#[test]
fn a_reserved_port_is_bound_and_told_alike() {
    let mut server = behind_nat("10.0.0.5", &["10.0.0.5"]);
    let mut first = Client::on(0, &server, "203.0.113.9:5000", "alice");
    let response = first.granted(&mut server, &Request::allocate().with(ATTR_EVEN_PORT, &[0x80]));
    let port = response.relayed().port() + 1;
    assert_eq!(server.reserved(), [SocketAddr::new(at("10.0.0.5:0").ip(), port)]);
    let token = response.get(ATTR_RESERVATION_TOKEN);
    let mut second = Client::on(1, &server, "203.0.113.10:5000", "bob");
    let claimed = second.granted(&mut server, &Request::allocate().with(ATTR_RESERVATION_TOKEN, &token));
    assert_eq!(claimed.relayed(), SocketAddr::new(PUBLIC, port));
    assert!(server.reserved().is_empty());
}

/// Threat 13: the same socket, at the address that only this machine and its neighbours know.
#[test]
fn threat_13_a_relay_port_under_the_address_it_is_bound_to_is_an_own_address() {
    // 45.0.0.2 is public, so only the rule for own addresses rejects it.
    for (bind, interfaces, inner) in [
        ("45.0.0.2", &[][..], "45.0.0.2"),
        ("0.0.0.0", &["10.0.0.5", "45.0.0.2"], "45.0.0.2"),
        ("0.0.0.0", &["10.0.0.5", "45.0.0.2"], "10.0.0.5"),
        ("0.0.0.0", &["10.0.0.5"], "0.0.0.0"),
    ] {
        let mut server = behind_nat(bind, interfaces);
        let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
        let (_, other) = Client::allocated(&mut server, "203.0.113.10:5000", "bob");
        let socket = server.sockets()[0];
        let inner = SocketAddr::new(inner.parse().unwrap(), other.port());
        assert_eq!(client.refused(&mut server, &Request::permission(inner)), 403, "{bind} {inner}");
        assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4000, inner)), 403, "{bind} {inner}");
        let inbound = server.peer_datagram(socket, inner, b"x");
        assert_eq!(inbound, Seen::Dropped(DropReason::NoPermission), "{bind} {inner}");
    }
}

/// At the public address, only live relay ports are permitted.
#[test]
fn threat_13_the_public_address_is_the_servers_own_though_no_interface_has_it() {
    let mut server = behind_nat("0.0.0.0", &["10.0.0.5"]);
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::permission(relayed));
    for own in [at("45.0.0.1:22"), at("45.0.0.1:3478"), SocketAddr::new(PUBLIC, relayed.port() ^ 1)] {
        assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4000, own)), 403, "{own}");
        let send = client.send_unsigned(&mut server, &Request::send(own, b"x"));
        assert_eq!(send, Seen::Dropped(DropReason::PeerDenied), "{own}");
    }
}
