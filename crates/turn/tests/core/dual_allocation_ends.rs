//! The two halves of a dual allocation live and end separately (RFC 8656 sections 8.1, 8.2, 9,
//! 10.2, 11 and 12).

use std::net::SocketAddr;

use byway_test_support::turn::{Client, Request, Response, Seen, Server, at, channel_data, seconds};
use byway_turn::server::DropReason;
use stun::attributes::{ATTR_LIFETIME, ATTR_MESSAGE_INTEGRITY, ATTR_REQUESTED_ADDRESS_FAMILY};

const PEERS: [&str; 2] = ["8.8.8.8:53", "[2a00::8]:53"];

/// A dual allocation that permits one peer of each family, on channels 0x4000 and 0x4001.
struct Dual {
    server: Server,
    client: Client,
    relayed: [SocketAddr; 2],
}

impl Dual {
    fn new() -> Self {
        let mut server = Server::with(2, |_| {});
        let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
        let relayed = client.granted(&mut server, &Request::allocate_dual()).all_relayed();
        let mut dual = Self { server, client, relayed: relayed.try_into().unwrap() };
        for half in [0, 1] {
            assert_eq!(dual.bind(half), 0);
        }
        dual
    }

    fn ask(&mut self, request: &Request) -> Response {
        self.client.ask(&mut self.server, request)
    }

    fn bind(&mut self, half: usize) -> u16 {
        let number = 0x4000 + u16::try_from(half).unwrap();
        self.ask(&Request::channel_bind(number, at(PEERS[half]))).code()
    }

    fn permit(&mut self, half: usize) -> u16 {
        self.ask(&Request::permission(at(PEERS[half]))).code()
    }

    /// Refreshes one half alone.
    fn refresh(&mut self, half: usize, lifetime: u32) -> Response {
        let family = u8::try_from(half + 1).unwrap();
        self.ask(&Request::refresh(lifetime).with(ATTR_REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0]))
    }

    /// Whether a half carries everything in both directions; the alternative is nothing at all.
    fn carries(&mut self, half: usize) -> bool {
        let (peer, from) = (at(PEERS[half]), self.relayed[half]);
        let number = 0x4000 + u16::try_from(half).unwrap();
        let out = Seen::ToPeer { from, peer, payload: b"out".to_vec() };
        let sent = self.client.send_unsigned(&mut self.server, &Request::send(peer, b"out"));
        let on_channel = self.client.send_on(&mut self.server, number, b"out");
        let came =
            self.server.sockets().contains(&from).then(|| self.server.peer_datagram(from, peer, b"in"));
        if on_channel == out {
            assert_eq!(sent, out);
            assert_eq!(came, Some(Seen::ToClient(self.client.address(), channel_data(number, b"in"))));
            return true;
        }
        assert!(matches!((&sent, &on_channel), (Seen::Dropped(_), Seen::Dropped(_))));
        assert!(matches!(came, None | Some(Seen::Dropped(_))));
        false
    }
}

/// Sections 11.2, 11.3, 12.6 and 12.7: data for a peer leaves from the address of the peer's
/// family.
#[test]
fn each_peer_is_served_by_the_address_of_its_family() {
    let mut dual = Dual::new();
    assert!(dual.carries(0) && dual.carries(1));
    assert_eq!(dual.server.announced_channels(), 2);
}

/// Section 10.2: peers of both families in one request.
#[test]
fn one_request_permits_peers_of_both_families() {
    let mut dual = Dual::new();
    let peers = [at("9.9.9.9:1"), at("[2a00::9]:1")];
    assert_eq!(dual.ask(&Request::permission(peers[0]).peer(peers[1])).code(), 0);
    for (peer, from) in peers.into_iter().zip(dual.relayed) {
        let seen = dual.client.send_unsigned(&mut dual.server, &Request::send(peer, b"x"));
        assert_eq!(seen, Seen::ToPeer { from, peer, payload: b"x".to_vec() });
    }
}

