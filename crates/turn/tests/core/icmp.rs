//! ICMP errors from the path to a peer, relayed to the client (RFC 8656 sections 11.5 and 18.13).

use byway_test_support::turn::{Client, Request, Seen, Server, at, permitted, seconds};
use byway_turn::server::{Answer, DropReason};
use byway_turn::wire::Icmp;

const PORT_UNREACHABLE: Icmp = Icmp { kind: 3, code: 3, data: 0 };

/// The whole Data indication, byte by byte except for its transaction ID: XOR-PEER-ADDRESS, ICMP,
/// and no DATA.
#[test]
fn the_client_gets_a_data_indication_with_icmp_instead_of_data() {
    let (mut server, client) = permitted();
    let relay = server.sockets()[0];
    for (icmp, value) in [
        (PORT_UNREACHABLE, [0, 0, 3 << 1, 3, 0, 0, 0, 0]),
        (Icmp { kind: 3, code: 4, data: 1280 }, [0, 0, 3 << 1, 4, 0, 0, 5, 0]),
        (Icmp { kind: 11, code: 0, data: 0 }, [0, 0, 11 << 1, 0, 0, 0, 0, 0]),
    ] {
        let Seen::Reply(to, Answer::Icmp, bytes) = server.peer_unreachable(relay, at("8.8.8.8:53"), icmp)
        else {
            panic!("not told")
        };
        assert_eq!(to, client.address());
        let mut expected = vec![0x00, 0x17, 0x00, 24, 0x21, 0x12, 0xA4, 0x42];
        expected.extend_from_slice(&bytes[8..20]);
        // 53 ^ 0x2112 and 8.8.8.8 ^ 0x2112A442.
        expected.extend_from_slice(&[0x00, 0x12, 0x00, 0x08, 0x00, 0x01, 0x21, 0x27, 0x29, 0x1A, 0xAC, 0x4A]);
        expected.extend_from_slice(&[0x80, 0x04, 0x00, 0x08]);
        expected.extend_from_slice(&value);
        assert_eq!(bytes, expected);
    }
}

/// Section 11.5: types 3 and 11 of ICMPv4 and types 1, 2 and 3 of ICMPv6, and no others.
#[test]
fn only_the_types_that_the_section_names_are_told() {
    for (allocate, peer, named) in [
        (Request::allocate(), at("8.8.8.8:53"), &[3, 11][..]),
        (Request::allocate_v6(), at("[2a00::8]:53"), &[1, 2, 3]),
    ] {
        let mut server = Server::new();
        let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
        client.granted(&mut server, &allocate.lifetime(3600));
        let relay = server.sockets()[0];
        for kind in 0..=255 {
            // Keeps the permission alive and the rate limit unused.
            server.advance(seconds(1));
            client.granted(&mut server, &Request::permission(peer));
            let seen = server.peer_unreachable(relay, peer, Icmp { kind, code: 0, data: 0 });
            let is_told = matches!(seen, Seen::Reply(_, Answer::Icmp, _));
            assert_eq!(is_told, named.contains(&kind), "{kind}: {seen:?}");
            assert!(is_told || seen == Seen::Dropped(DropReason::Icmp));
        }
    }
}

/// Section 18.13: the MTU of the next hop if a packet was too big; else zero.
#[test]
fn the_error_data_is_an_mtu_or_zero() {
    for (allocate, peer, kind, code, has_mtu) in [
        (Request::allocate(), "8.8.8.8:53", 3, 4, true),
        (Request::allocate(), "8.8.8.8:53", 3, 3, false),
        (Request::allocate(), "8.8.8.8:53", 11, 0, false),
        (Request::allocate_v6(), "[2a00::8]:53", 2, 0, true),
        (Request::allocate_v6(), "[2a00::8]:53", 1, 4, false),
        (Request::allocate_v6(), "[2a00::8]:53", 3, 0, false),
    ] {
        let mut server = Server::new();
        let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
        client.granted(&mut server, &allocate);
        client.granted(&mut server, &Request::permission(at(peer)));
        let relay = server.sockets()[0];
        let Seen::Reply(_, Answer::Icmp, bytes) =
            server.peer_unreachable(relay, at(peer), Icmp { kind, code, data: 1400 })
        else {
            panic!("not told")
        };
        let data = if has_mtu { 1400_u32 } else { 0 };
        assert_eq!(bytes.last_chunk(), Some(&data.to_be_bytes()), "{kind}/{code}");
    }
}

/// The peer needs the permission, not the sender of the ICMP error. An unknown port is 0.
#[test]
fn the_permission_of_the_peer_counts() {
    let (mut server, _) = permitted();
    let relay = server.sockets()[0];
    for (peer, is_told) in [("8.8.8.8:53", true), ("8.8.8.8:0", true), ("8.8.8.9:53", false)] {
        let seen = server.peer_unreachable(relay, at(peer), PORT_UNREACHABLE);
        assert_eq!(matches!(seen, Seen::Reply(..)), is_told, "{peer}");
        assert!(is_told || seen == Seen::Dropped(DropReason::NoPermission));
    }
    server.advance_without_timer(seconds(300));
    let seen = server.peer_unreachable(relay, at("8.8.8.8:53"), PORT_UNREACHABLE);
    assert_eq!(seen, Seen::Dropped(DropReason::NoPermission));
}

#[test]
fn a_channel_makes_no_difference() {
    let (mut server, mut client) = permitted();
    client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    let seen = server.peer_unreachable(server.sockets()[0], at("8.8.8.8:53"), PORT_UNREACHABLE);
    assert!(matches!(seen, Seen::Reply(_, Answer::Icmp, _)));
}

#[test]
fn of_an_expired_allocation_nothing_is_told() {
    let (mut server, _) = permitted();
    let relay = server.sockets()[0];
    server.advance_without_timer(seconds(600));
    let seen = server.peer_unreachable(relay, at("8.8.8.8:53"), PORT_UNREACHABLE);
    assert_eq!(seen, Seen::Dropped(DropReason::NoAllocation));
}

/// An attacker who knows a relay port can forge ICMP errors, so a client receives at most ten per
/// second.
#[test]
fn a_flood_of_errors_is_no_flood_of_indications() {
    let (mut server, _) = permitted();
    let relay = server.sockets()[0];
    let told = |server: &mut Server| {
        let seen = (0..1000).map(|_| server.peer_unreachable(relay, at("8.8.8.8:53"), PORT_UNREACHABLE));
        seen.filter(|seen| matches!(seen, Seen::Reply(..))).count()
    };
    assert_eq!(told(&mut server), 10);
    server.advance(seconds(1));
    assert_eq!(told(&mut server), 10);
}
