//! Peer policy in every method and on inbound delivery (RFC 8656 section 21.1; threats 12 and 13).

use byway_test_support::turn::{Client, Request, Seen, Server, at};
use byway_turn::server::DropReason;
use std::net::{IpAddr, Ipv4Addr};

const DENIED_V4: [&str; 21] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
];

const DENIED_V6: [&str; 24] = [
    "::",
    "::1",
    "::7f00:1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:1::1",
    "2001:db8::1",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "2a00::5efe:a00:1",
    "2a00::200:5efe:8.8.8.8",
];

fn allocated(server: &mut Server, v6: bool) -> Client {
    let mut client = Client::new(server, "203.0.113.9:5000", "alice");
    client.granted(server, &if v6 { Request::allocate_v6() } else { Request::allocate() });
    client
}

fn is_closed(server: &mut Server, client: &mut Client, ip: &str) {
    let peer = at(&if ip.contains(':') { format!("[{ip}]:9000") } else { format!("{ip}:9000") });
    let relayed = server.sockets()[0];
    assert_eq!(client.refused(server, &Request::permission(peer)), 403, "CreatePermission {ip}");
    assert_eq!(client.refused(server, &Request::channel_bind(0x4000, peer)), 403, "ChannelBind {ip}");
    let send = client.send_unsigned(server, &Request::send(peer, b"x"));
    assert_eq!(send, Seen::Dropped(DropReason::NoPermission), "Send {ip}");
    let inbound = server.peer_datagram(relayed, peer, b"x");
    assert_eq!(inbound, Seen::Dropped(DropReason::NoPermission), "inbound {ip}");
}

#[test]
fn threat_12_what_is_denied_by_default_is_closed_to_every_method() {
    let mut server = Server::new();
    let mut client = allocated(&mut server, false);
    for ip in DENIED_V4 {
        is_closed(&mut server, &mut client, ip);
    }
    let mut server = Server::new();
    let mut client = allocated(&mut server, true);
    for ip in DENIED_V6 {
        is_closed(&mut server, &mut client, ip);
    }
}

/// An IPv4-mapped IPv6 address is not reachable from an IPv4 allocation either: the family differs.
#[test]
fn threat_12_embedded_forms_are_refused_on_ipv4_allocations_too() {
    let mut server = Server::new();
    let mut client = allocated(&mut server, false);
    for ip in ["::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::8.8.8.8"] {
        assert_eq!(client.refused(&mut server, &Request::permission(at(&format!("[{ip}]:9")))), 443);
    }
}

#[test]
fn a_configured_denial_is_closed_and_an_opening_is_open() {
    let mut server = Server::with(1, |settings| {
        settings.peer_policy.deny = vec!["8.8.0.0/16".parse().unwrap()];
        settings.peer_policy.allow = vec!["10.1.0.0/16".parse().unwrap(), "8.8.8.8/32".parse().unwrap()];
    });
    let mut client = allocated(&mut server, false);
    is_closed(&mut server, &mut client, "8.8.8.8");
    is_closed(&mut server, &mut client, "10.2.0.1");
    client.granted(&mut server, &Request::channel_bind(0x4000, at("10.1.0.1:9")));
    assert!(matches!(client.send_on(&mut server, 0x4000, b"x"), Seen::ToPeer { .. }));
}

/// Clients of several relays meet where each denies all but the network of the relays: the relay at
/// 45.0.0.1 has a port of its own there, and that of another server is a peer like any.
#[test]
fn where_only_a_network_of_relays_is_open_all_of_them_reach_each_other() {
    // The 24 networks that, with 45.0.0.0/24, are all of IPv4.
    let outside = |length: u8| {
        let bit = 1 << (32 - length);
        format!("{}/{length}", Ipv4Addr::from_bits((0x2d00_0000_u32 ^ bit) & !(bit - 1)))
    };
    let mut server = Server::with(1, |settings| {
        settings.peer_policy.deny = (1..=24).map(|length| outside(length).parse().unwrap()).collect();
    });
    let mut client = allocated(&mut server, false);
    let own = server.sockets()[0];
    for peer in [own, at("45.0.0.2:50000")] {
        client.granted(&mut server, &Request::permission(peer));
    }
    client.granted(&mut server, &Request::channel_bind(0x4000, at("45.0.0.2:50000")));
    assert!(matches!(client.send_on(&mut server, 0x4000, b"x"), Seen::ToPeer { .. }));
    for ip in ["8.8.8.8", "45.0.1.2", "44.255.255.255", "10.0.0.1"] {
        is_closed(&mut server, &mut client, ip);
    }
}

/// Threat 13: a permission for the relay's own address covers live relay ports and nothing else.
#[test]
fn threat_13_own_listeners_and_dead_relay_ports_are_closed() {
    let mut server = Server::new();
    let mut client = allocated(&mut server, false);
    let relayed = server.sockets()[0];
    client.granted(&mut server, &Request::permission(relayed));
    let dead = at(&format!("45.0.0.1:{}", if relayed.port() == 50_000 { 50_001 } else { 50_000 }));
    for own in [at("45.0.0.1:3478"), at("45.0.0.1:443"), at("45.0.0.1:22"), at("45.0.0.1:8080"), dead] {
        assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4000, own)), 403, "{own}");
        let send = client.send_unsigned(&mut server, &Request::send(own, b"x"));
        assert_eq!(send, Seen::Dropped(DropReason::PeerDenied), "{own}");
        assert_eq!(server.peer_datagram(relayed, own, b"x"), Seen::Dropped(DropReason::PeerDenied), "{own}");
    }
}

/// Even if the configuration allows loopback, as the embedded one does, listeners stay closed.
#[test]
fn threat_13_own_listeners_are_closed_within_an_opening() {
    let mut server = Server::with(1, |settings| {
        settings.peer_policy.allow = vec!["127.0.0.0/8".parse().unwrap(), "45.0.0.1/32".parse().unwrap()];
    });
    let mut client = allocated(&mut server, false);
    for listener in ["127.0.0.1:3478", "127.0.0.1:8080", "127.9.9.9:3478", "45.0.0.1:3478", "45.0.0.1:443"] {
        assert_eq!(
            client.refused(&mut server, &Request::channel_bind(0x4000, at(listener))),
            403,
            "{listener}"
        );
    }
    client.granted(&mut server, &Request::channel_bind(0x4000, at("127.0.0.1:9000")));
}

/// Other addresses of the server are closed entirely.
#[test]
fn threat_13_own_addresses_that_are_no_relays_get_no_permission() {
    let mut server =
        Server::with(1, |settings| settings.peer_policy.own.extend(["45.0.0.2".parse::<IpAddr>().unwrap()]));
    let mut client = allocated(&mut server, false);
    is_closed(&mut server, &mut client, "45.0.0.2");
}

/// At run time, an address that an interface gets is closed from then on. An address that it loses
/// is not.
#[test]
fn threat_13_addresses_that_interfaces_get_later_are_own_too() {
    let mut server = Server::new();
    let mut client = allocated(&mut server, false);
    client.granted(&mut server, &Request::channel_bind(0x4000, at("45.0.0.9:9000")));
    server.on_machine("45.0.0.2/32 45.0.0.3/32", "45.0.0.1 2a0a::1");
    is_closed(&mut server, &mut client, "45.0.0.3");
    server.on_machine("45.0.0.2/32", "45.0.0.1 2a0a::1");
    client.granted(&mut server, &Request::channel_bind(0x4001, at("45.0.0.3:9000")));
    // Addresses from the configuration stay closed.
    assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4002, at("45.0.0.1:9000"))), 403);
}