/// Section 8.1: a Refresh that names a family deletes that half and does not affect the other.
#[test]
fn lifetime_zero_with_a_family_ends_that_half_alone() {
    for (half, other) in [(0, 1), (1, 0)] {
        let mut dual = Dual::new();
        let response = dual.refresh(half, 0);
        assert_eq!(response.kinds(), [ATTR_LIFETIME, ATTR_MESSAGE_INTEGRITY]);
        assert_eq!((response.code(), response.lifetime()), (0, 0));
        assert_eq!((dual.server.allocations(), dual.server.announced_channels()), (1, 1));
        assert_eq!(dual.server.sockets(), [dual.relayed[other]]);
        assert!(!dual.carries(half) && dual.carries(other));
        // Sections 8.2, 10.2 and 12.2: from now on, the response is 443.
        assert_eq!(dual.refresh(half, 0).code(), 443);
        assert_eq!(dual.refresh(half, 600).code(), 443);
        assert_eq!((dual.permit(half), dual.bind(half)), (443, 443));
        let both = Request::permission(at(PEERS[other])).peer(at(PEERS[half]));
        assert_eq!(dual.ask(&both).code(), 443);
        assert_eq!((dual.permit(other), dual.bind(other)), (0, 0));
        // Deleting the other half ends the allocation.
        assert_eq!(dual.refresh(other, 0).code(), 0);
        assert_eq!((dual.server.allocations(), dual.server.sockets().len()), (0, 0));
        assert_eq!(dual.refresh(other, 0).code(), 437);
    }
}

/// Section 8.1: deleting a half destroys its channels. Their numbers are free at once, as after the
/// end of a whole allocation.
#[test]
fn a_channel_number_of_a_half_that_has_ended_is_free() {
    let mut dual = Dual::new();
    dual.refresh(1, 0);
    assert_eq!(dual.ask(&Request::channel_bind(0x4001, at("9.9.9.9:53"))).code(), 0);
    assert_eq!(dual.server.announced_channels(), 2);
}

/// Section 8.1: a Refresh that names no family applies to both halves.
#[test]
fn refresh_without_a_family_is_for_both() {
    let mut dual = Dual::new();
    dual.server.advance(seconds(500));
    assert_eq!(dual.ask(&Request::refresh(600)).lifetime(), 600);
    dual.server.advance(seconds(599));
    assert_eq!(dual.server.sockets().len(), 2);
    assert_eq!(dual.ask(&Request::refresh(0)).lifetime(), 0);
    assert_eq!((dual.server.allocations(), dual.server.sockets().len()), (0, 0));
    assert_eq!(dual.server.announced_channels(), 0);
}

#[test]
fn refresh_of_a_family_that_does_not_exist_is_443() {
    let mut dual = Dual::new();
    for family in [0, 3, 255] {
        let request = Request::refresh(0).with(ATTR_REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0]);
        assert_eq!(dual.ask(&request).code(), 443);
    }
    assert_eq!(dual.server.sockets().len(), 2);
}

/// Each half has its own time-to-expiry, which a late timer does not extend.
#[test]
fn a_half_that_is_not_refreshed_expires_alone() {
    for with_timer in [true, false] {
        for (half, other) in [(0, 1), (1, 0)] {
            let mut dual = Dual::new();
            let pass = |dual: &mut Dual, by| match with_timer {
                true => dual.server.advance(seconds(by)),
                false => dual.server.advance_without_timer(seconds(by)),
            };
            pass(&mut dual, 300);
            assert_eq!(dual.refresh(other, 600).lifetime(), 600);
            pass(&mut dual, 299);
            assert_eq!([dual.permit(0), dual.permit(1), dual.bind(0), dual.bind(1)], [0; 4]);
            assert!(dual.carries(half) && dual.carries(other));
            pass(&mut dual, 1);
            assert!(!dual.carries(half) && dual.carries(other));
            assert_eq!(dual.server.sockets().len(), if with_timer { 1 } else { 2 });
            assert_eq!((dual.refresh(half, 600).code(), dual.permit(half), dual.bind(half)), (443, 443, 443));
            assert_eq!(dual.server.sockets(), [dual.relayed[other]]);
            pass(&mut dual, 300);
            assert_eq!(dual.refresh(other, 600).code(), 437);
            assert_eq!((dual.server.allocations(), dual.server.announced_channels()), (0, 0));
        }
    }
}

/// Threats 15 and 10: two halves get no more permissions, channels or bandwidth than one.
#[test]
fn threat_15_the_limits_are_those_of_one_allocation() {
    let mut dual = Dual::new();
    for n in 1..=31 {
        let (v4, v6) = (at(&format!("9.9.9.{n}:1")), at(&format!("[2a00::1:{n:x}]:1")));
        assert_eq!(dual.ask(&Request::permission(v4).peer(v6)).code(), 0);
    }
    assert_eq!(dual.ask(&Request::permission(at("9.9.9.99:1"))).code(), 508);
    for n in 0..30 {
        let peer = SocketAddr::new(at(PEERS[usize::from(n % 2)]).ip(), 1000 + n);
        assert_eq!(dual.ask(&Request::channel_bind(0x4100 + n, peer)).code(), 0);
    }
    assert_eq!(dual.ask(&Request::channel_bind(0x4200, at("8.8.8.8:99"))).code(), 508);
    assert_eq!(dual.ask(&Request::channel_bind(0x4200, at("[2a00::8]:99"))).code(), 508);

    let mut server = Server::with(1, |settings| settings.quota.bandwidth_per_allocation = 10_000);
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::allocate_dual());
    client.granted(&mut server, &Request::permission(at(PEERS[0])).peer(at(PEERS[1])));
    let mut passed = [0, 0];
    for n in 0..30 {
        let seen = client.send_unsigned(&mut server, &Request::send(at(PEERS[n % 2]), &[7; 1000]));
        passed[n % 2] += u32::from(matches!(seen, Seen::ToPeer { .. }));
    }
    assert_eq!(passed, [5, 5]);
}

/// Two clients that both force the relay meet on either family, across shards, until that half
/// ends.
#[test]
fn relay_to_relay_over_either_family() {
    for half in [0, 1] {
        let mut dual = Dual::new();
        let mut other = Client::on(1, &dual.server, "203.0.113.10:5000", "bob");
        let theirs = other.granted(&mut dual.server, &Request::allocate_dual()).all_relayed();
        dual.ask(&Request::channel_bind(0x4100, theirs[half]));
        other.granted(&mut dual.server, &Request::channel_bind(0x4100, dual.relayed[half]));
        let heard = |dual: &mut Dual| dual.client.send_on(&mut dual.server, 0x4100, b"x");
        let expected = Seen::ToClient(other.address(), channel_data(0x4100, b"x"));
        assert_eq!(heard(&mut dual), expected);
        let family = |half: usize| [u8::try_from(half).unwrap() + 1, 0, 0, 0];
        let gone = |half| Request::refresh(0).with(ATTR_REQUESTED_ADDRESS_FAMILY, &family(half));
        other.granted(&mut dual.server, &gone(1 - half));
        assert_eq!(heard(&mut dual), expected);
        dual.server.advance_without_timer(seconds(299));
        other.granted(&mut dual.server, &gone(half));
        assert_eq!(heard(&mut dual), Seen::Dropped(DropReason::RelayGone));
    }
}

/// A single allocation of either family is unaffected: the other family is 443 and never reached.
#[test]
fn a_single_allocation_has_one_family() {
    for (half, other) in [(0, 1), (1, 0)] {
        let mut server = Server::new();
        let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
        client.granted(&mut server, &[Request::allocate(), Request::allocate_v6()][half]);
        assert_eq!(client.refused(&mut server, &Request::permission(at(PEERS[other]))), 443);
        assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4000, at(PEERS[other]))), 443);
        let sent = client.send_unsigned(&mut server, &Request::send(at(PEERS[other]), b"x"));
        assert_eq!(sent, Seen::Dropped(DropReason::NoPermission), "silently, section 11.2");
        client.granted(&mut server, &Request::permission(at(PEERS[half])));
    }
}
